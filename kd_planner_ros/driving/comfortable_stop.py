"""A stop without a planner: along the last path that was followed, at constant velocity and then braking gently."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control
from kd_planner_ros.geometry.frames import to_base
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc, project


@dataclass(frozen=True)
class StopSettings:
    """What counts as comfortable. The car's own figures are those of CARLA's default car."""

    coast_s: float = 0.5  # constant velocity at most so long
    braking_mps2: float = 2.0
    most_mps2: float = 3.5  # a stop that needs more is no comfortable one
    most_brake_before: float = 0.3  # a car that brakes harder than this already is left to the safe stop
    most_offset_m: float = 2.0
    standing_mps: float = 0.1
    full_brake_mps2: float = 8.5
    speed_gain_s_per_m: float = 0.15
    look_ahead_m: float = 3.0
    look_ahead_s: float = 0.6
    wheelbase_m: float = 2.9
    full_lock_rad: float = 1.22


class ComfortableStop:
    """Brings the car to a stand before the end of ``path`` [N, 2] (``map``). Step it once a tick until it gives None.

    The car rolls on without pedals for half a second, or until it must brake at 2 m/s^2 to stand at the path's end, then
    brakes at that rate (up to 3.5 m/s^2 where the path is shorter). It never accelerates. At 5 m/s with 10 m of path:
    2.5 m rolling, 6.25 m braking.
    """

    def __init__(self, path: np.ndarray, settings: StopSettings = StopSettings()):
        self.settings, self._path = settings, np.asarray(path, float)
        self._arc_m = arc_lengths(self._path)
        self._began_ns: int | None = None
        self._braking: tuple[int, float, float] | None = None

    def step(self, ego: EgoState, now_ns: int, brake_before: float = 0.0) -> Control | None:
        """The control of this tick, or None where the safe stop must take over: the car stands, is off the path, brakes
        harder than this stop does already, or cannot stop comfortably before the path's end."""
        s, speed = self.settings, max(0.0, ego.speed_mps)
        if speed < s.standing_mps:
            return None
        foot = project(np.array([ego.pose.x, ego.pose.y]), self._path, self._arc_m)
        if abs(float(foot.offset_m[0])) > s.most_offset_m:
            return None
        done_m = float(foot.arc_m[0])
        if self._began_ns is None:
            self._began_ns = now_ns
            if brake_before > s.most_brake_before:
                return None
        if self._braking is None:
            needed = speed**2 / (2.0 * max(float(self._arc_m[-1]) - done_m, 1e-3))
            if needed > s.most_mps2:
                return None
            if needed >= s.braking_mps2 or (now_ns - self._began_ns) * 1e-9 >= s.coast_s:
                self._braking = now_ns, speed, max(needed, s.braking_mps2)
        return Control(now_ns, 0.0, self._steer(ego, done_m, speed), self._brake(now_ns, speed))

    def _brake(self, now_ns: int, speed_mps: float) -> float:
        if self._braking is None:
            return 0.0
        began_ns, from_mps, rate_mps2 = self._braking
        wanted_mps = max(0.0, from_mps - rate_mps2 * (now_ns - began_ns) * 1e-9)
        s = self.settings
        return float(np.clip(rate_mps2 / s.full_brake_mps2 + s.speed_gain_s_per_m * (speed_mps - wanted_mps), 0.0, 0.8))

    def _steer(self, ego: EgoState, done_m: float, speed_mps: float) -> float:
        """Pure pursuit of the point ahead on the path, share of full lock, positive LEFT."""
        s = self.settings
        reach_m = max(s.look_ahead_m, s.look_ahead_s * speed_mps)
        x, y = to_base(at_arc(self._path, self._arc_m, np.array(done_m + reach_m)), ego.pose).tolist()
        if x <= 0.5:
            return 0.0  # the path ends here: straight on
        wheel_rad = math.atan2(2.0 * s.wheelbase_m * y, x * x + y * y)
        return float(np.clip(wheel_rad / s.full_lock_rad, -1.0, 1.0))
