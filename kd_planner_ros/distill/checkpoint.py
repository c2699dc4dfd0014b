"""Checkpoints: written to a temporary name and renamed, the one before kept, read without running code."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from kd_planner_ros.core.errors import TrainingError

LAST, PREVIOUS = "last.pt", "previous.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) as the newest checkpoint of ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{LAST}.tmp"
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    if (folder / LAST).is_file():
        os.replace(folder / LAST, folder / PREVIOUS)
    os.replace(temporary, folder / LAST)


def remove(folder: Path) -> None:
    """Leave no checkpoint in ``folder``."""
    for name in (LAST, PREVIOUS):
        (folder / name).unlink(missing_ok=True)


def load(folder: Path) -> dict[str, Any] | None:
    """The newest readable checkpoint of ``folder`` on the CPU, or None.

    Raises:
        TrainingError: there are checkpoints, but none can be read.
    """
    errors = []
    for name in (LAST, PREVIOUS):
        path = folder / name
        if not path.is_file():
            continue
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
            errors.append(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")
    if errors:
        raise TrainingError(f"a readable checkpoint in {folder}", "; ".join(errors), "start anew with --fresh")
    return None
