"""Privileged truth about one instant: every actor, every signal, the weather. Read by the sensors, the expert, the
scoring and the recorder; never by a student."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from kd_planner_ros.core.ego import EgoState


class ActorKind(IntEnum):
    """Value = CARLA >= 0.9.14 semantic tag of the body."""

    PEDESTRIAN = 12
    CAR = 14
    TRUCK = 15
    BUS = 16
    MOTORCYCLE = 18
    BICYCLE = 19
    STATIC = 20


class LightState(IntEnum):
    """CARLA's numbering of traffic-light states."""

    RED = 0
    YELLOW = 1
    GREEN = 2
    OFF = 3


BRAKE_LIGHT, INDICATOR_LEFT, INDICATOR_RIGHT, HEAD_LIGHT = 1, 2, 4, 8

ACTOR_DTYPE = np.dtype([
    ("id", "i4"), ("kind", "u1"), ("lights", "u1"), ("x", "f4"), ("y", "f4"), ("z", "f4"), ("yaw", "f4"),
    ("length", "f4"), ("width", "f4"), ("height", "f4"), ("vx", "f4"), ("vy", "f4"), ("seed", "u4"),
])
"""One row an actor: centre of the footprint on the ground and full dimensions in metres, velocity in m/s, ``map``.
``seed`` picks shape and colour and never changes for an actor. The ego is not in the table."""

SIGNAL_DTYPE = np.dtype([
    ("id", "i4"), ("state", "u1"), ("x", "f4"), ("y", "f4"), ("z", "f4"), ("yaw", "f4"),
    ("stop_x0", "f4"), ("stop_y0", "f4"), ("stop_x1", "f4"), ("stop_y1", "f4"),
])
"""One row a signal head: lamp position and the direction it FACES (against the traffic), its lane's stop line."""


@dataclass(frozen=True)
class Weather:
    """CARLA's weather parameters, in CARLA's units (per cent and degrees)."""

    name: str = "ClearNoon"
    cloudiness: float = 5.0
    precipitation: float = 0.0
    puddles: float = 0.0
    wind: float = 10.0
    sun_azimuth_deg: float = -1.0
    sun_altitude_deg: float = 45.0
    fog_density: float = 2.0
    fog_distance: float = 0.75
    wetness: float = 0.0


@dataclass(frozen=True)
class SceneState:
    """The world at one tick. ``actors``: ACTOR_DTYPE [N]; ``signals``: SIGNAL_DTYPE [S]."""

    stamp_ns: int
    ego: EgoState
    actors: np.ndarray
    signals: np.ndarray
    weather: Weather = field(default_factory=Weather)
    ego_lights: int = 0
