"""What to score, and over what."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.horizons import read_horizons
from kd_planner_ros.evaluation.pdm.scene import STEP_S

CONSTANT_SPEED = "constant-speed"
LONGER = f" + {CONSTANT_SPEED}"
"""What the name of a row ends with whose plans go on so."""
SHORTEST_S, LONGEST_S = 1.5, 8.0


@dataclass(frozen=True)
class PdmsConfig:
    """What to score. Each field is an option of ``kd-planner evaluate pdms``."""

    bag: tuple[Path, ...] = field(metadata={
        "help": "rosbag2 folders with recorded road users and signals, or folders of them; several recordings of one drive with different "
        "sensors count as one drive"})
    planners: tuple[str, ...] = field(default=(), metadata={
        "help": "planners to score: folders of models/, paths to them, constant_velocity or expert (default: all shipped planners, "
        "constant_velocity and expert)"})
    horizons: tuple[float, ...] = field(default=(2.0, 3.0, 4.0), metadata={
        "help": "times over which plans are driven, seconds, increasing; a plan that ends earlier is not scored there",
        "parse": read_horizons, "metavar": "S,S,..."})
    extend: str = field(default="", metadata={
        "help": "what follows the last waypoint of a plan that ends before a horizon, in rows of its own; constant-speed: the "
        "direction and the speed of its last stretch (default: nothing, the plan is not scored there)", "choices": ("", CONSTANT_SPEED)})
    every_s: float = field(default=1.0, metadata={
        "help": "a scene begins every so many seconds of a recording", "low": STEP_S, "high": 600.0})
    scenes: int = field(default=0, metadata={"help": "at most so many scenes, drawn from the seed; 0: all", "low": 0})
    disturbed: bool = field(default=False, metadata={
        "help": "also scenes in which the recorded driver was pushed off its line on purpose, or a student drove"})
    ignore_touching: bool = field(default=False, metadata={
        "help": "leave out whoever touches the car at the beginning of a scene (default: such a contact counts, as in navsim)"})
    baseline: str = field(default="constant_velocity", metadata={
        "help": "planner that the others are compared with, scene by scene, where it is one of them; labels (models that differ in the "
        "training seed alone) are compared with its label, or with the label of this name"})
    seed: int = field(default=0, metadata={"help": "seed of the drawn scenes and of the intervals", "low": 0})
    resamples: int = field(default=2000, metadata={
        "help": "resamples behind each interval (95 %%, bootstrap over blocks of time)", "low": 100, "high": 100_000})
    block_s: float = field(default=10.0, metadata={"help": "length of the blocks of time, seconds", "low": 1.0, "high": 3600.0})
    map: str = field(default="", metadata={
        "help": "the recordings' map: default, generated:SEED, or a .net.xml or .xodr file (default: the one that each recording names)"})
    out: Path | None = field(default=None, metadata={
        "help": "folder for pdms.json, pdms.md, scenes.jsonl and the plans; the same command goes on there (default: nothing is written)"})
    device: str = field(default="cpu", metadata={"help": "where the networks run: cpu, cuda, cuda:1 ..."})
    engine: str = field(default="auto", metadata={"help": "inference engine", "choices": ("auto", "torch", "openvino", "onnxruntime")})
    models_dir: Path | None = field(default=None, metadata={"help": "folder of models (default: the shipped ones)"})
    role_name: str | None = field(default=None, metadata={"help": ROLE_HELP})
    camera: tuple[str, ...] = field(default=(), metadata={"help": CAMERA_HELP, "metavar": "NAME=RECORDED"})


def require_horizons(horizons: tuple[float, ...]) -> dict[float, int]:
    """The steps of ``STEP_S`` of each of ``horizons``.

    Raises:
        ConfigError: none, one out of range or no multiple of a step, or two that do not increase.
    """
    steps = {horizon: round(horizon / STEP_S) for horizon in horizons if math.isfinite(horizon)}
    rising = all(before < one for before, one in zip(horizons, horizons[1:], strict=False))
    fit = all(SHORTEST_S <= horizon <= LONGEST_S and abs(horizon - count * STEP_S) < 1e-9 for horizon, count in steps.items())
    if not horizons or len(steps) != len(horizons) or not rising or not fit:
        raise ConfigError(f"--horizons of increasing seconds from {SHORTEST_S:g} to {LONGEST_S:g}, multiples of {STEP_S:g}",
                          ", ".join(f"{one:g}" for one in horizons) or "none", "correct them, e.g. --horizons 2,3,4")
    return steps
