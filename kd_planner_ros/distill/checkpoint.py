"""Checkpoints: written to a temporary name and renamed, the one before kept, read without running code."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd_planner_ros.core.errors import TrainingError
from kd_planner_ros.core.files import whole_file
from kd_planner_ros.core.foreign import reading

LAST, PREVIOUS = "last.pt", "previous.pt"
_NPY = "numpy array (.npy)"
"""Key of an array inside a checkpoint: torch reads tensors and plain values alone without running code."""
_READABLE = (torch.Size, torch.dtype, torch.device, bool, int, float, complex, str, bytes, type(None))


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors, arrays and plain values) as the newest checkpoint of ``folder``.

    Raises:
        TrainingError: a value that could not be read back without running code; its place is named.
    """
    readable = _plain(state, "state")
    folder.mkdir(parents=True, exist_ok=True)
    with whole_file(folder / LAST, durable=True) as part:
        with part.open("wb") as file:  # torch's own writer would not say why it failed
            torch.save(readable, file)
        if (folder / LAST).is_file():
            os.replace(folder / LAST, folder / PREVIOUS)


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
            with reading(TrainingError, f"a readable checkpoint at {path}", "start anew with --fresh"):
                return _arrays(torch.load(path, map_location="cpu", weights_only=True))
        except TrainingError as error:
            errors.append(f"{name}: {error.got}")
    if errors:
        raise TrainingError(f"a readable checkpoint in {folder}", "; ".join(errors), "start anew with --fresh")
    return None


def _plain(value: Any, place: str) -> Any:
    """``value`` with arrays and numbers of numpy in a form that torch reads back; everything else is the same object.

    Raises:
        TrainingError: an object of another kind; ``place`` is where it stands.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return {_NPY: file.getvalue()}
    if isinstance(value, dict):
        made = {key: _plain(one, f"{place}.{key}") for key, one in value.items()}
        return made if any(made[key] is not one for key, one in value.items()) else value
    if type(value) in (list, tuple):
        parts = [_plain(one, f"{place}[{index}]") for index, one in enumerate(value)]
        return type(value)(parts) if any(one is not two for one, two in zip(parts, value, strict=True)) else value
    if not isinstance(value, torch.Tensor) and type(value) not in _READABLE:
        raise TrainingError(f"tensors, arrays, numbers, text, lists and mappings in a checkpoint, at {place}", type(value).__name__,
                            "correct what memory() of the network's task or state() of the method gives")
    return value


def _arrays(value: Any) -> Any:
    """``value`` with the arrays that ``_plain`` wrote."""
    if isinstance(value, dict):
        if set(value) == {_NPY}:
            return np.load(io.BytesIO(value[_NPY]), allow_pickle=False)
        made = {key: _arrays(one) for key, one in value.items()}
        return made if any(made[key] is not one for key, one in value.items()) else value
    if type(value) in (list, tuple):
        parts = [_arrays(one) for one in value]
        return type(value)(parts) if any(one is not two for one, two in zip(parts, value, strict=True)) else value
    return value
