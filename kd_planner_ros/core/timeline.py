"""The small data of every tick as arrays over time: the ego's motion, its navigation goal and the executed control."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose

STAMP_TOLERANCE_NS = 25_000_000
"""Half a tick of 20 Hz: what is nearer belongs to the same instant."""

LONGEST_GAP_NS = 600_000_000
"""Between places farther apart in time nothing is interpolated; key frames of data sets at 2 Hz are up to 0.55 s apart."""


@dataclass(frozen=True)
class Series:
    """Rows in the order of their header stamps: ``stamps`` int64 [N] ns, ``values`` float64 [N, ...]."""

    stamps: np.ndarray
    values: np.ndarray

    def at(self, stamps: np.ndarray, tolerance_ns: int = STAMP_TOLERANCE_NS) -> np.ndarray:
        """Row number of the nearest stamp for each of ``stamps`` [M], -1 where none lies within the tolerance."""
        stamps = np.asarray(stamps, np.int64)
        if not len(self.stamps):
            return np.full(stamps.shape, -1)
        right = np.clip(np.searchsorted(self.stamps, stamps), 1, max(len(self.stamps) - 1, 1))
        left, right = right - 1, np.minimum(right, len(self.stamps) - 1)
        nearest = np.where(stamps - self.stamps[left] <= self.stamps[right] - stamps, left, right)
        return np.where(np.abs(self.stamps[nearest] - stamps) <= tolerance_ns, nearest, -1)

    def take(self, stamps: np.ndarray, tolerance_ns: int = STAMP_TOLERANCE_NS) -> np.ndarray:
        """Values [M, ...] nearest to ``stamps`` [M]; NaN where none lies within the tolerance."""
        index = self.at(stamps, tolerance_ns)
        if not len(self.stamps):
            return np.full((len(index), *self.values.shape[1:]), np.nan)
        out = self.values[index].astype(float)
        out[index < 0] = np.nan
        return out

    def between(self, stamps: np.ndarray, longest_ns: int = LONGEST_GAP_NS) -> np.ndarray:
        """Values [M, ...] at ``stamps`` [M], linear between rows; NaN beyond the first and the last row, and in a gap above
        ``longest_ns``. For values without a jump: places, not angles."""
        stamps = np.asarray(stamps, np.int64)
        if len(self.stamps) < 2:
            return np.full((len(stamps), *self.values.shape[1:]), np.nan)
        right = np.clip(np.searchsorted(self.stamps, stamps), 1, len(self.stamps) - 1)
        before, after = self.stamps[right - 1], self.stamps[right]
        share = ((stamps - before) / np.maximum(after - before, 1)).reshape(-1, *[1] * (self.values.ndim - 1))
        out = self.values[right - 1] * (1.0 - share) + self.values[right] * share
        out[(stamps < before) | (stamps > after) | (after - before > longest_ns)] = np.nan
        return out


def empty(*shape: int) -> Series:
    """A series without rows."""
    return Series(np.zeros(0, np.int64), np.zeros((0, *shape)))


def series(rows: list[tuple[int, Any]], *shape: int) -> Series:
    """A Series of (stamp, value) rows; sorted, and of equal stamps the last one counts."""
    if not rows:
        return empty(*shape)
    unique = dict(rows)
    stamps = np.array(sorted(unique), np.int64)
    return Series(stamps, np.array([unique[stamp] for stamp in stamps.tolist()], float))


POSE_COLUMNS = ("x", "y", "z", "yaw", "pitch", "roll", "speed_mps", "yaw_rate_rps", "acceleration_mps2", "lateral_mps")


@dataclass(frozen=True)
class Timeline:
    """One drive. ``ego`` rows are POSE_COLUMNS in ``map``; ``control`` rows are what was executed (throttle, steer
    positive LEFT, brake); ``state`` rows are the truth named by ``state_names``; all empty where not recorded.
    ``targets`` [N, 2] (``base_link``) and ``commands`` [N] belong to the rows of ``ego``; None without a route."""

    ego: Series
    control: Series = field(default_factory=lambda: empty(3))
    state: Series = field(default_factory=lambda: empty(0))
    state_names: tuple[str, ...] = ()
    targets: np.ndarray | None = None
    commands: np.ndarray | None = None

    def ego_state(self, row: int) -> EgoState:
        """The ego state in ``row``."""
        v = self.ego.values[row].tolist()
        return EgoState(int(self.ego.stamps[row]), Pose(*v[:6]), speed_mps=v[6], yaw_rate_rps=v[7],
                        acceleration_mps2=v[8], lateral_mps=v[9])

    def goal(self, row: int) -> NavigationGoal:
        """The navigation goal that belongs to ``row``; VOID at the origin without a route."""
        if self.targets is None or self.commands is None:
            return NavigationGoal(np.zeros(2), Command.VOID)
        return NavigationGoal(self.targets[row], Command(int(self.commands[row])))

    def states(self, name: str, stamps: np.ndarray) -> np.ndarray:
        """The named truth at ``stamps`` [M]; NaN where it was not recorded."""
        if name not in self.state_names:
            return np.full(len(stamps), np.nan)
        return self.state.take(stamps)[:, self.state_names.index(name)]
