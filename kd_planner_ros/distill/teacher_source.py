"""One teacher of a run and where its inputs come from: the student's own arrays, or samples of its own.

A teacher of the student's network, input and camera shares the student's samples. Any other one has a task of its own, whose
samples are made from the same recordings, in shards of their own, and are paired with the student's by their stamps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.distill import teacher_cache
from kd_planner_ros.distill.methods.base import Answers
from kd_planner_ros.distill.teacher import Teacher
from kd_planner_ros.distill.teacher_cache import BATCH, TeacherCache
from kd_planner_ros.networks.registry import find_network, find_training
from kd_planner_ros.networks.training import LearningTask, is_recurrent
from kd_planner_ros.samples.dataset import Batch
from kd_planner_ros.samples.rows import begins
from kd_planner_ros.samples.shards import Shard, build_shards

ARRAY, ROWS = "array.", "rows"
Place = tuple[Shard, int]


class TeacherSource:
    """Teacher number ``number`` of a run for a student of ``network`` with ``config``, whose task is ``task``."""

    def __init__(self, teacher: Teacher, number: int, network: str, config: Any, task: LearningTask):
        self.teacher = teacher
        self.prefix = f"teacher{number + 1 if number else ''}."
        self.shared = teacher.shares_inputs(network, config) and not is_recurrent(task)
        self.task = task if self.shared else _task_of(teacher)
        self._own: dict[Shard, tuple[Shard, np.ndarray]] = {}
        self._cache: TeacherCache | None = None
        if not self.shared:
            teacher.after_forward = self.task.end_step

    # --- before the first step ---------------------------------------------------------------------------------------

    def attach(self, bags: Mapping[Shard, Path], cache: Path, fields: Sequence[str], keep: bool, progress: bool) -> None:
        """Make the teacher's samples for those of ``bags`` in the folder ``cache``, and its answers where they are kept."""
        shards = list(bags)
        if not self.shared:
            shards = build_shards(list(bags.values()), cache, self.task, progress, self.teacher.config.rig)
            self._own = {mine: (other, _partner(mine, other)) for mine, other in zip(bags, shards, strict=True)}
        if keep and fields:
            batch = 1 if is_recurrent(self.task) else BATCH
            self._cache = teacher_cache.build(shards, self.teacher, fields, self._encode, progress, batch)

    def lacking(self, shard: Shard) -> np.ndarray:
        """Which samples [N] of the student's ``shard`` the teacher has no sample for."""
        return self._own[shard][1] < 0 if shard in self._own else np.zeros(len(shard.rows), bool)

    def keeps(self, fields: Sequence[str]) -> bool:
        """Whether every one of ``fields`` comes from the disk; those too large to keep are computed in each step."""
        return self._cache is not None and set(fields) <= set(self._cache.kept)

    def _encode(self, shard: Shard, rows: slice) -> dict[str, Tensor]:
        if not self.shared:
            self.task.begin_step(begins(shard.rows["stamp"])[rows])
        return self._inputs(shard.rows[rows], self._upload(shard.arrays(rows)))

    # --- in each step ------------------------------------------------------------------------------------------------

    def extras(self, places: Sequence[Place]) -> dict[str, np.ndarray]:
        """What the disk holds for the student's samples at ``places``: answers, else arrays of the teacher's own."""
        places = [self._place(*place) for place in places]
        found = {} if self._cache is None else self._cache.fetch(places)
        if not self.shared and (self._cache is None or not self._cache.kept):
            arrays = [shard.arrays(slice(row, row + 1)) for shard, row in places]
            found |= {ARRAY + name: np.concatenate([one[name] for one in arrays]) for name in arrays[0]}
            found[ROWS] = np.stack([shard.rows[row] for shard, row in places])
        return {self.prefix + name: array for name, array in found.items()}

    def answers(self, batch: Batch, fields: Sequence[str], student: Callable[[], Mapping[str, Tensor]]) -> Answers:
        """The teacher's ``fields`` for ``batch``; ``student`` gives the inputs that a sharing teacher reads."""
        found: dict[str, Any] = {
            name: torch.from_numpy(batch.extras[self.prefix + name]).to(self.teacher.device).float()
            for name in fields if self.prefix + name in batch.extras}
        if missing := [name for name in fields if name not in found]:
            found |= self.teacher.fields(student() if self.shared else self._own_inputs(batch), missing)
        return found

    def _own_inputs(self, batch: Batch) -> dict[str, Tensor]:
        arrays = {name.removeprefix(self.prefix + ARRAY): array for name, array in batch.extras.items()
                  if name.startswith(self.prefix + ARRAY)}
        self.task.begin_step(batch.reset)
        return self._inputs(batch.extras[self.prefix + ROWS], self._upload(arrays))

    def _inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs with speed and target point as they were recorded."""
        return self.task.inputs(rows, arrays, np.zeros(len(rows), bool))

    def _upload(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {name: torch.from_numpy(array).to(self.teacher.device) for name, array in arrays.items()}

    def _place(self, shard: Shard, row: int) -> Place:
        if shard not in self._own:
            return shard, row
        other, partner = self._own[shard]
        if partner[row] < 0:
            raise BagError(f"a sample of teacher '{self.teacher.name}' for every sample of {shard.facts['bag']}",
                           f"none at {int(shard.rows['stamp'][row])} ns", "give a teacher that reads the same sensors, or record again")
        return other, int(partner[row])

    # --- for the checkpoint and the card -----------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, Any]:
        """As the card holds it. Its maps are named, because a teacher must not have been trained on the
        evaluation map either."""
        card = self.teacher.card
        return {"name": card.name, "sha256": card.weights_sha256, "parameters": card.parameters,
                "data": {"maps": sorted(card.maps_seen)}}


def _task_of(teacher: Teacher) -> LearningTask:
    network, training = find_network(teacher.network), find_training(teacher.network)
    return training.build_task(network.build_processor(teacher.config), training.options())


def _partner(mine: Shard, other: Shard) -> np.ndarray:
    """Row of ``other`` with the stamp of each row of ``mine`` [N]; -1 where there is none."""
    stamps = other.rows["stamp"]
    order = np.argsort(stamps, kind="stable")
    if not len(order):
        return np.full(len(mine.rows), -1)
    rows = order[np.searchsorted(stamps, mine.rows["stamp"], sorter=order).clip(max=len(order) - 1)]
    return np.where(stamps[rows] == mine.rows["stamp"], rows, -1)
