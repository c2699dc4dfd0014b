"""Dense outputs of a perceiver against recorded labels: depth error and class IoU, each beside a trivial baseline."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP, find_sources
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.evaluation.dense_metrics import ClassScore, DepthScore, RowClass, RowMedian, figures, match_tags, resize_nearest

if TYPE_CHECKING:
    from kd_planner_ros.bags.reader import Recording, Sample
    from kd_planner_ros.core.records import Frame
    from kd_planner_ros.core.sensors import CameraImage
    from kd_planner_ros.networks.planner import Perceiver

LABELS = {"depth": "depth", "classes": "semantic"}
"""By the kind of a dense output: the recorded label that it is compared with. Other kinds are not scored, and named."""


@dataclass(frozen=True)
class DenseConfig:
    """What to compare. Each field is an option of ``kd-planner evaluate dense``."""

    bag: Path = field(metadata={"help": "a rosbag2 folder with recorded labels, or a folder of them"})
    model: str = field(metadata={"help": "a perception model: a folder of models/, a path to one, or auto (the best shipped one)"})
    out: Path | None = field(default=None, metadata={"help": "folder for dense.json, dense.md and strip.png (default: nothing is written)"})
    max_depth_m: float = field(default=80.0, metadata={
        "help": "truth farther away than this is left out, and predictions are limited to it, metres", "above": 1.0, "high": 1000.0})
    pictures: int = field(default=4, metadata={"help": "frames in strip.png; 0: no strip", "low": 0, "high": 50})
    device: str = field(default="cpu", metadata={"help": "where the network runs: cpu, cuda, cuda:1 ..."})
    engine: str = field(default="auto", metadata={"help": "inference engine", "choices": ("auto", "torch", "openvino", "onnxruntime")})
    models_dir: Path | None = field(default=None, metadata={"help": "folder of models (default: the shipped ones)"})
    role_name: str | None = field(default=None, metadata={"help": ROLE_HELP})
    camera: tuple[str, ...] = field(default=(), metadata={"help": CAMERA_HELP, "metavar": "NAME=RECORDED"})


def run(config: DenseConfig, progress: bool = True) -> dict[str, Any]:
    """Figures of every dense output that a recorded label can judge, by its name under ``outputs``.

    Each holds the figures over all frames (``DepthScore``, ``ClassScore``), and under ``second_half`` the same over the second
    half alone, beside those of a ``baseline`` that was fitted to the first half. ``not_scored`` says why an output has none;
    ``frames``, ``incomplete`` and ``unlabelled`` count the frames that were seen, lacked a sensor, and lacked labels.

    Raises:
        BagError: no recording, a broken one, one that lacks a topic the model needs, or no label for any output.
        PlannerError, CardError: from the model.
        ConfigError: an option out of range, or outputs of another shape than the camera's picture.
    """
    from kd_planner_ros.runtime.load import load_perceiver

    check_fields(config)
    folders = find_sources([config.bag], config.role_name, config.camera)
    perceiver = load_perceiver(config.model, config.device, config.engine, config.models_dir)
    return score(perceiver, folders, config, progress)


def score(perceiver: Perceiver, folders: list[Path], config: DenseConfig, progress: bool = True) -> dict[str, Any]:
    """As ``run``, for a perceiver that is loaded and recordings that were found."""
    from tqdm import tqdm

    from kd_planner_ros.bags.reader import open_bag

    judge, total = _Judge(config), len(folders)
    incomplete, notes = 0, {}
    for number, folder in enumerate(tqdm(folders, unit="bag", desc=perceiver.name, disable=not progress, dynamic_ncols=True)):
        with open_bag(folder) as recording:
            perceiver.reset()
            for frame, shot, share in _instants(perceiver, recording):
                judge.take(perceiver.perceive(frame), frame, shot, (number + share) / total)
            incomplete += recording.incomplete
            notes |= {str(recording.path): recording.notes} if recording.notes else {}
    found = {"model": perceiver.name, "bags": total, "incomplete": incomplete, "max_depth_m": config.max_depth_m, **judge.result(),
             **({"notes": notes} if notes else {})}
    if not found["outputs"]:
        raise BagError(f"labels for a dense output of '{perceiver.name}' in {config.bag}",
                       "; ".join(f"{name}: {reason}" for name, reason in found["not_scored"].items()) or "no dense output",
                       "record depth and semantic labels of the model's camera, or give another model")
    if config.out is not None:
        _write(Path(config.out), found, judge)
    return found


def table(result: Mapping[str, Any]) -> list[str]:
    """The figures as lines of a Markdown table: over all frames, over the second half, and the baseline's there."""
    lines = ["| output | figure | all frames | second half | baseline |", "|---|---|---|---|---|"]
    for name, one in result["outputs"].items():
        later, trivial = figures(one["second_half"]), figures(one["second_half"]["baseline"])
        lines += [f"| {name} | {figure} | {_number(value)} | {_number(later[figure])} | {_number(trivial[figure])} |"
                  for figure, value in figures(one).items()]
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


class _Score:
    """One output over all frames and over the second half, and its baseline over the second half."""

    def __init__(self, output: DenseOutput, max_m: float):
        self.kind, self.labels = output.kind, output.labels
        depth = output.kind == "depth"
        self.scores = [DepthScore(max_m) if depth else ClassScore(output.labels) for _ in range(3)]
        self.baseline: RowMedian | RowClass = RowMedian(max_m) if depth else RowClass(max(len(output.labels), 1))

    def add(self, predicted: np.ndarray, truth: np.ndarray, later: bool) -> None:
        everything, second, trivial = self.scores
        everything.add(predicted, truth)
        if later:
            second.add(predicted, truth)
            trivial.add(self.baseline.predict(truth.shape), truth)
        else:
            self.baseline.fit(everything.truth_classes(truth) if isinstance(everything, ClassScore) else truth)

    def result(self) -> dict[str, Any]:
        everything, second, trivial = (one.result() for one in self.scores)
        return {"kind": self.kind, **everything, "second_half": {**second, "baseline": {"rule": self.baseline.rule, **trivial}}}


