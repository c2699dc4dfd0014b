"""The scene itself, for planners that read it instead of sensors: privileged teachers, and whoever has a perception of his own."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE
from kd_planner_ros.core.tracks import Tracks


@dataclass(frozen=True)
class TrueScene:
    """One instant in ``map``.

    Attributes:
        actors: ACTOR_DTYPE [N]. signals: SIGNAL_DTYPE [S]. lines: MAP_LINE_DTYPE [P].
        tracks: where road users were, by id; None: nothing is known of other instants.
        has_future: whether ``tracks`` says where they will be too; a scene of a car that drives does not.
    """

    actors: np.ndarray = field(default_factory=lambda: np.zeros(0, ACTOR_DTYPE))
    signals: np.ndarray = field(default_factory=lambda: np.zeros(0, SIGNAL_DTYPE))
    lines: np.ndarray = field(default_factory=lambda: np.zeros(0, MAP_LINE_DTYPE))
    tracks: Tracks | None = None
    has_future: bool = False
