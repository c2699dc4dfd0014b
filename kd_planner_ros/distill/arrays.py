"""Arrays on disk that a training run reads rows of."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np

WHOLE_BYTES = 2**22


def open_array(path: Path) -> np.ndarray:
    """The array in a .npy file: a memory map, or all of it where it is small, for a map holds a file open."""
    whole = path.stat().st_size <= WHOLE_BYTES
    return np.load(path, mmap_mode=None if whole else "r")


def allow_open_files() -> None:
    """Raise this process's limit of open files as far as it may: hundreds of recordings have more maps than 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        pass  # it stays as it was
