"""Makes lane changes take time: SUMO moves a vehicle to the next lane at once, and here its body slides over.

SUMO's own continuous lane changes (``--lanechange.duration``) crash libsumo 1.28 now and then in lock-step with vehicles
that are placed or taken away from outside.
"""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.actor_table import matched

SLIDE_MPS = 1.4  # a lane of 3.5 m in about 3 s
JUMP_M, LONGEST_JUMP_M = 1.2, 6.0
EASING_PER_S = 1.5
FULL_SLIDE_FROM_MPS = 3.0  # a slower vehicle slides more slowly, a standing one not at all


class LaneSlide:
    """Remembers where vehicles were a tick ago, and how far their bodies still are from the lane SUMO has them on."""

    def __init__(self) -> None:
        self._ids = np.zeros(0, np.int64)
        self._place = np.zeros((0, 2))
        self._offset = np.zeros(0)

    def step(self, table: np.ndarray, dt_s: float) -> None:
        """Shifts the rows of ``table`` (ACTOR_DTYPE [N], ids unique) that changed lanes lately, in place; once per tick."""
        place = np.array([table["x"], table["y"]], float).T
        yaw, ids = table["yaw"].astype(float), table["id"].astype(np.int64)
        cos, sin = np.cos(yaw), np.sin(yaw)
        speed = np.hypot(table["vx"], table["vy"]).astype(float)
        offset = self._carried(ids, place, cos, sin)
        rate = np.clip(-EASING_PER_S * offset, -SLIDE_MPS, SLIDE_MPS) * np.minimum(1.0, speed / FULL_SLIDE_FROM_MPS)
        offset = offset + rate * dt_s
        offset[np.abs(offset) < 0.01] = 0.0
        self._ids, self._place, self._offset = ids, place, offset
        moved = np.flatnonzero(offset)
        if len(moved) == 0:
            return
        left = np.stack([-sin[moved], cos[moved]], axis=1)
        shift, slide = offset[moved, None] * left, rate[moved, None] * left
        table["x"][moved] += shift[:, 0]
        table["y"][moved] += shift[:, 1]
        table["vx"][moved] += slide[:, 0]
        table["vy"][moved] += slide[:, 1]
        table["yaw"][moved] += np.arctan2(rate[moved], np.maximum(speed[moved], 1.0))

    def _carried(self, ids: np.ndarray, place: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        """Offset [N] to the left of the lane before this tick's slide: what was left, less a new jump sideways."""
        offset = np.zeros(len(ids))
        now, before = matched(ids, self._ids)
        step, cos, sin = place[now] - self._place[before], cos[now], sin[now]
        along, aside = step[:, 0] * cos + step[:, 1] * sin, step[:, 1] * cos - step[:, 0] * sin
        jumped = (np.abs(aside) > JUMP_M) & (np.abs(aside) < LONGEST_JUMP_M) & (np.abs(along) < 4.0)
        offset[now] = self._offset[before] - np.where(jumped, aside, 0.0)
        return np.clip(offset, -LONGEST_JUMP_M, LONGEST_JUMP_M)
