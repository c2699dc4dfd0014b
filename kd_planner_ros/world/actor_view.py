"""The actor table's columns as plain float arrays: the expert reads them many times a tick."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kd_planner_ros.core.scene import ActorKind


class ActorView(NamedTuple):
    """Columns of ACTOR_DTYPE for some actors, each [K]; ``speed`` in m/s, ``pedestrian`` and ``static`` are bool."""

    id: np.ndarray
    kind: np.ndarray
    lights: np.ndarray
    x: np.ndarray
    y: np.ndarray
    yaw: np.ndarray
    vx: np.ndarray
    vy: np.ndarray
    length: np.ndarray
    width: np.ndarray
    speed: np.ndarray
    pedestrian: np.ndarray
    static: np.ndarray

    def take(self, rows: np.ndarray) -> ActorView:
        """The actors at ``rows`` (indices or a mask)."""
        return ActorView(*(column[rows] for column in self))


def view(actors: np.ndarray) -> ActorView:
    """The columns of an ACTOR_DTYPE table [N]."""
    floats = np.array([actors[name] for name in ("x", "y", "yaw", "vx", "vy", "length", "width")], float)
    kind = actors["kind"]
    return ActorView(actors["id"], kind, actors["lights"], *floats, np.hypot(floats[3], floats[4]),
                     kind == ActorKind.PEDESTRIAN, kind == ActorKind.STATIC)


def near(actors: np.ndarray, x: float, y: float, radius_m: float) -> ActorView:
    """The actors whose centre is within a square of half side ``radius_m`` round (x, y)."""
    rows = np.flatnonzero((np.abs(actors["x"] - x) < radius_m) & (np.abs(actors["y"] - y) < radius_m))
    return view(actors[rows])
