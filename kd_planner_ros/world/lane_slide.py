"""Makes lane changes take time: SUMO moves a vehicle to the next lane at once, and here its body slides over.

SUMO's own continuous lane changes (``--lanechange.duration``) crash libsumo 1.28 now and then in lock-step with vehicles
that are placed or taken away from outside.
"""

from __future__ import annotations

import numpy as np

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
        order = np.argsort(table["id"], kind="stable")
        rows = table[order]
        place = np.stack([rows["x"], rows["y"]], axis=1).astype(float)
        cos, sin = np.cos(rows["yaw"].astype(float)), np.sin(rows["yaw"].astype(float))
        speed = np.hypot(rows["vx"], rows["vy"]).astype(float)
        offset = self._carried(rows["id"].astype(np.int64), place, cos, sin)
        rate = np.clip(-EASING_PER_S * offset, -SLIDE_MPS, SLIDE_MPS) * np.minimum(1.0, speed / FULL_SLIDE_FROM_MPS)
        offset = offset + rate * dt_s
        offset[np.abs(offset) < 0.01] = 0.0
        self._ids, self._place, self._offset = rows["id"].astype(np.int64), place, offset
        moved = np.flatnonzero(offset)
        if len(moved) == 0:
            return
        target, left = order[moved], np.stack([-sin[moved], cos[moved]], axis=1)
        shift, slide = offset[moved, None] * left, rate[moved, None] * left
        table["x"][target] += shift[:, 0]
        table["y"][target] += shift[:, 1]
        table["vx"][target] += slide[:, 0]
        table["vy"][target] += slide[:, 1]
        table["yaw"][target] += np.arctan2(rate[moved], np.maximum(speed[moved], 1.0))

    def _carried(self, ids: np.ndarray, place: np.ndarray, cos: np.ndarray, sin: np.ndarray) -> np.ndarray:
        """Offset [N] to the left of the lane before this tick's slide: what was left, less a new jump sideways."""
        offset = np.zeros(len(ids))
        if len(self._ids) == 0 or len(ids) == 0:
            return offset
        at = np.minimum(np.searchsorted(self._ids, ids), len(self._ids) - 1)
        known = self._ids[at] == ids
        step = place - self._place[at]
        along, aside = step[:, 0] * cos + step[:, 1] * sin, step[:, 1] * cos - step[:, 0] * sin
        jumped = known & (np.abs(aside) > JUMP_M) & (np.abs(aside) < LONGEST_JUMP_M) & (np.abs(along) < 4.0)
        offset[known] = self._offset[at[known]]
        offset[jumped] -= aside[jumped]
        return np.clip(offset, -LONGEST_JUMP_M, LONGEST_JUMP_M)
