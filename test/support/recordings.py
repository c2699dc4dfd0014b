"""Two recordings made by version 651a085 and what that version read in them: ``test/data/recording_651a085``.

``tcp`` has TCP's front camera (224 x 64, 2 FPS, depth, semantic and instance labels), ``views`` InterFuser's three cameras
(64 x 48, semantic labels) and a LiDAR. Both show seconds 4 to 12 of one drive of the expert in the default town at WetSunset, with
every truth topic. ``facts.json`` holds hashes of what the reader gave, by name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parents[1] / "data" / "recording_651a085"
CAMERAS = {"tcp": ("front",), "views": ("front", "left", "right")}
CLOUDS = {"tcp": (), "views": ("lidar",)}
LABELS = {"tcp": ("depth", "semantic", "instance"), "views": ("semantic",)}


def sha(array: np.ndarray) -> str:
    """Hash of ``array``'s type, shape and bytes. Numbers of float64 are rounded to 1e-6, because sines differ in their last bit
    between processors."""
    array = np.ascontiguousarray(array)
    array = np.round(array, 6) + 0.0 if array.dtype == np.float64 else array  # + 0.0 turns -0.0 into 0.0
    return hashlib.sha256(f"{array.dtype.descr} {array.shape} ".encode() + array.tobytes()).hexdigest()


def stored_facts(name: str) -> dict[str, Any]:
    """What version 651a085 read in recording ``name``."""
    return json.loads((FOLDER / "facts.json").read_text())[name]


def read_facts(recording, samples) -> dict[str, Any]:
    """The same of this version: ``samples`` are those of CAMERAS, CLOUDS and LABELS."""
    timeline = recording.timeline
    found = {"stamps": [sample.frame.stamp_ns for sample in samples], "kinds": dict(recording.kinds), "notes": list(recording.notes),
             "custom_data": recording.custom_data, "ego": sha(timeline.ego.values), "control": sha(timeline.control.values),
             "state": sha(timeline.state.values), "state_names": list(timeline.state_names), "targets": sha(timeline.targets),
             "commands": sha(timeline.commands), "route": sha(recording.route.points)}
    for index, sample in enumerate(samples):
        truth = sample.truth
        one = {f"image.{name}": sha(value) for name, value in sample.frame.images.items()}
        one |= {f"cloud.{name}": sha(value) for name, value in sample.frame.clouds.items()}
        one |= {"actors": sha(truth.actors), "signals": sha(truth.signals),
                "states": {name: round(float(value), 6) for name, value in truth.states.items()}}
        for camera, shot in truth.labels.items():
            one |= {f"{kind}.{camera}": sha(getattr(shot, kind)) for kind in ("depth", "semantic", "instance")
                    if getattr(shot, kind) is not None}
        found[f"sample.{index:02}"] = one
    return found
