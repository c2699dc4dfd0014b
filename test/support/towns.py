"""A hand-made town for the renderer's tests: one straight two-lane road along x with a signal and a stop sign."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.road import Lane, RoadMap, SignalSite, StopSite
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState, SceneState, Weather
from kd_planner_ros.core.sensors import CameraSpec

FRONT = CameraSpec("front", Pose(x=-1.5, z=2.0), 224, 96, 100.0)


def straight_road() -> RoadMap:
    """A road from x = -40 to 80: the lane at y = 0 drives east, the one at y = 3.5 west."""
    east = Lane("e_0", "e", 0, "driving", np.array([[-40.0, 0.0], [80.0, 0.0]]), 3.5, 13.9, left_border="double",
                right_border="solid")
    west = Lane("w_0", "w", 0, "driving", np.array([[80.0, 3.5], [-40.0, 3.5]]), 3.5, 13.9, left_border="double",
                right_border="solid")
    line = np.array([[26.0, -1.75], [26.0, 1.75]])
    signal = SignalSite(0, "e_0", np.array([28.0, -2.6, 3.2]), np.pi, line, (("tl", 0),), "j")
    stop = StopSite(0, "w_0", np.array([-30.0, 6.2]), 0.0, np.array([[-30.0, 5.25], [-30.0, 1.75]]), "k")
    return RoadMap("straight", "", np.zeros(2), {"e_0": east, "w_0": west}, {}, (signal,), (stop,))


def actor(kind: ActorKind, x: float, y: float, size: tuple[float, float, float], seed: int = 1, lights: int = 0) -> np.ndarray:
    """One row of the actor table, facing east and standing."""
    row = np.zeros(1, ACTOR_DTYPE)
    row["id"], row["kind"], row["x"], row["y"], row["seed"], row["lights"] = seed, kind, x, y, seed, lights
    row["length"], row["width"], row["height"] = size
    return row


def scene(*actors: np.ndarray, light: LightState = LightState.RED, weather: Weather = Weather(), stamp_ns: int = 0) -> SceneState:
    """The ego at the origin, looking east, among ``actors``."""
    signals = np.zeros(1, SIGNAL_DTYPE)
    signals["state"], signals["x"], signals["y"], signals["z"], signals["yaw"] = light, 28.0, -2.6, 3.2, np.pi
    table = np.concatenate(actors) if actors else np.zeros(0, ACTOR_DTYPE)
    return SceneState(stamp_ns, EgoState(stamp_ns, Pose(), 0.0), table, signals, weather)
