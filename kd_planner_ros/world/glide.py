"""Takes SUMO's jumps out of the picture: it puts a vehicle over to the next lane, or round a corner of a polyline,
at once."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.actor_table import matched

JUMP_M, JUMP_RAD = 0.12, 0.06  # more than this beyond the motion of one tick is a jump
KEEP_POSITION, KEEP_YAW = 0.94, 0.88  # share of the shift left after a tick: gone after about 1.5 s and 0.5 s
FARTHEST_M = 5.0  # a greater jump is a real one


class Glide:
    """One drive's memory of where everybody was shown. ``smooth`` shifts rows so that nobody jumps."""

    def __init__(self, tick_s: float):
        self._tick_s = tick_s
        self._ids = np.zeros(0, np.int64)
        self._last = np.zeros((0, 3))
        self._velocity = np.zeros((0, 2))
        self._shift = np.zeros((0, 3))

    def smooth(self, table: np.ndarray) -> None:
        """Changes x, y and yaw of the ACTOR_DTYPE rows [N] in place; velocities stay as they are. Call it once a
        tick."""
        ids = table["id"].astype(np.int64)
        here = np.array([table["x"], table["y"], table["yaw"]], float).T
        velocity = np.array([table["vx"], table["vy"]], float).T
        shift = np.zeros_like(here)
        now, before = matched(ids, self._ids)
        moved = here[now] - self._last[before]
        moved[:, :2] -= 0.5 * self._tick_s * (velocity[now] + self._velocity[before])
        moved[:, 2] = (moved[:, 2] + np.pi) % (2.0 * np.pi) - np.pi
        distance = np.hypot(moved[:, 0], moved[:, 1])
        jumped = (distance > JUMP_M) & (distance < FARTHEST_M)
        shift[now] = self._shift[before] * (KEEP_POSITION, KEEP_POSITION, KEEP_YAW)
        shift[now, :2] -= moved[:, :2] * jumped[:, None]
        shift[now, 2] -= moved[:, 2] * (np.abs(moved[:, 2]) > JUMP_RAD)
        self._ids, self._last, self._velocity, self._shift = ids, here, velocity, shift
        table["x"], table["y"] = here[:, 0] + shift[:, 0], here[:, 1] + shift[:, 1]
        table["yaw"] = (here[:, 2] + shift[:, 2] + np.pi) % (2.0 * np.pi) - np.pi
