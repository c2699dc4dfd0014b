"""What the graph must know about a model before its node runs: role, sensors, rate, card. And what ``auto`` stands for.

Imports no torch: a card and a network's ``config.py`` hold all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kd_planner_ros.core.card import CARD, ModelCard, read_card
from kd_planner_ros.core.errors import CardError, ConfigError, PlannerError
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.planner import PLANNER
from kd_planner_ros.networks.registry import build_weightless, find_config, folders, is_weightless, role_of
from kd_planner_ros.runtime.find import find_model, list_models
from kd_planner_ros.runtime.paths import models_folder

FALLBACK, EXPERT = "constant_velocity", "expert"
PERCEIVER_HELP = "a perceiver: a folder of models/, a path to one, the name of a network (its best model), or auto (the best shipped one)"


@dataclass(frozen=True)
class ModelFacts:
    """Name, role, declared sensors, results per second and card (empty for a model without weights)."""

    name: str
    role: str
    rig: SensorRig
    rate_hz: float
    card: dict[str, Any]


def resolve_model(name: str, models_dir: str = "", role: str = PLANNER) -> tuple[str, str]:
    """(model, models_dir). ``auto`` is replaced by the model of ``role`` whose card has the best driving score on the default
    town, the first by name where several have none; by constant_velocity if no planner is shipped. The name of a network, where no model
    is called so, is replaced by the best model of ``role`` that is of this network or of one that is built on it.

    Raises:
        ConfigError: ``models_dir`` is given and no folder, or ``auto`` finds no model of ``role``.
    """
    if models_dir and not Path(models_dir).is_dir():
        raise ConfigError(f"a folder of models at {models_dir}", "no such folder", "correct --models-dir (models_dir of a launch file)")
    if name != "auto":
        return _of_network(name, models_dir, role) or name, models_dir
    fit = models_of(role, models_dir)
    if fit:
        return max(fit, key=_driving_score).name, models_dir
    if models_dir:
        raise ConfigError(f"a {'model' if role == PLANNER else role} in {models_dir}", "none", f"correct --models-dir, or name a {role}")
    if role != PLANNER:
        raise ConfigError(f"a shipped {role} for auto", "none", f"name a {role}, or give its folder")
    return FALLBACK, models_dir


def _of_network(name: str, models_dir: str, role: str) -> str:
    """The best model of network ``name``; "" where ``name`` is a model or no network, or there is none."""
    base = Path(models_dir) if models_dir else models_folder()
    if name not in folders() or is_weightless(name) or any((one / CARD).is_file() for one in (base / name, Path(name))):
        return ""
    fit = [folder for folder in models_of(role, models_dir) if name in _networks(folder)]
    found = max(fit, key=_driving_score).name if fit else ""
    if found:
        report(f"'{name}' is a network; its model '{found}' is taken")
    return found


def _networks(folder: Path) -> set[str]:
    """The network of the model in ``folder``, and those that it is built on: whose config its own extends."""
    try:
        network = read_card(folder).network
        own = find_config(network).config_class
        return {network, *(name for name in folders() if not is_weightless(name) and issubclass(own, find_config(name).config_class))}
    except (CardError, PlannerError):
        return set()


def resolve_planner(name: str, models_dir: str = "") -> tuple[str, str]:
    """``resolve_model`` for a planner."""
    return resolve_model(name, models_dir, PLANNER)


def models_of(role: str, models_dir: str = "") -> list[Path]:
    """The folders of all models of ``role`` in ``models_dir`` (the shipped ones if empty), sorted by name."""
    return [folder for folder in list_models(models_dir or None) if _may_be(folder, role)]


def _may_be(folder: Path, role: str) -> bool:
    """Whether the model in ``folder`` has ``role``. What cannot be read passes as a planner: whoever loads it will say why."""
    try:
        return role_of(read_card(folder).network) == role
    except (CardError, PlannerError):
        return role == PLANNER


def model_place(name: str, models_dir: str = "", role: str = PLANNER) -> str:
    """``name`` as a loader without a models folder takes it: ``auto`` resolved, a model of ``models_dir`` as its path.

    Raises:
        ConfigError: as ``resolve_model``.
        PlannerError: ``models_dir`` is given and holds no such model; one that is shipped does not take its place.
    """
    name, models_dir = resolve_model(name, models_dir, role)
    if not models_dir or is_weightless(name) or name == EXPERT:
        return name
    return str(find_model(name, models_dir))


def planner_place(name: str, models_dir: str = "") -> str:
    """``model_place`` for a planner."""
    return model_place(name, models_dir, PLANNER)


def same_model(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two planners, each (name, models_dir), are one model: the same folder, or the same name of a model without weights.

    Raises:
        ConfigError, PlannerError: as ``model_place``.
    """
    first, second = (model_place(*whose) for whose in (one, other))
    if first == second:
        return True
    has_no_folder = [is_weightless(place) or place == EXPERT for place in (first, second)]
    return not any(has_no_folder) and find_model(first).resolve() == find_model(second).resolve()


