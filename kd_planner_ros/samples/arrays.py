"""Arrays on disk that a training run reads rows of."""

from __future__ import annotations

import os
import resource
import shutil
from pathlib import Path

import numpy as np

WHOLE_BYTES = 2**22


def open_array(path: Path) -> np.ndarray:
    """The array in a .npy file: a memory map, or all of it where it is small, for a map holds a file open."""
    whole = path.stat().st_size <= WHOLE_BYTES
    return np.load(path, mmap_mode=None if whole else "r")


def put_in_place(partial: Path, folder: Path) -> None:
    """Rename ``partial``, which is complete, to ``folder``; where another process was faster, its equal copy stays.

    Raises:
        OSError: the rename failed and ``folder`` is not there.
    """
    try:
        os.rename(partial, folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(partial, ignore_errors=True)


def allow_open_files() -> None:
    """Raise this process's limit of open files as far as it may: hundreds of recordings have more maps than 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        pass  # it stays as it was
