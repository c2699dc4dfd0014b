"""The stages of a run: the stage at a given progress, the parts that it trains, and the checks on both."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.methods.registry import IMITATION
from kd_planner_ros.networks.training import LearningTask, Stage

TASK = "task"
"""Prefix of the task's training-only modules."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Plan:
    """Stages on the run's progress in [0, 1]."""

    stages: tuple[Stage, ...]

    def bounds(self, index: int) -> tuple[float, float]:
        """Progress at which stage ``index`` begins and ends."""
        shares = [stage.share for stage in self.stages]
        last = index == len(shares) - 1
        return math.fsum(shares[:index]), 1.0 if last else math.fsum(shares[:index + 1])

    def index(self, progress: float, least: int = 0) -> int:
        """Number of the stage at ``progress``, not before stage ``least``: a run that is made longer stays in its stage."""
        found = next((index for index in range(len(self.stages) - 1) if progress < self.bounds(index)[1] - _ROUNDING),
                     len(self.stages) - 1)
        return max(found, least)

    def within(self, progress: float, index: int) -> float:
        """Progress in [0, 1] of stage ``index``."""
        begins, ends = self.bounds(index)
        return min(max((progress - begins) / (ends - begins), 0.0), 1.0)

    def require_steps(self, total: int) -> None:
        """Refuse a run of ``total`` steps in which a stage gets none.

        Raises:
            ConfigError: a stage is too short.
        """
        firsts = [math.ceil(self.bounds(index)[0] * total - _ROUNDING) for index in range(len(self.stages))]
        for stage, first, after in zip(self.stages, firsts, [*firsts[1:], total], strict=True):
            if after <= first:
                raise ConfigError(f"at least one step for stage '{stage.name}' (share {stage.share:g})", f"none of {total}",
                                  "give more --epochs, or a larger share")


