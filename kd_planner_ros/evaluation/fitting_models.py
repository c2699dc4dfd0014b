"""Which shipped models take what a recording holds."""

from __future__ import annotations

from pathlib import Path

from kd_planner_ros.bags.cameras import samples_for, triggering
from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import BagError, KdPlannerError
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.find import list_models


def fitting_models(recording: Recording, models_dir: str | Path | None = None) -> dict[str, str]:
    """Why the models in ``models_dir`` (the shipped ones if None) refuse ``recording``, by name: "" where one does not.

    A model is given the first instant at which its sensors gave something; its weights are not loaded.
    """
    found = {}
    for folder in list_models(models_dir):
        try:
            _require_fit(recording, folder)
            found[folder.name] = ""
        except KdPlannerError as error:
            found[folder.name] = str(error)
    return found


def _require_fit(recording: Recording, folder: Path) -> None:
    """Refuse what the model in ``folder`` refuses.

    Raises:
        KdPlannerError: a card that cannot be used, a topic that is missing, another calibration, or a picture of another size.
    """
    card = read_card(folder)
    network = find_network(card.network)
    config = network.config(card.config)
    rig = config.rig
    cameras, clouds = tuple(spec.id for spec in rig.cameras), tuple(spec.id for spec in rig.lidars)
    sample = next(samples_for(recording, triggering(recording, cameras), clouds, rig), None)
    if sample is None:
        raise BagError(f"an instant at which {', '.join((*cameras, *clouds))} and odometry gave something", "none", "look at their stamps")
    network.build_processor(config).encode([sample.frame])
