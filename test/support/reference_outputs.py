"""What a shipped model answers to three made-up frames, as arrays. ``test/data/reference_outputs/<model>.npz`` holds them.

An intended change of a model or of a processor updates its file in the same commit, which says why:

    PYTHONPATH=.:test python -m support.reference_outputs MODEL
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from support.frames import frame

from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.core.records import Plan
from kd_planner_ros.driving.safety.road_users import road_users
from kd_planner_ros.networks.planner import PERCEIVER
from kd_planner_ros.runtime import engines
from kd_planner_ros.runtime.load import load_model_runner
from kd_planner_ros.runtime.paths import models_folder

FOLDER = Path(__file__).parents[1] / "data" / "reference_outputs"
FRAMES, LARGEST, STRIDE = 3, 1000, 3
"""Arrays of more than LARGEST numbers are thinned: every STRIDE-th number of the flattened array is kept, fewer where that would be
more than LARGEST."""
TOLERANCE = 1e-4
"""Absolute and relative. Processors and versions of torch differ by less; on one machine the difference is 0."""
ALIKE = 0.95
"""Least share of a perceiver's numbers that are within ``TOLERANCE``: the last bit of a feature may change where a query of its
segmentation looks, and the class of a pixel between two classes."""


def load_float32(name: str, folder: Path | None = None):
    """Model ``name`` of ``folder`` (the shipped ones) on engine torch in float32 with one thread, also where the processor has
    bfloat16."""
    with mock.patch.object(engines, "fast_bfloat16", lambda device: False):
        model = load_model_runner(name, device="cpu", engine="torch", models_dir=folder or models_folder(), threads=1)
    assert "float32" in model.engine.describe, model.engine.describe
    return model


def answers(model) -> dict[str, np.ndarray]:
    """``input.NAME``: mean and mean square of every input of the network, which tell a changed encoding from a changed network;
    ``raw.NAME``: the network's outputs; ``plan.NAME``: what is decoded from them; ``planted.NAME``: what is decoded from
    made-up outputs, because a network may see nothing in made-up frames. Leading axis: the frame."""
    model.reset()
    kept: dict[str, list[np.ndarray]] = {}
    memory = model.role == PERCEIVER  # its processor remembers the frame before, so made-up outputs have a drive of their own
    for number in range(FRAMES):
        shown = frame(model.rig, number)
        inputs = model.processor.encode([shown])
        outputs = model.engine.run(inputs)
        for name, value in inputs.items():
            value = value.double()
            kept.setdefault(f"input.{name}", []).append(np.array([float(value.mean()), float(value.square().mean())]))
        for name, value in outputs.items():
            kept.setdefault(f"raw.{name}", []).append(_thin(value[0].numpy().astype(np.float32)))
        for kind, made in (("plan", outputs), *([] if memory else [("planted", planted(outputs, number))])):
            _keep(kept, kind, number, model.processor.decode(made, shown))
    model.reset()
    for number in range(FRAMES if memory else 0):
        shown = frame(model.rig, number)
        model.processor.encode([shown])
        _keep(kept, "planted", number, model.processor.decode(planted(outputs, number), shown))
    return {name: values[0] if name.split(".")[1] in RAGGED else np.stack(values) for name, values in kept.items()}


def _keep(kept: dict[str, list[np.ndarray]], kind: str, number: int, found: Plan | Perception) -> None:
    for name, array in arrays_of(found).items():
        ragged = name in RAGGED  # their length differs from frame to frame
        kept.setdefault(f"{kind}.{name}.{number}" if ragged else f"{kind}.{name}", []).append(array)


def differing(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], role: str) -> list[str]:
    """Names of the arrays of ``found`` that are not those of ``wanted``: all numbers within ``TOLERANCE``, of a perceiver ``ALIKE``
    of them. What is unknown (NaN) must be unknown."""
    share = ALIKE if role == PERCEIVER else 1.0
    names = set(found) ^ set(wanted)
    for name in set(found) & set(wanted):
        one, other = found[name], wanted[name]
        if one.shape != other.shape or np.isclose(one, other, TOLERANCE, TOLERANCE, equal_nan=True).sum() < share * one.size:
            names.add(name)
    return sorted(names)


RAGGED = ("objects",)


def planted(outputs: Mapping[str, torch.Tensor], number: int) -> dict[str, torch.Tensor]:
    """Made-up outputs of the shapes of ``outputs``: in (0, 3); a traffic map in (0, 1) with few cells near 1."""
    rng = np.random.default_rng([number, 0x706C])
    found = {}
    for name in sorted(outputs):
        values = rng.random(tuple(outputs[name].shape))
        found[name] = torch.from_numpy((values**4 if name == "traffic_map" else 3.0 * values).astype(np.float32))
    return found


def arrays_of(found: Plan | Perception) -> dict[str, np.ndarray]:
    """The numbers of a plan or of a perception by name."""
    if isinstance(found, Perception):
        dense = {name: _thin(output.array) for name, output in found.outputs.items()}
        return dense | {f"scalars.{name}": np.array(value) for name, value in found.scalars.items()}
    arrays = {"points": found.trajectory.points, "times_s": found.trajectory.times_s}
    if found.control is not None:
        arrays["control"] = np.array([found.control.throttle, found.control.steer, found.control.brake])
    for name in ("attention", "candidates", "scores"):
        if getattr(found, name) is not None:
            arrays[name] = getattr(found, name)
    if found.detections is not None:
        users = road_users(found.detections)
        arrays["objects"] = np.stack([users[name].astype(float) for name in users.dtype.names], 1)
    arrays |= {f"notes.{name}": np.array(value) for name, value in found.notes.items()}
    return {name: np.asarray(value) for name, value in arrays.items()}


def broken_arrays(found: Plan | Perception) -> list[str]:
    """Names of the arrays of ``found`` that hold a number which is not finite. In a perception NaN means unknown: there it is let pass,
    but not where nothing at all is known."""
    arrays = arrays_of(found)
    if not isinstance(found, Perception):
        return [name for name, one in arrays.items() if not np.isfinite(one).all()]
    known = any(np.isfinite(arrays[name]).any() for name in found.outputs)
    return [name for name, one in arrays.items() if np.isinf(one).any() or not known]


def _thin(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1)[::max(STRIDE, array.size // LARGEST)] if array.size > LARGEST else array


if __name__ == "__main__":
    for _name in sys.argv[1:]:
        np.savez_compressed(FOLDER / f"{_name}.npz", **answers(load_float32(_name)))