class _Judge:
    """Compares perceptions with labels, and keeps some for the strip."""

    def __init__(self, config: DenseConfig):
        self._config, self._scores, self._reasons = config, {}, {}
        self.frames = self.unlabelled = 0
        self.strip: list[list[tuple[str, np.ndarray]]] = []

    def take(self, seen: Perception, frame: Frame, shot: CameraImage | None, share: float) -> None:
        """One instant at ``share`` (0 to 1) of all recordings; ``shot`` holds its labels."""
        self.frames += 1
        pairs = {}
        for name, output in seen.outputs.items():
            truth = getattr(shot, LABELS.get(output.kind, ""), None)
            if output.kind not in LABELS:
                self._reasons[name] = f"no label of kind {output.kind} is recorded"
            elif truth is None or seen.camera != next(iter(frame.images)):
                self._reasons.setdefault(name, f"no {LABELS[output.kind]} labels of camera {seen.camera}")
            else:
                predicted = _fitted(output.array, truth.shape, name)
                self._scores.setdefault(name, _Score(output, self._config.max_depth_m)).add(predicted, truth, share >= 0.5)
                pairs[name] = output, predicted, truth
        self.unlabelled += not pairs
        if pairs and self._config.out is not None and len(self.strip) < self._config.pictures * share:
            self.strip.append(self._panels(frame, seen.camera, pairs))

    def result(self) -> dict[str, Any]:
        return {"frames": self.frames, "unlabelled": self.unlabelled, "outputs": {name: one.result() for name, one in self._scores.items()},
                "not_scored": {name: reason for name, reason in self._reasons.items() if name not in self._scores}}

    def _panels(self, frame: Frame, camera: str, pairs: Mapping[str, tuple[DenseOutput, np.ndarray, np.ndarray]]) -> list[
            tuple[str, np.ndarray]]:
        from kd_planner_ros.evaluation.dense_pictures import paint_classes, paint_depth

        panels = [(f"{camera}, {frame.stamp_ns / 1e9:.2f} s", frame.images[camera])]
        for name, (output, predicted, truth) in pairs.items():
            if output.kind == "depth":
                painted = [paint_depth(one, self._config.max_depth_m) for one in (truth, predicted)]
            else:
                class_of_tag, _ = match_tags(output.labels)
                painted = [paint_classes(one, class_of_tag) for one in (class_of_tag[truth], predicted)]
            panels += zip((f"{name}: recorded", f"{name}: network"), painted, strict=True)
        return panels


def _instants(perceiver: Perceiver, recording: Recording) -> Iterator[tuple[Frame, CameraImage | None, float]]:
    """Frames as the perceiver declares them, the labels of its first camera (None: none recorded), and how much of the
    recording's time has passed."""
    from kd_planner_ros.bags.cameras import recorded_names, samples_for

    rig = perceiver.rig
    cameras, clouds = tuple(spec.id for spec in rig.cameras), tuple(spec.id for spec in rig.lidars)
    recorded = recorded_names(recording, cameras)[:1]
    kinds = tuple(kind for kind in LABELS.values() if recorded and recording.has_label(recorded[0], kind))
    stamps = recording.timeline.ego.stamps
    first, lasted = int(stamps[0]), max(int(stamps[-1]) - int(stamps[0]), 1)
    alone = len(cameras) == 1
    shots = _Shots(recording, recorded[0], kinds) if kinds and not alone else None  # other cameras need no labels
    for sample in samples_for(recording, cameras, clouds, rig, kinds if alone else ()):
        stamp = sample.frame.stamp_ns
        shot = sample.truth.labels.get(cameras[0]) if shots is None else shots.at(stamp)
        yield sample.frame, shot, min((stamp - first) / lasted, 1.0)


class _Shots:
    """The labels of one camera, taken by their stamps in time order."""

    def __init__(self, recording: Recording, camera: str, kinds: tuple[str, ...]):
        from kd_planner_ros.bags.reader import open_bag

        self._recording = open_bag(recording.source)  # its own: what it lacks is not counted twice
        self._samples, self._camera = self._recording.samples((camera,), (), kinds), camera
        self._next: Sample | None = next(self._samples, None)

    def at(self, stamp_ns: int) -> CameraImage | None:
        """The labels at ``stamp_ns``, None where there are none; earlier ones are gone."""
        while self._next is not None and self._next.frame.stamp_ns < stamp_ns:
            self._next = next(self._samples, None)
        found = self._next
        return found.truth.labels[self._camera] if found is not None and found.frame.stamp_ns == stamp_ns else None


def _fitted(array: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    """``array`` at the size of the labels.

    Raises:
        ConfigError: its aspect is another, so that it does not lie over the camera's picture.
    """
    (rows, columns), (height, width) = array.shape, shape
    if abs(columns * height / (rows * width) - 1.0) > 0.05:
        raise ConfigError(f"output '{name}' of the camera's aspect {width}x{height}", f"{columns}x{rows}",
                          "give recordings of the camera that the model was made for")
    return resize_nearest(array, shape)


def _write(out: Path, result: Mapping[str, Any], judge: _Judge) -> None:
    from kd_planner_ros.core.files import write_text
    from kd_planner_ros.evaluation.dense_pictures import write_strip

    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "dense.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    write_text(out / "dense.md", "\n".join(table(result)) + "\n")
    if judge.strip:
        write_strip(out / "strip.png", judge.strip)
