"""Evaluation of a perceiver's dense outputs and numbers against recorded labels, each beside trivial baselines."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from kd_planner_ros.bags.source import find_sources
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.folders import make_folder
from kd_planner_ros.evaluation.dense.config import SOURCES, DenseConfig
from kd_planner_ros.evaluation.dense.instants import Instant, bag_instants
from kd_planner_ros.evaluation.dense.judge import Judge
from kd_planner_ros.evaluation.dense.table import recordings_table, seen_lines, table
from kd_planner_ros.evaluation.seen_maps import Part, known_parts, part_of, trained_on

if TYPE_CHECKING:
    from kd_planner_ros.networks.planner import Perceiver

__all__ = ["DenseConfig", "run", "score"]


class LabelledFrames(Protocol):
    """Where frames with labels come from."""

    def __len__(self) -> int:
        """Recordings, or sequences of a data set."""

    def instants(self, perceiver: Perceiver) -> Iterator[Instant]:
        """Every frame; the perceiver is reset where a recording begins."""

    def facts(self) -> dict[str, Any]:
        """What was left out, by name, and ``notes`` by recording; after the frames were read."""

    def parts(self) -> list[Part]:
        """What each recording shows (``seen_maps.part_of``), after the frames were read; none of pictures that are of no map."""


def run(config: DenseConfig, progress: bool = True) -> dict[str, Any]:
    """Figures of everything that recorded labels can judge, by its name under ``outputs``.

    Each holds the figures of its measure over all frames, and under ``second_half`` the same over the second half alone, beside those
    of ``baselines`` that were fitted to the first half. ``recordings`` has the figures of each recording. ``not_scored`` says why an
    output has none; ``frames``, ``incomplete`` and ``unlabelled`` count the frames that were seen, lacked a sensor, and lacked
    labels. ``trained_on`` names those of the recordings' maps that the model was trained on (``seen_maps.trained_on``). ``speed`` has
    milliseconds a frame.

    Raises:
        BagError: no recording, a broken one, one that lacks a topic the model needs, or no label for any output.
        PlannerError, CardError: from the model.
        ConfigError: an option out of range, no or several sources, or outputs of another shape than the camera's picture.
        OSError: OUT cannot be made.
    """
    from kd_planner_ros.networks.planner import PERCEIVER
    from kd_planner_ros.runtime.facts import model_place
    from kd_planner_ros.runtime.load import load_perceiver

    check_fields(config)
    frames = _source(config)
    place = model_place(config.model, str(config.models_dir or ""), PERCEIVER)
    if config.out is not None:
        make_folder(config.out)
    perceiver = load_perceiver(place, config.device, config.engine, config.models_dir)
    return score(perceiver, frames, config, progress)


def score(perceiver: Perceiver, frames: LabelledFrames, config: DenseConfig, progress: bool = True) -> dict[str, Any]:
    """As ``run``, for a perceiver that is loaded and frames that were found."""
    from tqdm import tqdm

    judge, clock = Judge(config), _Clock()
    shown = tqdm(frames.instants(perceiver), unit="frame", desc=perceiver.name, disable=not progress, dynamic_ncols=True)
    for instant in clock.read(shown):
        seen = perceiver.perceive(instant.frame)
        clock.lap("network_ms")
        judge.take(seen, instant)
        clock.lap("judging_ms")
    found = {"model": perceiver.name, "source": source_of(config), "bags": len(frames), "max_depth_m": config.max_depth_m, **judge.result(),
             **frames.facts(), "trained_on": _trained_on(perceiver, frames, config), "speed": clock.result(judge.frames)}
    if not found["outputs"]:
        raise BagError(f"labels for a dense output of '{perceiver.name}' in {getattr(config, source_of(config))}",
                       "; ".join(f"{name}: {reason}" for name, reason in found["not_scored"].items()) or "no output",
                       "record depth and semantic labels of the model's camera, or give another model")
    if config.out is not None:
        _write(Path(config.out), found, judge)
    return found


def _trained_on(perceiver: Perceiver, frames: LabelledFrames, config: DenseConfig) -> list[str]:
    card = getattr(perceiver, "card", None)  # one of plain code has none
    return [] if card is None else trained_on(card, known_parts(frames.parts(), str(getattr(config, source_of(config)))))


def source_of(config: DenseConfig) -> str:
    """Which of ``SOURCES`` is given.

    Raises:
        ConfigError: none, or several.
    """
    given = [name for name in SOURCES if getattr(config, name) is not None]
    if len(given) != 1:
        raise ConfigError("one of " + ", ".join(f"--{name}" for name in SOURCES), " and ".join(f"--{name}" for name in given) or "none",
                          "give one of them")
    return given[0]


def _source(config: DenseConfig) -> LabelledFrames:
    kind = source_of(config)
    if config.split and kind == "bag":
        raise ConfigError("--split with --kitti or --cityscapes", "--split with --bag", "leave it out, or name the recordings' folders")
    if kind == "bag":
        assert config.bag is not None
        return Bags(find_sources([config.bag], config.role_name, config.camera))
    if config.camera or config.role_name:
        raise ConfigError("--camera and --role-name with --bag", f"one of them with --{kind}", "leave it out")
    from kd_planner_ros.evaluation.dense.datasets import find_dataset

    return find_dataset(config)


class Bags:
    """Recordings at ``folders``, one after another."""

    def __init__(self, folders: Sequence[Any]):
        self._folders = list(folders)
        self._names = unique_names([Path(folder) for folder in self._folders])
        self._incomplete, self._notes = 0, {}  # type: ignore[var-annotated]
        self._parts: list[Part] = []

    def __len__(self) -> int:
        return len(self._folders)

    def instants(self, perceiver: Perceiver) -> Iterator[Instant]:
        """See ``LabelledFrames``."""
        from kd_planner_ros.bags.reader import open_bag

        for number, (folder, name) in enumerate(zip(self._folders, self._names, strict=True)):
            with open_bag(folder) as recording:
                perceiver.reset()
                self._parts.append(part_of(recording))
                yield from bag_instants(perceiver, recording, name, (number / len(self), (number + 1) / len(self)))
                self._incomplete += recording.incomplete
                self._notes |= {str(recording.path): list(recording.notes)} if recording.notes else {}

    def facts(self) -> dict[str, Any]:
        """``incomplete`` instants, and notes."""
        return {"incomplete": self._incomplete, **({"notes": self._notes} if self._notes else {})}

    def parts(self) -> list[Part]:
        """See ``LabelledFrames``."""
        return self._parts


def unique_names(paths: Sequence[Path]) -> list[str]:
    """The last part of each path; where two would be the same, all parts behind those that all paths share."""
    names = [path.name for path in paths]
    if len(set(names)) == len(names):
        return names
    shared = os.path.commonpath([path.absolute() for path in paths])
    return [os.path.relpath(path.absolute(), shared) for path in paths]


class _Clock:
    """Seconds that went by in each part of the work."""

    def __init__(self) -> None:
        self._spent = {"reading_ms": 0.0, "network_ms": 0.0, "judging_ms": 0.0}
        self._last = time.perf_counter()

    def lap(self, part: str) -> None:
        """What went by since the last call belongs to ``part``."""
        now = time.perf_counter()
        self._spent[part] += now - self._last
        self._last = now

    def read(self, instants: Any) -> Iterator[Instant]:
        """``instants``; the time that each takes to come is ``reading_ms``."""
        for one in instants:
            self.lap("reading_ms")
            yield one

    def result(self, frames: int) -> dict[str, float]:
        """Milliseconds a frame of each part, and ``frames_per_s`` of all."""
        count, total = max(frames, 1), sum(self._spent.values())
        return {**{part: round(1e3 * spent / count, 3) for part, spent in self._spent.items()},
                "frames_per_s": round(frames / max(total, 1e-9), 3)}


def _write(out: Path, result: Mapping[str, Any], judge: Judge) -> None:
    from kd_planner_ros.core.files import write_text
    from kd_planner_ros.imaging.dense_strip import write_strip

    out.mkdir(parents=True, exist_ok=True)
    write_text(out / "dense.json", json.dumps(result, indent=1, sort_keys=True) + "\n")
    lines = [*table(result), "", *recordings_table(result), *seen_lines(result)]
    write_text(out / "dense.md", "\n".join(lines) + "\n")
    if judge.strip:
        write_strip(out / "strip.png", judge.strip)
