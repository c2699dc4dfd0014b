"""What tools outside a network ask of it, so that no tool knows a network by name.

A network's folder may hold ``describe.py`` with ``DESCRIPTION``, a ``Description``. A network without that file gets
``Description(title=<its folder>)``: it stands in every table and drawing, without the figures that only it can name.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from kd_planner_ros.networks.registry import package_of

if TYPE_CHECKING:
    import numpy as np


def _nothing(config: Any) -> dict[str, float]:
    return {}


@dataclass(frozen=True)
class Description:
    """How a network presents itself.

    Attributes:
        title: its name for readers.
        held_out: the validation figure on its card that is its output's mean error on the held-out routes, in metres; "" where
            there is none.
        pictures: the picture inputs that the feature maps of a stage belong to, in the order of the maps.
        published: what was published of a config: ``parameters`` and ``paper_...`` (``paper_gmacs`` is what a count of ours
            must come to); empty where nothing was.
        taught_waypoints: (recording, frame, processor) -> the waypoint targets [T, 2] of the network at ``frame``: metres,
            planner frame (x right, y backwards), NaN where unknown; None for a network without waypoint targets.
        bench_size: the size that measurements of training take where none is named; "": the last of its configurations.
    """

    title: str
    held_out: str = ""
    pictures: tuple[str, ...] = ()
    published: Callable[[Any], Mapping[str, float]] = _nothing
    taught_waypoints: Callable[[Any, Any, Any], np.ndarray] | None = None
    bench_size: str = ""


def published_of_spec(config: Any) -> dict[str, float]:
    """What PlanKD's Table 5 says of a config whose ``spec`` is a row of it: ``parameters`` and every field ``paper_...``."""
    return {name: value for name, value in asdict(config.spec).items() if name.startswith(("parameters", "paper_"))}


def describe(network: str) -> Description:
    """The description of network ``network``.

    Raises:
        PlannerError: no network of that name.
    """
    package = package_of(network)
    if importlib.util.find_spec(f"{package}.describe") is None:
        return Description(network)
    return importlib.import_module(f"{package}.describe").DESCRIPTION


def size_of(config: Any) -> str:
    """The size of a network's config, "" where it comes in one size."""
    return str(getattr(config, "size", ""))
