"""``kd-planner perceive``: what a perceiver sees in pictures or in a recording, as files and, of a recording, as a new recording."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.errors import ConfigError, SensorError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.folders import make_folder, require_new
from kd_planner_ros.core.frames import FrameMaker, unknown_ego
from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.evaluation.perceive.files import DEEPEST_M, FORMATS, clipped_share, write_outputs
from kd_planner_ros.evaluation.perceive.inputs import Shot, Shots, open_shots, require_input
from kd_planner_ros.evaluation.perceive.recorded import put_perception
from kd_planner_ros.evaluation.perceive.unseen import without_unseen
from kd_planner_ros.imaging.exposure import require_content
from kd_planner_ros.imaging.fit_camera import fitted
from kd_planner_ros.networks.planner import PERCEIVER, Perceiver
from kd_planner_ros.runtime.facts import PERCEIVER_HELP, model_place

FACTS = "perceive.json"
"""What a run writes last, with the facts of every picture."""


@dataclass(frozen=True)
class PerceiveConfig:
    """What to look at, with what. Each field is an option of ``kd-planner perceive``."""

    input: Path = field(metadata={"help": "a picture, a folder of pictures, or a recording (rosbag2)"})
    out: Path = field(metadata={"help": "folder for the outputs of each picture, overviews and perceive.json, a new or an empty one"})
    model: str = field(default="auto", metadata={"help": PERCEIVER_HELP})
    fov: float = field(default=0.0, metadata={
        "help": "horizontal field of view of the input's camera, degrees; needed for pictures; wins over a recording's camera_info",
        "low": 0.0, "high": 170.0})
    rate: float = field(default=0.0, metadata={"help": "pictures a second of a folder; 0: the model's rate", "low": 0.0, "high": 1000.0})
    frames: int = field(default=0, metadata={"help": "pictures to look at, from the first on; 0: all", "low": 0})
    camera: tuple[str, ...] = field(default=(), metadata={"help": CAMERA_HELP, "metavar": "NAME=RECORDED"})
    role_name: str | None = field(default=None, metadata={"help": ROLE_HELP})
    device: str = field(default="cpu", metadata={"help": "where the network runs: cpu, cuda, cuda:1 ..."})
    engine: str = field(default="auto", metadata={"help": "inference engine", "choices": ("auto", "torch", "openvino", "onnxruntime")})
    models_dir: Path | None = field(default=None, metadata={"help": "folder of models (default: the shipped ones)"})


def run(config: PerceiveConfig) -> dict[str, Any]:
    """Write the outputs of each picture, an overview of it and ``perceive.json``, whose content is given back; of a recording also the
    recording ``outputs`` with the topics of the perception node.

    Raises:
        ConfigError, BagError: from the options and the input, OUT holds files, or not one picture could be used.
        PlannerError, CardError: from the model. OSError: OUT cannot be made.
    """
    from kd_planner_ros.runtime.load import load_perceiver

    check_fields(config)
    require_input(config.input, config.fov, config.camera, config.role_name or "")  # a model takes long to load
    require_new(config.out, "run of perceive", FACTS)
    place = model_place(config.model, str(config.models_dir or ""), PERCEIVER)
    make_folder(config.out)
    return perceive(load_perceiver(place, config.device, config.engine, config.models_dir), config)


def perceive(perceiver: Perceiver, config: PerceiveConfig) -> dict[str, Any]:
    """As ``run``, for a perceiver that is loaded."""
    own, out = only_camera(perceiver), Path(config.out)
    shots = open_shots(config.input, config.fov, config.rate or perceiver.rate_hz, config.camera, own, config.role_name or "")
    out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    refused: dict[str, str] = {}
    labels: dict[str, dict[int, str]] = {}
    formats: dict[str, str] = {}
    with ExitStack() as stack:
        bag = stack.enter_context(BagWriter(out / "outputs", perceiver.rig, {"perceiver": perceiver.name})) if shots.recording else None
        for shot, frame, shown in looked(perceiver, shots, config.frames):
            try:
                seen = seen_in(perceiver, shot, frame, shown)
            except SensorError as error:
                refused[shot.name] = str(error)
                continue
            if bag is not None:
                put_perception(bag, seen, first=not rows)
            files = write_outputs(out, shot.name, frame.images[own.id], seen)
            rows.append(_row(shot, seen, shown, files))
            labels |= {name: output.names for name, output in seen.outputs.items() if output.labels}
            formats |= {name: FORMATS[output.kind] for name, output in seen.outputs.items()}
        if not rows:
            said = [f"{name}: {reason}" for name, reason in {**shots.left_out, **refused}.items()]
            raise ConfigError(f"a picture that can be used in {config.input}", "; ".join(said[:3]) or "none", "give other pictures")
    result = {"model": perceiver.name, "input": str(config.input), "camera": shots.camera, "pictures": len(rows),
              "left_out": shots.left_out, "refused": refused, "formats": formats,
              "labels": {name: {str(number): label for number, label in own.items()} for name, own in labels.items()}, "frames": rows}
    write_text(out / FACTS, json.dumps(result, indent=1, sort_keys=True) + "\n")
    return result


def _row(shot: Shot, seen: Perception, shown: np.ndarray, files: dict[str, str]) -> dict[str, Any]:
    """What ``perceive.json`` holds of one picture."""
    return {"name": shot.name, "stamp_s": shot.stamp_ns / 1e9, "seen_share": round(float(shown.mean()), 3), "files": files,
            "depth_clipped_share": round(clipped_share(seen), 6), "inference_ms": round(seen.inference_ms, 2),
            "unknown": dict(seen.unknown), "scalars": {name: _number(value) for name, value in seen.scalars.items()}}


def only_camera(perceiver: Perceiver) -> CameraSpec:
    """The camera of a perceiver that needs nothing else.

    Raises:
        ConfigError: it needs more cameras, a LiDAR or a roadside station.
    """
    rig = perceiver.rig
    if len(rig.cameras) != 1 or rig.lidars or rig.roadside is not None:
        raise ConfigError("a perceiver that needs one camera alone", f"'{perceiver.name}' with {len(rig.cameras)} cameras and "
                          f"{len(rig.lidars)} LiDARs", "give another model")
    return rig.cameras[0]


def looked(perceiver: Perceiver, shots: Shots, most: int) -> Iterator[tuple[Shot, Frame, np.ndarray]]:
    """(picture, its frame, bool [H, W] of the perceiver's camera: what the picture shows of it)."""
    maker, own = FrameMaker(replace(perceiver.rig, roadside=None)), perceiver.rig.cameras[0]
    perceiver.reset()
    for number, shot in enumerate(shots):
        if most and number >= most:
            return
        picture, shown = fitted(shot.picture, shot.fov_deg, own)
        yield shot, maker.make(unknown_ego(shot.stamp_ns), None, {own.id: picture}, {}, stamp_ns=shot.stamp_ns), shown


def seen_in(perceiver: Perceiver, shot: Shot, frame: Frame, shown: np.ndarray) -> Perception:
    """What ``perceiver`` sees in a picture of ``looked``, unknown where the picture showed nothing.

    Raises:
        SensorError: the picture shows nothing at all, or cannot be used. The picture as it came is judged: in the frame it has a grey
            border where it shows less than the perceiver's camera would.
    """
    require_content(shot.picture, perceiver.rig.cameras[0].id)
    return without_unseen(perceiver.perceive(frame), shown)


def _number(value: float) -> float | None:
    return round(float(value), 6) if np.isfinite(value) else None


def summary(result: dict[str, Any]) -> str:
    """What was looked at, a line on the refused pictures, one on depth that its file cannot hold, and one on outputs that were unknown
    equally often for the same reason, for a reader."""
    rows = result["frames"]
    times = np.median([row["inference_ms"] for row in rows])
    left, refused = len(result["left_out"]) + len(result["refused"]), result["refused"]
    pictures = "1 picture" if result["pictures"] == 1 else f"{result['pictures']} pictures"
    unknown: dict[str, Counter[str]] = {}
    for row in rows:
        for name, reason in row["unknown"].items():
            unknown.setdefault(name, Counter())[reason] += 1
    lines = [f"{pictures} of camera {result['camera']} by {result['model']}, {times:.1f} ms each (median)"
             + (f"; {left} left out or refused, see perceive.json" if left else "")]
    if refused:
        name = next(iter(refused))
        lines.append(f"{len(refused)} refused, the first is {name}: {refused[name]}")
    if clipped := [row["depth_clipped_share"] for row in rows if row["depth_clipped_share"]]:
        lines.append(f"depth beyond {DEEPEST_M} m, which the PNG holds as 65535, in {len(clipped)} of {len(rows)}: "
                     f"{100.0 * np.mean(clipped):.2g} % of their pixels with a depth (mean)")
    alike: dict[tuple[int, str], list[str]] = {}
    for name, counts in sorted(unknown.items()):
        alike.setdefault((sum(counts.values()), counts.most_common(1)[0][0]), []).append(name)
    return "\n".join([*lines, *(f"{', '.join(names)} unknown in {count} of {len(rows)}: {reason}"
                                for (count, reason), names in alike.items())])


