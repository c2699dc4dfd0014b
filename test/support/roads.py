"""Hand-made roads for tests of the world: an east-going street with a junction from x = 50 on, and rows of the actor table."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.road import Lane, RoadMap, SignalSite, StopSite
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind

STOP_LINE = np.array([[50, -1.75], [50, 1.75]], float)
SIGNAL = SignalSite(0, "in", np.array([65.0, 0, 5]), math.pi, STOP_LINE, (("j", 0),), "j")
STOP = StopSite(0, "in", np.array([50.0, -3]), math.pi, STOP_LINE, "j")


def line(*points) -> np.ndarray:
    """Points [N, 2] in metres."""
    return np.array(points, float)


def lane(name: str, centre: np.ndarray, successors: tuple[str, ...] = (), junction: str = "", turn: str = "s") -> Lane:
    """A driving lane, 3.5 m wide, for 14 m/s; ``name`` is that of its edge too."""
    return Lane(name, f":{name}" if junction else name, 0, "driving", centre, 3.5, 14.0, junction, successors, turn)


def road_of(*lanes: Lane, gate: str = "none", junctions: dict[str, np.ndarray] | None = None) -> RoadMap:
    """A map of ``lanes``; ``gate``, at x = 50 of lane "in", is "signal", "stop" or "none"."""
    return RoadMap("hand", "", np.zeros(2), {one.id: one for one in lanes}, junctions or {}, (SIGNAL,) if gate == "signal" else (),
                   (STOP,) if gate == "stop" else ())


def street(*more: Lane, gate: str = "none", junctions: dict[str, np.ndarray] | None = None) -> RoadMap:
    """150 m straight east with a junction between x = 50 and 70, and the lanes ``more``."""
    return road_of(lane("in", line([0, 0], [50, 0]), ("mid",)), lane("mid", line([50, 0], [70, 0]), ("out",), "j"),
                   lane("out", line([70, 0], [150, 0])), *more, gate=gate, junctions=junctions)


def actor(x: float, y: float = 0.0, kind: ActorKind = ActorKind.CAR, yaw: float = 0.0, speed: float = 0.0, length: float = 4.5,
          width: float = 1.9, lights: int = 0, identity: int = 1) -> np.ndarray:
    """One row of the actor table, [1]."""
    row = np.zeros(1, ACTOR_DTYPE)
    for name, value in (("id", identity), ("kind", kind), ("lights", lights), ("x", x), ("y", y), ("yaw", yaw), ("length", length),
                        ("width", width), ("vx", speed * math.cos(yaw)), ("vy", speed * math.sin(yaw))):
        row[name] = value
    return row