def tell_same_fallback(planner: tuple[str, str], fallback: tuple[str, str]) -> None:
    """Report, once, a fallback planner that is the planner itself; each is (name, its models_dir), an empty name is none.

    Raises:
        ConfigError, PlannerError: as ``model_place``.
    """
    if fallback[0] and same_model(planner, fallback):
        report(f"the fallback planner is the planner itself, '{fallback[0]}': it helps where the process dies, not where the model fails")


def _driving_score(folder: Path) -> float:
    """The card's score on the default town, -1 where it has none or cannot be read: whoever loads it will say why."""
    try:
        return float(read_card(folder).scores.get("closed_loop_default_town", {}).get("driving_score", -1.0))
    except (CardError, AttributeError, TypeError, ValueError):
        return -1.0


def model_facts(name: str, models_dir: str = "", role: str | None = None) -> ModelFacts:
    """The facts of model ``name``, from its card and config: no weights are loaded and no engine is built.

    Raises:
        PlannerError: nothing of that name, or a model of another role than ``role``.
        CardError: its card cannot be used.
    """
    if is_weightless(name):
        model = build_weightless(name)
        facts = ModelFacts(model.name, model.role, model.rig, model.rate_hz, {})
    else:
        card = read_card(find_model(name, models_dir or None))
        network = find_config(card.network)
        config = network.config(card.config)
        facts = ModelFacts(card.name, network.role, config.rig, config.rate_hz, asdict(card))
    if role and facts.role != role:
        raise PlannerError(f"a {role}", f"'{name}', a {facts.role}", f"name a {role}")
    return facts


def planner_facts(name: str, models_dir: str = "") -> ModelFacts:
    """``model_facts`` for a planner."""
    return model_facts(name, models_dir, PLANNER)


def own_folder(name: str, models_dir: str = "") -> str:
    """The absolute folder of model ``name`` where that is not a shipped model or one without weights; "" else.

    Raises:
        PlannerError: nothing of that name.
    """
    if is_weightless(name) or name == EXPERT or not (models_dir or Path(name).is_dir()):
        return ""
    return str(find_model(name, models_dir or None).resolve())


def cards_of(places: Mapping[str, str], models_dir: str = "") -> dict[str, ModelCard]:
    """The cards of those of ``places`` (by any name, what a loader takes) that have weights.

    Raises:
        PlannerError: nothing of that name. CardError: a card is broken.
    """
    return {name: read_card(find_model(place, models_dir or None)) for name, place in places.items()
            if not (is_weightless(place) or place == EXPERT)}


def card_by_name(name: str, folder: str = "") -> dict[str, Any] | None:
    """The card of the model in ``folder``, or of the shipped model ``name``; empty for a model without weights, None where it
    cannot be read any more."""
    if not folder and (is_weightless(name) or name == EXPERT):
        return {}
    try:
        return asdict(read_card(Path(folder) if folder else find_model(name)))
    except (CardError, PlannerError):
        return None
