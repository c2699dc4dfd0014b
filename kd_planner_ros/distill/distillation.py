"""A training run's way of distilling, as the learner holds it: the teacher, the method, and what each batch needs besides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.distill import scene_cache, teacher_cache
from kd_planner_ros.distill.config import EVALUATION_MAPS, TrainConfig
from kd_planner_ros.distill.losses.attention import measurement
from kd_planner_ros.distill.losses.maps import Stage
from kd_planner_ros.distill.methods.build import build_distiller, switches_of
from kd_planner_ros.distill.parallel import Group
from kd_planner_ros.distill.scene_cache import SceneCache, SceneKind
from kd_planner_ros.distill.teacher import load_teacher
from kd_planner_ros.distill.teacher_cache import TeacherCache
from kd_planner_ros.geometry.frames import base_to_planner
from kd_planner_ros.networks.blocks.inputs import COMMANDS, command_index
from kd_planner_ros.networks.training import Lessons
from kd_planner_ros.samples.dataset import Batch
from kd_planner_ros.samples.shards import Shard
from kd_planner_ros.wire.topics import TRUTH_STATE

_TEACHER = "teacher."
"""Prefix of the teacher's fields among a batch's extras."""


def no_states(bag: Path) -> BagError:
    """What is said of a recording without planning states."""
    return BagError(f"planning states on {TRUTH_STATE} in {bag}", "none",
                    "record them with the expert; without them imitation, AT, ReviewKD, DPK and PlanKD with --no-bottleneck work")


class Distillation:
    """``method`` of ``config`` for a student with the network config ``student``.

    Raises:
        PlannerError, CardError, ConfigError: no such teacher, one that does not fit, or one that knows the evaluation map.
    """

    def __init__(self, config: TrainConfig, student: Any, lessons: Lessons, group: Group):
        self.config, self.lessons, self.group = config, lessons, group
        self.teacher = None
        if config.method != "imitation" and config.teacher:
            self.teacher = load_teacher(config.teacher, config.network, student, group.device, EVALUATION_MAPS,
                                        config.allow_leak, config.models_dir)
        switches = switches_of(config, student) if config.method == "plankd" else None
        self.method = build_distiller(config.method, config.network, student, self.teacher and self.teacher.config, switches,
                                      group.average).to(group.device)
        self._answers: TeacherCache | None = None
        self._scenes: SceneCache | None = None

    # --- before the first step ---------------------------------------------------------------------------------------

    def attach(self, bags: Mapping[Shard, Path]) -> None:
        """Make what is kept on disk for the samples of ``bags`` (each shard's recording); the leader builds, the others wait.

        Raises:
            BagError, MapError: a recording lacks the ground truth that the method needs.
        """
        self._require_states(bags)
        self.group.leader_first(lambda: self._build(bags))

    def _build(self, bags: Mapping[Shard, Path]) -> None:
        progress = self.config.progress and self.group.leads
        if "bev" in self.method.needs:
            self._scenes = scene_cache.build(bags, self.config.maps_dir, progress,
                                             SceneKind(self.config.bev_px_per_m, self.config.obstacle_mps))
        if self.teacher is not None and self.config.teacher_cache:
            self._answers = teacher_cache.build(list(bags), self.teacher, self.method.teacher_fields, self._encode, progress)

    def _require_states(self, bags: Mapping[Shard, Path]) -> None:
        if "states" not in self.method.needs:
            return
        for shard, bag in bags.items():
            if len(shard.rows) and (shard.rows["states"] < 0).all():
                raise no_states(bag)

    def _encode(self, shard: Shard, rows: slice) -> dict[str, Tensor]:
        """The teacher's inputs for clean pictures of ``shard``."""
        return self._inputs(shard.rows[rows], shard.arrays(rows))

    def _inputs(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """The teacher is told speed and target point as they were recorded."""
        there = {name: torch.from_numpy(array).to(self.group.device) for name, array in arrays.items()}
        return self.lessons.inputs(rows, there, np.zeros(len(rows), bool))

    # --- in each step ------------------------------------------------------------------------------------------------

    def extras(self, places: Sequence[tuple[Shard, int]]) -> dict[str, np.ndarray]:
        """What the disk holds for the samples at ``places``; called from the thread that reads."""
        found = self._scenes.fetch(places) if self._scenes is not None else {}
        if self._answers is not None:
            found |= {_TEACHER + name: array for name, array in self._answers.fetch(places).items()}
        return found

    def terms(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], batch: Batch, epoch: float,
              inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(weighted terms to add to the network's own loss, figures for the log); ``inputs`` are the student's."""
        terms = self.method.losses(outputs, self._teacher_says(batch, inputs), self._truth(targets, batch), epoch)
        return terms, self.method.report()

    def learn_alone(self, targets: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """One step of what the method learns without the student; figures for the log."""
        return self.method.learn_alone(self._teacher_says(batch), self._truth(targets, batch))

    def _teacher_says(self, batch: Batch, student: Mapping[str, Tensor] | None = None) -> dict[str, Stage]:
        """Its fields of ``batch``; ``student`` are the student's inputs, which are its own where all is told as recorded."""
        wanted = self.method.teacher_fields
        found: dict[str, Stage] = {
            name: torch.from_numpy(batch.extras[_TEACHER + name]).to(self.group.device).float()
            for name in wanted if _TEACHER + name in batch.extras}
        missing = [name for name in wanted if name not in found]
        if missing and self.teacher is not None:
            alike = student is not None and not batch.hidden_speed.any() and batch.told.tobytes() == batch.rows.tobytes()
            found |= self.teacher.fields(student if alike else self._inputs(batch.rows, batch.arrays), missing)
        return found

    def _truth(self, targets: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        needs, rows, device = self.method.needs, batch.rows, self.group.device
        truth = {name: targets[name] for name in ("waypoints", "waypoints_mask")}
        if "states" in needs:
            truth["states"] = torch.from_numpy(rows["states"].astype(np.int64)).to(device)
        if "bev" in needs:
            truth["bev"] = torch.from_numpy(batch.extras["bev"]).to(device).permute(0, 3, 1, 2)
            places = batch.extras["obstacles"]
            places = np.where((places != 0.0).any(-1, keepdims=True), base_to_planner(places), np.nan)
            truth["obstacles"] = torch.from_numpy(places.astype(np.float32)).to(device)
        if "measured" in needs:
            one_hot = nn.functional.one_hot(torch.from_numpy(command_index(rows["command"])), COMMANDS)
            truth["measured"] = measurement(one_hot, torch.from_numpy(rows["speed"].astype(np.float32))).to(device)
        return truth

    @property
    def _answers_kept(self) -> bool:
        """Whether every answer comes from the disk: those too large to keep are asked for in each step."""
        return self._answers is not None and set(self.method.teacher_fields) <= set(self._answers.kept)

    # --- for the card ------------------------------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """Method, switches and teacher as the card has them; the teacher's maps are named, for it may not know the
        evaluation map either."""
        if self.teacher is None:
            return {}
        card = self.teacher.card
        return {"method": self.method.name, "switches": self.method.switches(), "teacher_sees": (
                    "the clean picture" if self._answers_kept else "the student's augmented picture"),
                "teacher": {"name": card.name, "sha256": card.weights_sha256, "parameters": card.parameters,
                            "data": {"maps": sorted(card.maps_seen)}}}
