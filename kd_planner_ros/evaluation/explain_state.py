"""The training-only modules of a PlanKD run: waypoint attention and bottleneck, read from its last checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.core.errors import ConfigError, TrainingError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.methods.plankd.attention import WaypointAttention
from kd_planner_ros.distill.methods.plankd.bottleneck import InformationBottleneck

PLANKD = "plankd"


@dataclass(frozen=True)
class TrainedParts:
    """What a run trained beside its student, in eval mode; None for a part that its method leaves out (ablations)."""

    attention: WaypointAttention | None
    bottleneck: InformationBottleneck | None


def load_parts(run: Path, card: ModelCard) -> TrainedParts:
    """The parts in the last checkpoint of folder ``run``, which trained the model of ``card``.

    Raises:
        ConfigError: no checkpoint, none of a PlanKD run, or that of another model.
        TrainingError: the checkpoint cannot be read.
    """
    state = checkpoint.load(Path(run))
    if state is None:
        method = str(card.training.get("method", PLANKD))
        if method != PLANKD:
            raise ConfigError("a perceiver, or a model trained with --method plankd", f"'{card.name}', trained by {method}",
                              "train one with --method plankd; its attention and bottleneck stay in runs/train/NAME")
        raise ConfigError(f"the checkpoint of a PlanKD run in {run}, with the attention and the bottleneck that are not shipped", "none",
                          "give --run-dir with the folder that training with --method plankd wrote (runs/train/NAME)")
    shipped = state.get("best", {}).get("sha256", card.weights_sha256)  # older checkpoints lack it
    if shipped != card.weights_sha256:
        raise ConfigError(f"the run that trained '{card.name}' (weights {card.weights_sha256[:12]})",
                          f"{run}, which trained weights {shipped[:12]}", "give --run-dir with the model's own run")
    modules = state.get("learner", {}).get("distiller", {}).get("modules", {})
    if not any(name.startswith(("attention.", "bottleneck.")) for name in modules):
        raise ConfigError(f"a checkpoint of a PlanKD run in {run}", "one of a method without attention or bottleneck",
                          "give the run of a model that was trained with --method plankd")
    try:
        return TrainedParts(_attention(modules, card.training), _bottleneck(modules))
    except (RuntimeError, KeyError) as error:
        raise TrainingError(f"PlanKD's modules in the checkpoint of {run}", str(error).splitlines()[0],
                            "train again with this version") from None


def _attention(modules: Mapping[str, Tensor], training: Mapping[str, Any]) -> WaypointAttention | None:
    weights = _part(modules, "attention.")
    if not weights:
        return None
    model = WaypointAttention(training.get("switches", {}).get("bev_detail", "full"))
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
