"""SUMO's subscription results as rows of ACTOR_DTYPE, built in bulk: this runs every tick for everyone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kd_planner_ros.core.scene import ACTOR_DTYPE


class ActorTable:
    """Turns positions of front ends into centres. ``front_m`` is the share of the length from centre to front."""

    def __init__(self, offset: np.ndarray, front_m: float):
        self._offset, self._front = offset, front_m
        self._names: tuple[str, ...] = ()
        self._fixed = np.zeros(0, ACTOR_DTYPE)

    def fill(self, results: Mapping[str, Mapping[int, object]], rows: Mapping[str, np.ndarray],
             variables: Sequence[int]) -> np.ndarray:
        """ACTOR_DTYPE [N] for ``results`` (name -> variable -> value), in their order.

        ``rows`` hold what never changes about an actor; ``variables`` are SUMO's numbers of position, angle and
        speed, and optionally of the signals, whose bits are given back untranslated in ``lights``.
        """
        names = tuple(results)
        if names != self._names:
            self._names = names
            self._fixed = np.array([rows[name] for name in names], ACTOR_DTYPE) if names else np.zeros(0, ACTOR_DTYPE)
        table = self._fixed.copy()
        if not names:
            return table
        position, *others = variables
        values = np.array([(*of[position], *[of[key] for key in others]) for of in results.values()], float)
        yaw = np.radians(90.0 - values[:, 2])
        c, s, half = np.cos(yaw), np.sin(yaw), self._front * table["length"]
        table["x"] = values[:, 0] - self._offset[0] - half * c
        table["y"] = values[:, 1] - self._offset[1] - half * s
        table["yaw"] = np.arctan2(s, c)
        table["vx"], table["vy"] = values[:, 3] * c, values[:, 3] * s
        if len(others) > 2:
            table["lights"] = values[:, 4].astype(int) & 255
        return table


def matched(ids: np.ndarray, before: np.ndarray) -> tuple[np.ndarray | slice, np.ndarray | slice]:
    """Rows of ``ids`` and of ``before`` (each without repeats) that belong together; in nearly every tick all do."""
    if np.array_equal(ids, before):
        return slice(None), slice(None)
    return np.intersect1d(ids, before, return_indices=True)[1:]
