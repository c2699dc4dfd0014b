"""A route: what the navigation hands to the car."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.scene import Weather


@dataclass(frozen=True)
class RouteScenario:
    """A scenario that a route file asks for. ``kind`` is CARLA's type (``HardBreakRoute``); ``x``, ``y`` (``map``, metres) is where it
    is triggered, NaN where the file names no place; ``settings`` are (name, value) pairs as the file writes them."""

    name: str
    kind: str
    x: float
    y: float
    settings: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Route:
    """Dense plan, about 1 m apart, in ``map``: ``points`` [N, 2] metres, ``yaws`` [N] rad, ``commands`` int8 [N].

    ``name`` is unique in its file; ``town`` names the map; ``key_points`` [K, 2] are the file's own waypoints (the
    legacy length of the benchmark is measured on them). ``weathers`` are the file's (share of the route in [0, 1], weather) pairs,
    empty where it has none; ``scenarios`` are the file's, None where it leaves them to the world.
    """

    name: str
    town: str
    points: np.ndarray
    yaws: np.ndarray
    commands: np.ndarray
    key_points: np.ndarray
    weathers: tuple[tuple[float, Weather], ...] = ()
    scenarios: tuple[RouteScenario, ...] | None = None

    @property
    def arc_m(self) -> np.ndarray:
        """Distance along the route at each point [N], metres."""
        steps = np.linalg.norm(np.diff(self.points, axis=0), axis=1)
        return np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def length_m(self) -> float:
        """Length of the dense plan in metres."""
        return float(self.arc_m[-1])
