"""A network's own description of what it sees, by the name of its model."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Protocol

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.registry import find_network, is_weightless, package_of
from kd_planner_ros.runtime.find import find_model
from kd_planner_ros.runtime.store import load_model


class Captioner(Protocol):
    """Describes frames in words of the network's own; no text from outside is among them."""

    def caption(self, frame: Frame) -> str:
        """The caption of the front view of ``frame``."""


def load_captioner(name: str, models_dir: str | Path | None = None) -> Captioner:
    """The captioner of model ``name``, on torch and the CPU: ``caption.py`` of its network builds it.

    Raises:
        ConfigError: the network describes nothing, or the model was not taught to. PlannerError, CardError: it cannot be loaded.
    """
    network = "" if is_weightless(name) else read_card(find_model(name, models_dir)).network
    module = f"{package_of(network)}.caption" if network else ""
    if not module or importlib.util.find_spec(module) is None:
        kind = f"a network {network}" if network else "which has no network"
        raise ConfigError("a planner that describes what it sees for parameter caption, such as a V2X-VLM", f"'{name}', {kind}",
                          "leave the parameter caption out")
    model, config, card = load_model(find_model(name, models_dir))
    found: Captioner = importlib.import_module(module).build_captioner(model, find_network(network).build_processor(config), card)
    return found
