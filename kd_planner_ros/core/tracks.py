"""Where the road users of a drive were, by id, over the whole drive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS, Series

GAP_NS = 600_000_000
"""Between two recorded instants of one road user that are further apart than this, its place is unknown."""
STATE_COLUMNS = ("x", "y", "yaw", "vx", "vy")


@dataclass(frozen=True)
class Tracks:
    """The actor table of every recorded instant of a drive; the ego is not in it.

    Attributes:
        stamps_ns: int64 [T], increasing.
        starts: int64 [T + 1]; the rows of instant i are ``rows[starts[i]:starts[i + 1]]``.
        rows: ACTOR_DTYPE [K] in ``map``.
    """

    stamps_ns: np.ndarray
    starts: np.ndarray
    rows: np.ndarray

    @cached_property
    def ids(self) -> np.ndarray:
        """Every id that occurs, int32 [A], increasing."""
        return np.unique(self.rows["id"])

    def at(self, stamp_ns: int, tolerance_ns: int = STAMP_TOLERANCE_NS) -> np.ndarray:
        """The actor table ACTOR_DTYPE [N] of the instant nearest to ``stamp_ns``; empty where none lies within the tolerance."""
        instant = int(Series(self.stamps_ns, self.stamps_ns).at(np.array([stamp_ns]), tolerance_ns)[0])
        if instant < 0:
            return np.zeros(0, ACTOR_DTYPE)
        return self.rows[self.starts[instant]:self.starts[instant + 1]]

    def states(self, ids: np.ndarray, stamps_ns: np.ndarray, gap_ns: int = GAP_NS) -> np.ndarray:
        """The motion of the road users ``ids`` [N] at ``stamps_ns`` [S], past or future: float64 [N, S, 5] (x, y in metres, yaw in
        radians, vx, vy in m/s; ``map``).

        Between two recorded instants the values are interpolated, the yaw the shorter way round (it may leave -pi ... pi). They
        are NaN before a road user appears, after it vanishes, and between two of its instants that are more than ``gap_ns``
        apart.
        """
        stamps = np.asarray(stamps_ns, np.int64)
        out = np.full((len(ids), len(stamps), len(STATE_COLUMNS)), np.nan)
        for row, one in enumerate(np.asarray(ids).tolist()):
            out[row] = self._along(one, stamps, gap_ns)
        return out

    @cached_property
    def _by_id(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(ids [K], stamps [K], states [K, 5]) of all rows, ordered by id and then by stamp."""
        stamps = np.repeat(self.stamps_ns, np.diff(self.starts))
        order = np.lexsort((stamps, self.rows["id"]))
        rows = self.rows[order]
        states = np.stack([rows[name].astype(float) for name in STATE_COLUMNS], axis=1)
        return rows["id"], stamps[order], states

    def _along(self, one: int, stamps: np.ndarray, gap_ns: int) -> np.ndarray:
        ids, times, states = self._by_id
        first, last = np.searchsorted(ids, [one, one + 1])
        times, states = times[first:last], states[first:last]
        if not len(times):
            return np.full((len(stamps), len(STATE_COLUMNS)), np.nan)
        right = np.clip(np.searchsorted(times, stamps), 0, len(times) - 1)
        left = np.where(times[right] > stamps, np.maximum(right - 1, 0), right)
        span = times[right] - times[left]
        share = np.where(span > 0, (stamps - times[left]) / np.maximum(span, 1), 0.0)[:, None]
        step = states[right] - states[left]
        step[:, 2] = (step[:, 2] + np.pi) % (2.0 * np.pi) - np.pi  # the shorter way round
        out = states[left] + share * step
        outside = np.minimum(np.abs(stamps - times[left]), np.abs(stamps - times[right])) > STAMP_TOLERANCE_NS
        inside = (times[left] <= stamps) & (stamps <= times[right]) & (span <= gap_ns)
        nearest = np.where(np.abs(stamps - times[left]) <= np.abs(stamps - times[right]), left, right)
        out[~inside] = states[nearest[~inside]]
        out[~inside & outside] = np.nan
        return out
