"""Colours of candidate trajectories by their scores, the same in pictures and in RViz."""

from __future__ import annotations

import numpy as np

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
