"""Colours of what a plan tells, the same in pictures and in RViz: candidates by score, road users and map lines by kind. RGB, 0 to 255."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.scene import ActorKind

LINES = {LineKind.DIVIDER: (203, 213, 225), LineKind.BOUNDARY: (96, 165, 250), LineKind.CROSSING: (45, 212, 191),
         LineKind.CENTRE: (84, 92, 108), LineKind.STOP: (248, 113, 113)}
USERS = {ActorKind.PEDESTRIAN: (244, 114, 182), ActorKind.BICYCLE: (250, 204, 21), ActorKind.MOTORCYCLE: (250, 204, 21),
         ActorKind.STATIC: (161, 161, 170)}
VEHICLE, UNKNOWN = (251, 146, 60), (200, 200, 200)
STOPS = np.array([(80, 60, 150), (219, 39, 119), (253, 224, 71)], float)
"""RGB from the lowest to the highest score."""
OTHER_INTENT = (92, 92, 104)
"""RGB of candidates with a score below 0, which belong to another intent than the route's."""


def score_shares(scores: np.ndarray | None, count: int) -> np.ndarray:
    """Where each of ``scores`` [K] lies between the lowest and the highest that is not below 0, [K] in [0, 1]; NaN for those below 0.
    1 for all ``count`` without scores, and where all are alike; a score that is not a number has 0."""
    if scores is None or not np.isfinite(scores).any():
        return np.ones(count)
    values = np.asarray(scores, float)
    own = values[np.isfinite(values) & (values >= 0.0)]
    low, span = (own.min(), np.ptp(own)) if len(own) else (0.0, 0.0)
    shares = np.clip((np.nan_to_num(values, nan=low) - low) / span, 0.0, 1.0) if span > 0.0 else np.ones(count)
    return np.where(values < 0.0, np.nan, shares)


def score_colours(scores: np.ndarray | None, count: int) -> np.ndarray:
    """RGB uint8 [K, 3] of ``count`` candidates with ``scores`` [K]: violet, magenta and yellow from the lowest to the highest, grey for
    another intent than the route's."""
    shares = score_shares(scores, count)
    at = np.linspace(0.0, 1.0, len(STOPS))
    mixed = np.stack([np.interp(np.nan_to_num(shares), at, STOPS[:, channel]) for channel in range(3)], axis=1)
    return np.rint(np.where(np.isnan(shares)[:, None], OTHER_INTENT, mixed)).astype(np.uint8).reshape(count, 3)


def best_last(scores: np.ndarray | None, count: int) -> list[int]:
    """The order in which candidates are drawn: other intents first, the best on top."""
    shares = score_shares(scores, count)
    return np.argsort(np.where(np.isnan(shares), -1.0, shares), kind="stable").tolist()


def user_colour(kind: int) -> tuple[int, int, int]:
    """The colour of a road user of ``kind`` (ActorKind)."""
    return USERS.get(ActorKind(kind), VEHICLE)


def line_colour(kind: int) -> tuple[int, int, int]:
    """The colour of a map line of ``kind`` (LineKind)."""
    return LINES.get(LineKind(kind), UNKNOWN)
