"""What a DistillDrive teacher is trained on: the scene itself, with where road users were and will be, and the way that was driven."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.networks.distilldrive.config import EXPECTED, FULL_BEHIND_M, LIKELIEST, MEASURED, PREDICTED
from kd_planner_ros.networks.distilldrive.loss import Pairs
from kd_planner_ros.networks.distilldrive.memory import with_ego
from kd_planner_ros.networks.distilldrive.options import RecordedCar
from kd_planner_ros.networks.distilldrive.reinforcement import FORMS
from kd_planner_ros.networks.distilldrive.scene import padded
from kd_planner_ros.networks.distilldrive.task import PLANNING, SCENE_ARRAYS, SceneTask
from kd_planner_ros.networks.distilldrive.training import ego_arrays
from kd_planner_ros.networks.distilldrive_teacher.config import AGENT_INPUTS, SCORES
from kd_planner_ros.networks.distilldrive_teacher.model import empty_memory
from kd_planner_ros.networks.distilldrive_teacher.processor import DistillDriveTeacherProcessor, reordered
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.training import OptimiserDefaults, Stage

OPTIMISER = OptimiserDefaults("adamw", 1e-3)
STAGES = (Stage("planning", ramps={"reinforcement": (0.0, 10.0)}),)


@dataclass(frozen=True)
class TrainOptions(RecordedCar):
    """The teacher's own training options."""

    agent_input: str = field(default="both", metadata={
        "help": "what it reads of road users: both (past and future, to teach), history (an honest planner) or future",
        "choices": AGENT_INPUTS})
    signals: bool = field(default=True, metadata={"help": "stop lines with the colour of their light as map elements; off: as published",
                                                  "input": True})
    speed: str = field(default=MEASURED, metadata={
        "help": "the car's own speed that the teacher gets: measured, or predicted by itself 0.5 s before (the published method)",
        "choices": (MEASURED, PREDICTED)})
    target: bool = field(default=True, metadata={
        "help": "it gets the route's next point beside the command; off: the published method"})
    choice: str = field(default=EXPECTED, metadata={
        "help": "the candidate that is the trajectory: that of the least expected distance to all six by their probabilities, or the "
        "likeliest (the published method)", "choices": (EXPECTED, LIKELIEST)})
    horizon_s: float = field(default=3.0, metadata={"help": "how far trajectories reach, seconds, in steps of 0.5",
                                                    "low": 1.0, "high": 10.0})
    plan_score: str = field(default="distribution", metadata={
        "help": "how the choice is taught: distribution, with a status for each trajectory and the reinforcement term, or label",
        "choices": SCORES})
    reinforcement: str = field(default="repo", metadata={
        "help": "the Q-network's form with plan_score distribution: repo (as published), td (Q-learning on the next status) or off",
        "choices": FORMS})
    plan_space: str = field(default="offsets", metadata={
        "help": "the trajectory's loss: offsets (step by step, as published) or cumulative (place by place)",
        "choices": ("offsets", "cumulative")})


class DistillDriveTeacherTask(SceneTask):
    """A sample: the scene. No picture is read; the front camera's stamps say when a sample is taken, so that each belongs to one of the
    student's."""

    cameras = ("front",)
    pictures = ()

    def __init__(self, processor: DistillDriveTeacherProcessor, options: TrainOptions = TrainOptions()):
        config = processor.config
        form = options.reinforcement if config.plan_score == "distribution" else "off"
        super().__init__(config, empty_memory(config), form, config.plan_score, options.plan_space)
        self.processor = processor
        self.weights = PLANNING | ({} if self.rl is not None else {"reinforcement": 0.0})

    @property
    def key(self) -> Mapping[str, Any]:
        """The part of the scene that is looked at, and the counts."""
        config = self.processor.config
        return {"size": config.size, "signals": config.signals, "agent_input": config.agent_input, "history_s": config.history_s,
                "part": [config.range_m, config.ahead_m, config.behind_m, config.side_m]}

    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """``MAIN`` without a pixel, ``pose``, ``status``, ``next_status`` and the scene's arrays; None where no object list belongs to the
        instant."""
        frame = frames[0]
        if frame.scene is None:
            return None
        return {MAIN: np.zeros((0, 0, 3), np.uint8), **ego_arrays(frame, tick), **self.processor.arrays(frame)}

    def augment(self, arrays: Mapping[str, np.ndarray], probability: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Nothing."""
        return {}

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """The scene, and what each slot remembers of the road users in it."""
        device = arrays["boxes"].device
        scene = padded({name: arrays[name].cpu().numpy() for name in SCENE_ARRAYS})
        ids = arrays["ids"].cpu().numpy().astype(np.int64)
        entries = [reordered(entry, own) for entry, own in zip(self.slots.entries(rows["stamp"]), ids, strict=True)]
        past = self.slots.recall(rows["stamp"], arrays["pose"].cpu().numpy(), device, ids, entries)
        past = with_ego(past, np.where(hidden_speed, np.nan, rows["speed"]), rows["target"], self.scene_config)
        return {**{name: torch.from_numpy(one).to(device) for name, one in scene.items()}, **past}

    def parts(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
        """See ``plan_losses`` and ``motion_losses``; every road user is its own token."""
        pairs: Pairs = []
        for kinds in targets["kinds"]:
            slots = (kinds >= 0).nonzero()[:, 0]
            pairs.append((slots, slots))
        return self.planning(outputs, targets, pairs)


def config_fields(size: str, options: TrainOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """Size and switches; no camera shapes a teacher."""
    return {"size": size, "agent_input": options.agent_input, "signals": options.signals, "horizon_s": options.horizon_s,
            "speed": options.speed, "target": options.target, "choice": options.choice, "plan_score": options.plan_score,
            **options.car_fields(), **({"behind_m": FULL_BEHIND_M} if size == "full" else {})}


def build_task(processor: DistillDriveTeacherProcessor, options: TrainOptions = TrainOptions()) -> DistillDriveTeacherTask:
    """The task for ``processor``."""
    return DistillDriveTeacherTask(processor, options)
