"""The training-only modules of a PlanKD run: waypoint attention and bottleneck, read from its last checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from kd_planner_ros.core.errors import ConfigError, TrainingError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.losses.attention import DETAILS, WaypointAttention
from kd_planner_ros.distill.losses.bottleneck import InformationBottleneck


@dataclass(frozen=True)
class TrainedParts:
    """What a run trained beside its student, in eval mode; None for a part that its method leaves out (ablations)."""

    attention: WaypointAttention | None
    bottleneck: InformationBottleneck | None


def load_parts(run: Path, training: Mapping[str, Any]) -> TrainedParts:
    """The parts in the last checkpoint of folder ``run``; ``training`` is the student's card's, for its switches.

    Raises:
        ConfigError: no checkpoint, or none of a PlanKD run.
        TrainingError: the checkpoint cannot be read.
    """
    state = checkpoint.load(Path(run))
    if state is None:
        raise ConfigError(f"the checkpoint of a PlanKD run in {run}", "none",
                          "give --run-dir with the folder that training with --method plankd wrote (runs/train/NAME)")
    modules = find_modules(state)
    if not modules:
        raise ConfigError(f"a checkpoint of a PlanKD run in {run}", "one of a method without attention or bottleneck",
                          "give the run of a model that was trained with --method plankd")
    try:
        return TrainedParts(_attention(modules, training), _bottleneck(modules))
    except (RuntimeError, KeyError) as error:
        raise TrainingError(f"PlanKD's modules in the checkpoint of {run}", str(error).splitlines()[0],
                            "train again with this version") from None


def find_modules(state: Any) -> dict[str, Tensor]:
    """The weights of PlanKD's modules anywhere in a checkpoint: names that begin with attention. or bottleneck."""
    if not isinstance(state, Mapping):
        return {}
    here = {name: value for name, value in state.items() if isinstance(name, str) and isinstance(value, Tensor)
            and name.startswith(("attention.", "bottleneck."))}
    if here:
        return here
    return next(filter(None, (find_modules(value) for value in state.values())), {})


def _attention(modules: Mapping[str, Tensor], training: Mapping[str, Any]) -> WaypointAttention | None:
    weights = _part(modules, "attention.")
    if not weights:
        return None
    model = WaypointAttention(next((one for one in _values(training, "bev_detail") if one in DETAILS), "full"))
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def _bottleneck(modules: Mapping[str, Tensor]) -> InformationBottleneck | None:
    weights = _part(modules, "bottleneck.")
    if not weights:
        return None
    model = InformationBottleneck(weights["encoder.0.weight"].shape[1])
    model.load_state_dict(weights)
    return model.eval().requires_grad_(False)


def _part(modules: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in modules.items() if name.startswith(prefix)}


def _values(training: Any, name: str) -> list[Any]:
    """Every value of ``name`` in a card's training facts: the recipe may say auto, the switches say what it was."""
    if not isinstance(training, Mapping):
        return []
    here = [training[name]] if name in training else []
    return here + [value for inner in training.values() for value in _values(inner, name)]
