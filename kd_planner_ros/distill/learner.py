"""A network being trained: forward, loss, step, validation, and its whole state. Knows nothing of files, time or waypoints."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.distill.batches import prepare
from kd_planner_ros.distill.config import TrainConfig, stages_of
from kd_planner_ros.distill.distillation import Distillation
from kd_planner_ros.distill.optimiser import build_optimiser
from kd_planner_ros.distill.parallel import Group, autocast
from kd_planner_ros.distill.stages import TASK, Plan, freeze, require_backbone, require_frozen, require_trained, train_mode
from kd_planner_ros.distill.start import begins_anew, start
from kd_planner_ros.distill.validation import validate
from kd_planner_ros.distill.weights import follow, put_buffers
from kd_planner_ros.networks.registry import find_network, find_training
from kd_planner_ros.networks.training import LearningTask
from kd_planner_ros.samples.dataset import Batch, Samples


class NotFinite(Exception):
    """The loss of ``batch`` is not finite; ``parts`` says which part."""

    def __init__(self, parts: dict[str, float], batch: Batch):
        super().__init__(", ".join(f"{name} {value:.3g}" for name, value in parts.items()))
        self.parts, self.batch = parts, batch


class Learner:
    """Model, optimiser and EMA of the weights for ``config``, on the device of ``group``.

    ``camera`` is the one the recordings were made with. It goes into the card, so that the planner mounts the same one:
    a larger camera scaled down to the input looks smoother than what the student has learnt from.

    ``others`` are all of the recordings' cameras by id, for networks with several.

    Raises:
        PlannerError, CardError, ConfigError: an unknown network, size or input size, or a stage that trains nothing.
    """

    def __init__(self, config: TrainConfig, group: Group, camera: CameraSpec | None = None,
                 others: Mapping[str, CameraSpec] = MappingProxyType({})):
        self.config, self.group = config, group
        self._network, self._training = find_network(config.network), find_training(config.network)
        options = config.options(config.network)
        self.model_config = self._network.config(self._training.config_fields(config.size, options, camera, others))
        self.processor: Any = self._network.build_processor(self.model_config)
        self.task: LearningTask = self._training.build_task(self.processor, options)
        torch.manual_seed(config.seed)
        self.model: nn.Module = self._network.build_model(self.model_config)
        self.start = start(config, self.model, self.model_config)
        self._free = {name for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        self.model.to(group.device, memory_format=torch.channels_last).train()
        self.mean = copy.deepcopy(self.model).eval() if config.ema else None
        self.heads = self.task.modules(self.model)
        if self.heads is not None:
            self.heads.to(group.device)
        self.distillation = Distillation(config, self.model_config, self.task, group)
        self.steps_per_epoch, self.plan = 1000, Plan(stages_of(config))
        require_trained(self.plan.stages, self.model, self.heads, self._free, self.task, config.method)
        tensors, taken = self.model.state_dict(), self.start.taken if self.start else frozenset()
        require_frozen(self.plan.stages, self.task.frozen, self._free, tensors, taken)
        require_backbone(self.plan.stages, find_training(config.network).backbone, tensors, taken)
        self._uploaded: tuple[Batch | None, dict[str, Tensor]] = None, {}
        self.begin_stage(0)

    # --- stages ------------------------------------------------------------------------------------------------------

    def begin_stage(self, index: int) -> None:
        """Begin stage ``index``: what it trains gets a gradient and a fresh optimiser, what it freezes goes to evaluation mode."""
        self.stage_index, self.stage, self.stage_progress = index, self.plan.stages[index], 0.0
        self.distillation.begin_stage(self.stage.method)
        self.task.begin_stage(replace(self.stage, method=self.distillation.method.name))
        freeze(self.stage, self.model, self.heads, self._free)
        self._train_mode()
        self.optimiser = build_optimiser(self.config, self._training.optimiser, self.model, self._beside())
        self._call: Callable[..., dict[str, Tensor]] = self.model
        if self.group.size > 1 and any(one.requires_grad for one in self.model.parameters()):
            self._call = nn.parallel.DistributedDataParallel(self.model)
        if self.config.compile:
            self._call = torch.compile(self._call)

    def _train_mode(self) -> None:
        train_mode(self.stage, self.model)
        if self.heads is not None:
            train_mode(self.stage, self.heads, TASK)

    def fit(self, samples: Samples) -> None:
        """See ``_fit``."""
        _fit(self, samples)

    @property
    def models_used(self) -> dict[str, str]:
        """SHA-256 of the weights of teachers and start, where there are any: a run is not resumed with others."""
        return {**self.distillation.models_used, **({"weights of the start": self.start.sha256} if self.start else {})}

    def _trained(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad] + self._beside()

    def _beside(self) -> list[nn.Parameter]:
        """Parameters that are trained beside the network and not shipped."""
        own = list(self.heads.parameters()) if self.heads is not None else []
        return [one for one in own if one.requires_grad] + self.distillation.method.trained()

    # --- a step ------------------------------------------------------------------------------------------------------

    def prepare(self, samples: Samples, index: np.ndarray, step: int, reset: np.ndarray | None = None) -> Batch:
        """The batch of ``step``; see ``prepare``."""
        batch = prepare(self.config, self.task, self.group.rank, samples, index, step, reset)
        batch.extras.update(self.distillation.extras(samples.places(index)))
        return batch

    def tensors(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Inputs and targets on the device."""
        self.task.begin_step(batch.reset)
        return self.task.inputs(batch.student_rows, self._upload(batch), batch.hidden_speed), self._targets(batch)

    def _upload(self, batch: Batch) -> dict[str, Tensor]:
        """The arrays of ``batch`` as the student sees them, on the device; once, however often they are asked for."""
        if self._uploaded[0] is not batch:
            self._uploaded = batch, {name: torch.from_numpy(array).to(self.group.device, non_blocking=True)
                                     for name, array in batch.student_arrays.items()}
        return self._uploaded[1]

    def _targets(self, batch: Batch) -> dict[str, Tensor]:
        targets = self.task.targets(batch.rows, batch.arrays)
        return {name: one.to(self.group.device) for name, one in targets.items()}

    def _as_recorded(self, batch: Batch) -> dict[str, Tensor]:
        """The inputs of ``batch`` with speed and target point as they were recorded."""
        return self.task.inputs(batch.rows, self._upload(batch), np.zeros(len(batch.rows), bool))

    def step(self, batch: Batch, step: int, rate: float) -> dict[str, float]:
        """One optimiser step at learning rate ``rate``; the loss and its parts.

        Raises:
            NotFinite: the loss is not finite; the network was not changed.
        """
        torch.manual_seed((self.config.seed * 1_000_003 + step) * 64 + self.group.rank)  # dropout: no state to resume
        for options in self.optimiser.param_groups:
            options["lr"] = rate * options.get("share", 1.0)  # checkpoints from before there were groups lack it
        loss, report = self._losses(batch, step)
        if not np.isfinite(list(report.values())).all():
            raise NotFinite(report, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average(self._beside())
        norm = float(nn.utils.clip_grad_norm_(self._trained(), self.config.clip or float("inf")))
        if not np.isfinite(norm):
            raise NotFinite({**report, "gradient": norm}, batch)
        self.optimiser.step()
        if self.mean is not None:
            follow(self.mean, self.model, min(self.config.ema, (1.0 + step) / (10.0 + step)))  # follows closely while young
        return {**report, "gradient": norm, "rate": rate}

    def _losses(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, float]]:
        """The loss of ``batch``, and it and its parts as numbers."""
        method, (inputs, targets) = self.distillation.method, self.tensors(batch)
        features = {"features": True} if self.task.reads_features or method.reads_features else {}
        with autocast(self.config.precision, self.group.device):
            outputs = self._call(**inputs, **features)
        self.task.end_step(outputs)
        weights = self.stage.weights(self.task.weights, self.stage_progress) | dict.fromkeys(method.replaces, 0.0)
        own = self.task.loss(outputs, targets, inputs, self.stage, weights)
        same = not batch.hidden_speed.any() and batch.student_rows.tobytes() == batch.rows.tobytes()
        terms, figures = self.distillation.terms(outputs, targets, batch, step / self.steps_per_epoch,
                                                 lambda: inputs if same else self._as_recorded(batch))
        loss = sum(terms.values(), own.total)
        parts = {**own.parts, **figures, **{name: term.detach() for name, term in terms.items()}}
        for name, (weight, value) in self.task.auxiliary_losses(outputs, batch).items():
            loss, parts = loss + weight * value, {**parts, name: value.detach()}
        return loss, {"loss": float(loss.detach()), **{name: float(part) for name, part in parts.items()}}

    def learn_alone(self, samples: Samples, index: np.ndarray, step: int) -> dict[str, float]:
        """Step ``step`` of what the method learns before the student, on clean pictures; the student stays as it is. Figures for
        the log.

        Raises:
            NotFinite: one of them is not finite.
        """
        torch.manual_seed((self.config.seed * 1_000_003 + step) * 64 + self.group.rank + 1_000_000_007)  # not those of ``step``
        batch = samples.fetch(index)
        batch.extras.update(self.distillation.extras(samples.places(index)))
        figures = self.distillation.learn_alone(self._targets(batch), batch, lambda: self._as_recorded(batch))
        report = {name: float(one) for name, one in figures.items()}
        if not np.isfinite(list(report.values())).all():
            raise NotFinite(report, batch)
        return report

    # --- validation and state ----------------------------------------------------------------------------------------

    @property
    def shipped(self) -> nn.Module:
        """The network that is validated and shipped: the EMA where there is one."""
        return self.mean if self.mean is not None else self.model

    def validate(self, samples: Samples, batch: int) -> dict[str, float]:
        """Loss, its parts and the figures of the network's task, each over what is known. Empty without samples."""
        if self.heads is not None:
            self.heads.eval()
        try:
            return validate(self.shipped.eval(), self.task, samples, batch, self.tensors, lambda: autocast(
                self.config.precision, self.group.device), self.config.validate_samples) if len(samples) else {}
        finally:
            self.task.use(self.model)
            self._train_mode()

    def state(self) -> dict[str, Any]:
        """Everything that changes while training."""
        method = self.distillation.methods[self.config.method]
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "stage": self.stage_index,
                "mean": self.mean.state_dict() if self.mean is not None else None,
                "heads": self.heads.state_dict() if self.heads is not None else {}, "distiller": method.state(),
                "distillation": self.distillation.state(), "memory": self.task.memory(), "processes": self.group.size}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Back to what ``state`` gave."""
        self.begin_stage(state.get("stage", 0))  # checkpoints from before there were stages lack it
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.mean is not None:
            self.mean.load_state_dict(state["mean"])
        if self.heads is not None:
            self.heads.load_state_dict(state["heads"])
        if "distiller" in state:  # checkpoints of imitation from before there were methods lack it
            self.distillation.methods[self.config.method].restore(state["distiller"])
        self.distillation.restore(state.get("distillation", {}))
        _restore_memory(self, state)


def _fit(learner: Learner, samples: Samples) -> None:
    """Put the buffers that the task fits to ``samples`` into the model, and those that a teacher's must equal. A start of the same network
    keeps its own, as weights belong to their vocabulary, but in modules that begin anew, and where a teacher's must be equal: it is said.

    Raises:
        ConfigError: a buffer that the model does not have, or of another shape.
    """
    begun, anew = learner.start is not None and learner.start.network == learner.config.network, learner.config.start_without
    fitted = {} if begun and not anew else learner.task.fit(samples) or {}
    fitted = {name: one for name, one in fitted.items() if not begun or begins_anew(name, anew)}
    taught = learner.distillation.buffers()
    own = {name: one for name, one in learner.model.named_buffers() if begun and not begins_anew(name, anew)}
    replaced = [name for name, one in taught.items() if name in own and not torch.equal(own[name].cpu(), one.cpu())]
    if replaced and learner.group.leads:
        print(f"{', '.join(replaced)} of the start are replaced by the teacher's: what the start learnt with its own, it learns anew",
              file=sys.stderr)
    models = (learner.model, *([learner.mean] if learner.mean is not None else []))
    put_buffers({**fitted, **taught}, *models)


def _restore_memory(learner: Learner, state: Mapping[str, Any]) -> None:
    """Give the recurrent tasks of student and teachers the memory that ``state`` holds, if one process wrote it and one reads it."""
    if learner.group.size == state.get("processes", 1) == 1:
        learner.task.restore_memory(state.get("memory"))
        learner.distillation.restore_memories(state.get("distillation", {}).get("memories"))
    elif learner.group.leads and state.get("memory") is not None:
        print("the memory of sequences begins anew: a checkpoint holds it for one process alone", file=sys.stderr)
