"""The distillation of a training run: teachers, methods of the stages, and further arrays of each batch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.config import EVALUATION_MAPS, TrainConfig, stages_of
from kd_planner_ros.distill.methods.base import Answers, Distiller, MethodContext
from kd_planner_ros.distill.methods.registry import IMITATION, find_method
from kd_planner_ros.distill.parallel import Group
from kd_planner_ros.distill.teacher import load_teacher, require_same_inputs
from kd_planner_ros.distill.teacher_source import TeacherSource
from kd_planner_ros.networks.registry import find_training
from kd_planner_ros.networks.training import LearningTask
from kd_planner_ros.samples.dataset import Batch, Samples
from kd_planner_ros.samples.shards import Shard

Inputs = Callable[[], Mapping[str, Tensor]]


class Distillation:
    """The methods of ``config`` for a student with the network config ``student``.

    Raises:
        PlannerError, CardError, ConfigError: no such teacher, one that does not fit, or one that knows the evaluation map.
    """

    def __init__(self, config: TrainConfig, student: Any, task: LearningTask, group: Group):
        self.config, self.task, self.group = config, task, group
        names = dict.fromkeys((config.method, *(stage.method for stage in stages_of(config) if stage.method)))
        teachers = [load_teacher(name, group.device, EVALUATION_MAPS, config.allow_leak, config.models_dir)
                    for name in config.teachers] if set(names) != {IMITATION} else []
        self.sources = [TeacherSource(one, number, config.network, student, task) for number, one in enumerate(teachers)]
        self.methods = {name: self._build(name, student) for name in names}
        self.method = self.methods[config.method]

    def _build(self, name: str, student: Any) -> Distiller:
        config, method = self.config, find_method(name)
        teachers = tuple(source.teacher for source in self.sources)
        if wanted := method.accepts(config.network, [one.network for one in teachers]):
            got = ", ".join(f"'{one.name}' of network {one.network}" for one in teachers) or "none"
            raise ConfigError(f"{wanted} for method '{name}'", got, "correct --teacher, or choose another method")
        for teacher in teachers if method.shared_inputs and name != IMITATION else ():
            require_same_inputs(teacher, config.network, student)
        defaults = find_training(config.network).method_defaults.get(name, {})
        return method.build(MethodContext(config.network, student, teachers, self.task, config.options(name), defaults,
                                          self.group.average)).to(self.group.device)

    def before_training(self, run: Any) -> bool:
        """What every method learns before the first step; whether all came to their end."""
        present = self.method
        try:
            for one in self.methods.values():
                self.method = one
                if not one.before_training(run):
                    return False
            return True
        finally:
            self.method = present

    def begin_stage(self, method: str | None) -> None:
        """Use ``method`` from now on; None: the run's own."""
        self.method = self.methods[method or self.config.method]

    # --- before the first step ---------------------------------------------------------------------------------------

    def attach(self, bags: Mapping[Shard, Path]) -> None:
        """Build the files on disk for the samples of ``bags`` (each shard's recording); each process builds those of some of them.

        Raises:
            BagError, MapError: a recording lacks the ground truth that a method needs.
        """
        for method in self.methods.values():
            method.require(bags)
        self.group.leader_first(lambda: self._attach(bags), lambda: self._attach(dict(self.group.part_of(tuple(bags.items())))))

    def _attach(self, bags: Mapping[Shard, Path]) -> None:
        progress = self.config.progress and self.group.leads
        for method in self.methods.values():
            method.attach(bags, progress)
        keep = self.config.teacher_cache and all(method.keeps_answers for method in self.methods.values())
        for number, source in enumerate(self.sources):
            source.attach(bags, self.config.cache, self._fields(number), keep, progress)

    def _fields(self, number: int) -> tuple[str, ...]:
        """Every field that a method reads of teacher ``number``."""
        return tuple(dict.fromkeys(name for method in self.methods.values() for name in method.fields_of(number)))

    def usable(self, samples: Samples) -> np.ndarray:
        """Which of ``samples`` every teacher has a sample for, bool [N]; the others are counted on stderr."""
        lacking = [np.concatenate([source.lacking(shard) for shard in samples.shards]) for source in self.sources]
        for source, one in zip(self.sources, lacking, strict=True):
            if one.any() and self.group.leads:
                print(f"{int(one.sum())} of {len(one)} samples left out: teacher '{source.teacher.name}' has no sample at their stamps",
                      file=sys.stderr)
        return ~np.any(lacking, axis=0) if lacking else np.ones(len(samples), bool)

    def buffers(self) -> dict[str, Tensor]:
        """Buffers of the student, by name, that the teachers of its methods fix."""
        return {name: one for method in self.methods.values() for name, one in method.buffers().items()}

    # --- in each step ------------------------------------------------------------------------------------------------

    def extras(self, places: Sequence[tuple[Shard, int]]) -> dict[str, np.ndarray]:
        """What the disk holds for the samples at ``places``; called from the thread that reads."""
        found: dict[str, np.ndarray] = dict(self.method.fetch(places))
        for number, source in enumerate(self.sources):
            found |= source.extras(places) if self.method.fields_of(number) else {}
        return found

    def terms(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], batch: Batch, epoch: float,
              inputs: Inputs) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """(weighted terms to add to the task's loss, figures for the log); ``inputs`` gives what a teacher reads that shares the
        student's samples."""
        terms = self.method.losses(outputs, self._answers(batch, inputs), self._truth(targets, batch), epoch)
        return terms, self.method.report()

    def learn_alone(self, targets: Mapping[str, Tensor], batch: Batch, inputs: Inputs) -> dict[str, Tensor]:
        """One step of what the method learns without the student; figures for the log."""
        return self.method.learn_alone(self._answers(batch, inputs), self._truth(targets, batch))

    def _answers(self, batch: Batch, inputs: Inputs) -> list[Answers]:
        return [source.answers(batch, self.method.fields_of(number), inputs) for number, source in enumerate(self.sources)]

    def _truth(self, targets: Mapping[str, Tensor], batch: Batch) -> Mapping[str, Tensor]:
        return self.method.truth(targets, batch, self.group.device)

    # --- checkpoint and card -----------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """State of every method beside the run's own, and the memory of recurrent teachers."""
        return {"methods": {name: one.state() for name, one in self.methods.items() if name != self.config.method},
                "memories": [source.task.memory() for source in self.sources if not source.shared]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Back to what ``state`` gave."""
        for name, values in state.get("methods", {}).items():
            self.methods[name].restore(values)

    def restore_memories(self, memories: Sequence[Any] | None) -> None:
        """Give each recurrent teacher the memory that ``state`` held; None: every slot begins anew."""
        own = [source for source in self.sources if not source.shared]
        for source, memory in zip(own, memories or [None] * len(own), strict=True):
            source.task.restore_memory(memory)

    @property
    def models_used(self) -> dict[str, str]:
        """SHA-256 of the weights of each teacher: a run is not resumed with others."""
        return {f"weights of the teacher{f' {number + 1}' if number else ''}": source.teacher.sha256
                for number, source in enumerate(self.sources)}

    def facts(self) -> dict[str, Any]:
        """Method, switches and teachers as the card has them."""
        if not self.sources:
            return {}
        own = self.methods[self.config.method]
        kept = all(source.keeps(self._fields(number)) or not source.shared for number, source in enumerate(self.sources))
        first, *others = [source.facts for source in self.sources]
        return {"method": self.config.method, "switches": own.switches(), "teacher": first,
                "teacher_sees": "the clean picture" if kept else "the student's augmented picture",
                **({"teachers": [first, *others]} if others else {})}
