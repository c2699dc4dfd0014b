"""A network being trained: forward, loss, step, validation, and its whole state. Knows nothing of files or time."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.distill.auxiliary import AuxiliaryHeads
from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.distill.distillation import Distillation
from kd_planner_ros.distill.optimiser import build_optimiser
from kd_planner_ros.distill.parallel import Group, autocast
from kd_planner_ros.distill.start import start
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.training import Lessons, find_lessons
from kd_planner_ros.samples.augment import augment, chance, stretch_targets
from kd_planner_ros.samples.dataset import Batch, Samples


class NotFinite(Exception):
    """The loss of ``batch`` is not finite; ``parts`` says which part."""

    def __init__(self, parts: dict[str, float], batch: Batch):
        super().__init__(", ".join(f"{name} {value:.3g}" for name, value in parts.items()))
        self.parts, self.batch = parts, batch


class Learner:
    """Model, optimiser and running mean of ``config`` on the device of ``group``.

    ``camera`` is the one the recordings were made with. It goes into the card, so that the planner mounts the same one:
    a larger camera scaled down to the input looks smoother than what the student has learnt from.

    ``others`` are all of the recordings' cameras by id, for networks with several.

    The network's folder needs ``loss.py`` with ``imitation_loss(outputs, targets)`` and ``UNTRAINED`` (module names
    that it gives no gradient), and ``training.py`` with its ``Lessons`` (``networks/training.py``).

    Raises:
        PlannerError, CardError, ConfigError: an unknown network, size or input size.
    """

    def __init__(self, config: TrainConfig, group: Group, camera: CameraSpec | None = None,
                 others: Mapping[str, CameraSpec] = MappingProxyType({})):
        self.config, self.group = config, group
        network = find_network(config.network)
        self._loss, training = find_lessons(config.network, "loss"), find_lessons(config.network)
        self.model_config = network.config(training.config_fields(config, camera, others))
        self.processor: Any = network.build_processor(self.model_config)
        self.lessons: Lessons = training.build_lessons(self.processor)
        self._network = network
        torch.manual_seed(config.seed)
        self.model: nn.Module = network.build_model(self.model_config)
        self.start = start(config, self.model, self.model_config)
        for name in self._loss.UNTRAINED:
            self.model.get_submodule(name).requires_grad_(False)
        self.model.to(group.device, memory_format=torch.channels_last).train()
        self.mean = copy.deepcopy(self.model).eval() if config.ema else None
        self.heads = AuxiliaryHeads(config.states_weight, config.semantic_weight, self._stage_channels())
        self.heads.to(group.device)
        self.distillation = Distillation(config, self.model_config, self.lessons, group)
        self.steps_per_epoch = 1000
        self.optimiser = build_optimiser(config, training.OPTIMISER, self.model, self._beside())
        self._call: Callable[..., dict[str, Tensor]] = self.model
        if group.size > 1:
            self._call = nn.parallel.DistributedDataParallel(self.model)
        if config.compile:
            self._call = torch.compile(self._call)

    @property
    def models_used(self) -> dict[str, str]:
        """SHA-256 of the weights of teacher and start, where there are any: a run does not go on with others."""
        teacher = self.distillation.teacher
        return {**({"weights of the teacher": teacher.sha256} if teacher else {}),
                **({"weights of the start": self.start.sha256} if self.start else {})}

    def _stage_channels(self) -> tuple[int, ...]:
        """Channels of the backbone's maps, the finest first; none where no auxiliary loss asks for them."""
        if not (self.config.states_weight or self.config.semantic_weight):
            return ()
        with torch.no_grad():
            found = copy.deepcopy(self.model).cpu().eval()(**self._network.example_inputs(self.model_config), features=True)
        channels = tuple(found[name].shape[1] for name in sorted(found) if name.startswith("stage"))
        if not channels:
            raise ConfigError("a network of one picture for --states-weight and --semantic-weight", f"'{self.config.network}'",
                              "leave them out")
        return channels

    def _trained(self) -> list[nn.Parameter]:
        return [p for p in self.model.parameters() if p.requires_grad] + self._beside()

    def _beside(self) -> list[nn.Parameter]:
        """What is trained beside the network and not shipped."""
        return list(self.heads.parameters()) + self.distillation.method.trained()

    def prepare(self, samples: Samples, index: np.ndarray, step: int) -> Batch:
        """The batch of ``step``, augmented; a pure function of its arguments and the seed."""
        batch = samples.fetch(index)
        if self.config.augment:
            rng = np.random.default_rng([self.config.seed, step, self.group.rank, 0x617567])
            for name in self.lessons.pictures:
                augment(batch.arrays[name], chance(step * self.config.batch), rng)
        if self.config.speed_dropout:
            rng = np.random.default_rng([self.config.seed, step, self.group.rank, 0x647370])
            batch.hidden_speed[:] = rng.random(len(index)) < self.config.speed_dropout
        if self.config.target_stretch:
            rng = np.random.default_rng([self.config.seed, step, self.group.rank, 0x746774])
            stretch_targets(batch.told["target"], self.config.target_stretch, rng)
        batch.extras.update(self.distillation.extras(samples.places(index)))
        return batch

    def tensors(self, batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Inputs and targets on the device."""
        arrays = {name: torch.from_numpy(array).to(self.group.device, non_blocking=True) for name, array in batch.arrays.items()}
        return self.lessons.inputs(batch.told, arrays, batch.hidden_speed), self._targets(batch)

    def _targets(self, batch: Batch) -> dict[str, Tensor]:
        targets = self.lessons.targets(batch.rows, batch.arrays)
        return {name: one.to(self.group.device) for name, one in targets.items()}

    def step(self, batch: Batch, step: int, rate: float) -> dict[str, float]:
        """One optimiser step at learning rate ``rate``; the loss and its parts.

        Raises:
            NotFinite: the loss is not finite; the network was not changed.
        """
        torch.manual_seed((self.config.seed * 1_000_003 + step) * 64 + self.group.rank)  # dropout: no state to resume
        for options in self.optimiser.param_groups:
            options["lr"] = rate * options.get("share", 1.0)  # checkpoints from before there were groups lack it
        inputs, targets = self.tensors(batch)
        with autocast(self.config.precision, self.group.device):
            outputs = self._call(*(inputs[name] for name in self._network.inputs), self._features)
        loss, parts = self._loss.imitation_loss(outputs, targets, self._weights)
        terms, figures = self.distillation.terms(outputs, targets, batch, step / self.steps_per_epoch, inputs)
        loss = sum(terms.values(), loss)
        parts = parts | figures | {name: term.detach() for name, term in terms.items()}
        for name, (weight, value) in self.heads.losses(outputs, batch).items():
            loss, parts = loss + weight * value, parts | {name: value.detach()}
        report = {"loss": float(loss.detach()), **{name: float(part) for name, part in parts.items()}}
        if not np.isfinite(list(report.values())).all():
            raise NotFinite(report, batch)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.group.average(self._beside())
        limit = self.config.clip or float("inf")
        norm = float(nn.utils.clip_grad_norm_(self._trained(), limit))
        if not np.isfinite(norm):
            raise NotFinite({**report, "gradient": norm}, batch)
        self.optimiser.step()
        self._average(step)
        return {**report, "gradient": norm, "rate": rate}

    def learn_alone(self, samples: Samples, index: np.ndarray, step: int) -> dict[str, float]:
        """Step ``step`` of the method's head start, on clean pictures; the student stays as it is. Figures for the log.

        Raises:
            NotFinite: one of them is not finite.
        """
        torch.manual_seed((self.config.seed * 1_000_003 + step) * 64 + self.group.rank + 1_000_000_007)  # not those of ``step``
        batch = samples.fetch(index)
        batch.extras.update(self.distillation.extras(samples.places(index)))
        report = {name: float(one) for name, one in self.distillation.learn_alone(self._targets(batch), batch).items()}
        if not np.isfinite(list(report.values())).all():
            raise NotFinite(report, batch)
        return report

    @torch.no_grad()
    def _average(self, step: int) -> None:
        if self.mean is None:
            return
        decay = min(self.config.ema, (1.0 + step) / (10.0 + step))  # follows closely while young
        current = self.model.state_dict()
        for name, value in self.mean.state_dict().items():
            if value.is_floating_point():
                value.lerp_(current[name], 1.0 - decay)
            else:
                value.copy_(current[name])

    @property
    def _features(self) -> bool:
        return self.heads.wanted or self.distillation.method.reads_features

    @property
    def _weights(self) -> Any:
        """The network's own loss weights, 0 for the parts that the method has its own terms for."""
        weights = inspect.signature(self._loss.imitation_loss).parameters["weights"].default
        return dataclasses.replace(weights, **{part: 0.0 for part in self.distillation.method.replaces})

    @property
    def shipped(self) -> nn.Module:
        """The network that is validated and shipped: the running mean where there is one."""
        return self.mean if self.mean is not None else self.model

    @torch.no_grad()
    def validate(self, samples: Samples, batch: int) -> dict[str, float]:
        """Loss, its parts and the figures of the network's lessons, each over what is known. Empty without samples."""
        if not len(samples):
            return {}
        model = self.shipped.eval()
        sums: dict[str, float] = {}
        counts: dict[str, float] = {}
        try:
            for first in range(0, len(samples), batch):
                chunk = samples.fetch(np.arange(first, min(first + batch, len(samples))))
                inputs, targets = self.tensors(chunk)
                with autocast(self.config.precision, self.group.device):
                    outputs = model(**inputs)
                for name, (total, count) in self._score(outputs, targets).items():
                    sums[name] = sums.get(name, 0.0) + total
                    counts[name] = counts.get(name, 0.0) + count
        finally:
            model.train(model is self.model)
        return {**{name: sums[name] / max(counts[name], 1.0) for name in sums}, "samples": float(len(samples))}

    def _score(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
        loss, parts = self._loss.imitation_loss(outputs, targets)
        rows = len(targets["waypoints"])
        scores = {name: (float(value) * rows, float(rows)) for name, value in {"loss": loss, **parts}.items()}
        return scores | self.lessons.score(outputs, targets)

    def state(self) -> dict[str, Any]:
        """Everything that changes while training."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(),
                "mean": self.mean.state_dict() if self.mean is not None else None,
                "heads": self.heads.state_dict(), "distiller": self.distillation.method.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Back to what ``state`` gave."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.mean is not None:
            self.mean.load_state_dict(state["mean"])
        self.heads.load_state_dict(state["heads"])
        if "distiller" in state:  # checkpoints of imitation from before there were methods lack it
            self.distillation.method.restore(state["distiller"])
