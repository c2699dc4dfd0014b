"""Velocities of labelled road users: DAIR-V2X publishes places, and in its sequential set who is who."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

WITHIN_NS = 250_000_000
"""A velocity is the way between the first and the last place no farther away in time than this: labels of 10 Hz tremble by centimetres."""


def add_velocities(lists: Sequence[np.ndarray], stamps_ns: Sequence[int]) -> int:
    """Write ``vx`` and ``vy`` into the rows (ACTOR_DTYPE [N]) of each of ``lists``, one at each of the rising ``stamps_ns``; how many rows
    got none, because no list nearby has their id. Labels without a track have an id of their own in each list, so they get none."""
    if not lists:
        return 0
    ids = np.concatenate([one["id"] for one in lists])
    times = np.repeat(np.asarray(stamps_ns, np.int64), [len(one) for one in lists])
    places = np.concatenate([np.stack([one["x"], one["y"]], -1) for one in lists]).astype(float)
    found, known = np.zeros_like(places), np.zeros(len(ids), bool)
    for name in np.unique(ids):
        rows = np.flatnonzero(ids == name)
        first = rows[np.searchsorted(times[rows], times[rows] - WITHIN_NS)]
        last = rows[np.searchsorted(times[rows], times[rows] + WITHIN_NS, "right") - 1]
        spent_s = (times[last] - times[first]) * 1e-9
        known[rows] = spent_s > 0.0
        found[rows] = (places[last] - places[first]) / np.maximum(spent_s, 1e-3)[:, None] * known[rows, None]
    for rows, velocity in zip(lists, np.split(found, np.cumsum([len(one) for one in lists])[:-1]), strict=True):
        rows["vx"], rows["vy"] = velocity.T
    return int((~known).sum())
