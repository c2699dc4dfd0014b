"""What the graph must know about a planner before its node runs: sensors, rate, card."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig

FALLBACK, EXPERT = "constant_velocity", "expert"


@dataclass(frozen=True)
class PlannerFacts:
    """Name, declared sensors, plans per second and card (empty for a planner without weights)."""

    name: str
    rig: SensorRig
    rate_hz: float
    card: dict[str, Any]


def resolve_planner(name: str, models_dir: str = "") -> tuple[str, str]:
    """(planner, models_dir), ``auto`` replaced by the model whose card has the best driving score on the default town, the
    first by name where several have none; constant_velocity if no model is shipped.

    Raises:
        ConfigError: ``models_dir`` is given and no folder, or ``auto`` finds no model in it.
    """
    from kd_planner_ros.runtime.load import list_models

    if models_dir and not Path(models_dir).is_dir():
        raise ConfigError(f"a folder of models at {models_dir}", "no such folder", "correct models_dir")
    if name != "auto":
        return name, models_dir
    shipped = list_models(models_dir or None)
    if models_dir and not shipped:
        raise ConfigError(f"a model in {models_dir}", "none", "correct models_dir, or name a planner")
    return (max(shipped, key=_driving_score).name if shipped else FALLBACK), models_dir


def planner_place(name: str, models_dir: str = "") -> str:
    """``name`` as a loader without a models folder takes it: ``auto`` resolved, a model of ``models_dir`` as its path.

    Raises:
        ConfigError: as ``resolve_planner``.
        PlannerError: ``models_dir`` is given and holds no such model; one that is shipped does not take its place.
    """
    from kd_planner_ros.networks.registry import is_weightless

    name, models_dir = resolve_planner(name, models_dir)
    if not models_dir or is_weightless(name) or name == EXPERT:
        return name
    from kd_planner_ros.runtime.load import find_model  # brings torch

    return str(find_model(name, models_dir))


def _driving_score(folder: Path) -> float:
    """The card's score on the default town, -1 where it has none or cannot be read: whoever loads it will say why."""
    from kd_planner_ros.core.card import read_card
    from kd_planner_ros.core.errors import CardError

    try:
        return float(read_card(folder).scores.get("closed_loop_default_town", {}).get("driving_score", -1.0))
    except (CardError, AttributeError, TypeError, ValueError):
        return -1.0


def planner_facts(name: str, models_dir: str = "") -> PlannerFacts:
    """The facts of planner ``name``, from its card and config: no weights are loaded and no engine is built.

    Raises:
        PlannerError: nothing of that name.
        CardError: its card cannot be used.
    """
    from kd_planner_ros.core.card import read_card
    from kd_planner_ros.networks.registry import build_weightless, find_network, is_weightless

    if is_weightless(name):
        planner = build_weightless(name)
        return PlannerFacts(planner.name, planner.rig, planner.rate_hz, {})
    from kd_planner_ros.runtime.load import find_model  # brings torch

    card = read_card(find_model(name, models_dir or None))
    config = find_network(card.network).config(card.config)
    return PlannerFacts(card.name, config.rig, config.rate_hz, asdict(card))