def freeze(stage: Stage, model: nn.Module, beside: nn.Module | None, free: set[str]) -> None:
    """Let ``stage`` train its parameters of ``model`` and of the task's modules ``beside``; ``free`` are the names of those of
    ``model`` that the network itself does not freeze."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in free and stage.trains(name))
    for name, parameter in beside.named_parameters() if beside is not None else ():
        parameter.requires_grad_(stage.trains(f"{TASK}.{name}"))


def train_mode(stage: Stage, model: nn.Module, prefix: str = "") -> None:
    """Put ``model`` in training mode and every part that ``stage`` freezes in evaluation mode; ``prefix`` stands before the names."""
    model.train()
    for name, module in model.named_modules():
        own = [*(one for one, _ in module.named_parameters()), *(one for one, _ in module.named_buffers())] or [""] * bool(name)
        if own and not any(stage.covers(".".join(part for part in (prefix, name, one) if part)) for one in own):
            module.eval()


def require_trained(stages: Sequence[Stage], model: nn.Module, beside: nn.Module | None, free: set[str],
                    task: LearningTask, method: str) -> None:
    """Refuse a stage that trains nothing, names a missing module, names a part that the loss of ``task`` lacks, or trains a module without
    what teaches it; ``method`` is the run's.

    Raises:
        ConfigError: the stage is named.
    """
    parts = task.weights
    modules = [name for name, _ in model.named_modules()] + [name for name, _ in model.named_parameters()]
    modules += [TASK, *(f"{TASK}.{name}" for name, _ in beside.named_modules())] if beside is not None else []
    for stage in stages:
        _require_known(stage, "modules", stage.prefixes(), [*modules, TASK])
        _require_known(stage, "parts of the loss", (*(stage.losses or ()), *stage.ramps), parts)
        if not any(stage.trains(name) for name in free) and not any(
                stage.trains(f"{TASK}.{name}") for name, _ in (beside.named_parameters() if beside is not None else ())):
            raise ConfigError(f"stage '{stage.name}' to train a part of the network", f"trained {list(stage.trained)}, frozen_eval "
                              f"{list(stage.frozen_eval)}, which leave nothing", "correct the stage")
    require_loss(stages, parts, beside, method)
    require_taught(stages, parts, task.taught_by, free)


def require_frozen(stages: Sequence[Stage], frozen: Sequence[str], free: set[str], tensors: Iterable[str],
                   taken: Collection[str]) -> None:
    """Refuse a run whose samples hold the answers of the modules ``frozen``, if one of their ``tensors`` (names of all in the network) is
    not among those ``taken`` from the start, or a stage trains a parameter of one; ``free`` as for ``require_trained``.

    Raises:
        ConfigError: either; the first tensor with fresh weights is named.
    """
    inside = tuple(f"{name}." for name in frozen)
    held = [name for name in tensors if inside and name.startswith(inside)]
    if fresh := [name for name in held if name not in taken]:
        raise ConfigError(f"a start that has {', '.join(frozen)}, for the samples hold their answers",
                          f"fresh weights in {len(fresh)} of their {len(held)} tensors, the first of them {fresh[0]}",
                          "give --init or --warm-start with a model of this network, size and options")
    for stage in stages:
        if trained := sorted({name.split(".")[0] for name in free if inside and name.startswith(inside) and stage.covers(name)}):
            raise ConfigError(f"stage '{stage.name}' to leave {', '.join(frozen)} alone, for the samples hold their answers",
                              f"{', '.join(trained)} trained", "name other modules in 'trained' of the recipe's stages")


def require_backbone(stages: Sequence[Stage], backbone: str, tensors: Iterable[str], taken: Collection[str]) -> None:
    """Refuse a run that leaves the camera ``backbone`` (a module; "": none) as it began, if one of its ``tensors`` (names of all in the
    network) is not among those ``taken`` from the start: the others would learn to read a random one.

    Raises:
        ConfigError: so it is.
    """
    held = [name for name in tensors if backbone and name.startswith(f"{backbone}.")]
    fresh = [name for name in held if name not in taken]
    if fresh and not any(stage.trains(name) for stage in stages for name in held):
        raise ConfigError(f"a start that has {backbone}, which no stage trains",
                          f"fresh weights in {len(fresh)} of its {len(held)} tensors",
                          f"give --warm-start with a model that has it, or name {backbone} in 'trained' of the recipe's stages")


def require_taught(stages: Sequence[Stage], parts: Mapping[str, float], taught_by: Mapping[str, Sequence[str]], free: set[str]) -> None:
    """Refuse a stage that trains a module whose losses have weight 0: it would go on with what it began with, or drift by weight decay.

    Args:
        parts: the task's own weights of the loss.
        taught_by: ``LearningTask.taught_by``.
        free: as for ``require_trained``.

    Raises:
        ConfigError: stage, module and losses are named.
    """
    owners = {name: max((one for one in taught_by if name.startswith(f"{one}.")), key=len, default="") for name in free}
    for stage in stages:
        first, last = (stage.weights(parts, progress) for progress in (0.0, 1.0))
        for module, wanted in taught_by.items():
            without = [one for one in wanted if not (first.get(one) or last.get(one))]
            if without and any(stage.trains(name) for name, owner in owners.items() if owner == module):
                raise ConfigError(f"losses of stage '{stage.name}' with {', '.join(wanted)}, which alone teach {module}",
                                  f"weight 0 for {', '.join(without)}", "give them in the stage's 'losses', or leave the module out of its "
                                  "'trained' (or name it in 'frozen_eval')")


def require_loss(stages: Sequence[Stage], parts: Mapping[str, float], beside: nn.Module | None, method: str) -> None:
    """Refuse a stage whose losses all have weight 0 where nothing else teaches: no distillation method (``method`` is the run's),
    no training-only modules ``beside`` the network.

    Raises:
        ConfigError: the stage is named.
    """
    for stage in stages:
        weights = {*stage.weights(parts, 0.0).values(), *stage.weights(parts, 1.0).values()}
        if parts and weights == {0.0} and beside is None and (stage.method or method) == IMITATION:
            raise ConfigError(f"a loss that stage '{stage.name}' learns from, out of {', '.join(parts)}", "weight 0 for each",
                              "correct 'losses' or 'ramps'")


def _require_known(stage: Stage, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = [name for name in known if name]
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            raise ConfigError(f"{what} of the network in stage '{stage.name}'", repr(name),
                              f"correct it{f': the nearest is {near[0]!r}' if near else ''}")
