"""The scene itself for a privileged planner in closed loop: what is there, where road users were, the lines around the route."""

from __future__ import annotations

from collections import deque

import numpy as np

from kd_planner_ros.core.scene import ACTOR_DTYPE, SceneState
from kd_planner_ros.core.tracks import Tracks
from kd_planner_ros.core.true_scene import TrueScene

BACK_NS = 6_000_000_000
"""Longer than any teacher looks back."""


class SceneTeller:
    """Hears every tick of a drive. ``lines`` are MAP_LINE_DTYPE [P] (``map``). Of the future it tells nothing."""

    def __init__(self, lines: np.ndarray):
        self._lines = lines
        self._past: deque[tuple[int, np.ndarray]] = deque()

    def hear(self, scene: SceneState) -> None:
        """Remember the road users of this tick; time that is set back begins anew."""
        if self._past and scene.stamp_ns <= self._past[-1][0]:
            self._past.clear()
        self._past.append((scene.stamp_ns, scene.actors.copy()))
        while scene.stamp_ns - self._past[0][0] > BACK_NS:
            self._past.popleft()

    def tell(self, scene: SceneState) -> TrueScene:
        """The scene at this tick, which was heard."""
        stamps = np.array([stamp for stamp, _ in self._past], np.int64)
        tables = [rows for _, rows in self._past]
        starts = np.concatenate([[0], np.cumsum([len(rows) for rows in tables])]).astype(np.int64)
        rows = np.concatenate(tables) if tables else np.zeros(0, ACTOR_DTYPE)
        return TrueScene(scene.actors, scene.signals, self._lines, Tracks(stamps, starts, rows), has_future=False)
