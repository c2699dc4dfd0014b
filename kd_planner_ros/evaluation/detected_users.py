"""How well a planner's own perception finds road users and foresees them: AP as nuScenes counts it, minADE, minFDE and miss rate.

Source: nuScenes detection task (Caesar et al., CVPR 2020; ``eval/detection/algo.py``): matches by the distance of centres on the ground,
precision above 0.1 over recalls above 0.1. Forecasts are judged of matches within 2 m, as UniAD and SparseDrive do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_planner_ros.core.outputs import Detections
from kd_planner_ros.core.scene import ActorKind

DISTANCES_M = (0.5, 1.0, 2.0, 4.0)
MATCH_M = 2.0
"""Detected and true road users so far apart at most are the same for forecasts; a forecast that ends further away missed."""
LEAST_RECALL, LEAST_PRECISION = 0.1, 0.1


@dataclass(frozen=True)
class TrueUsers:
    """The M road users of one instant in ``base_link``: ``places`` [M, 2], ``kinds`` [M] (ActorKind), ``futures`` [M, T, 2] at the times
    of the forecasts, NaN where unknown; T is 0 without forecasts."""

    places: np.ndarray
    kinds: np.ndarray
    futures: np.ndarray


@dataclass(frozen=True)
class Matches:
    """One instant: of N found road users ``kinds`` and ``scores`` [N] and ``hits`` bool [N, 4], whether each is right within
    ``DISTANCES_M``; ``true_kinds`` [M]; of each match with a forecast ``errors`` [K, 2]: its minADE and minFDE in metres, the latter NaN
    where the true end is unknown."""

    kinds: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    true_kinds: np.ndarray
    errors: np.ndarray


def match(found: Detections, truth: TrueUsers) -> Matches:
    """``found`` against ``truth``: the surest first takes the nearest of its kind that is left, where that is near enough."""
    places = np.stack([found.rows["x"], found.rows["y"]], axis=1)
    away = np.linalg.norm(places[:, None] - truth.places[None], axis=2)
    away[found.rows["kind"][:, None] != truth.kinds[None]] = np.inf
    pairs = {limit: _greedy(away, found.rows["probability"], limit) for limit in DISTANCES_M}
    hits = np.stack([pairs[limit] >= 0 for limit in DISTANCES_M], axis=1)
    return Matches(found.rows["kind"].astype(int), found.rows["probability"].astype(float), hits, truth.kinds.astype(int),
                   _forecast_errors(found, truth, pairs[MATCH_M]))


def _greedy(away: np.ndarray, scores: np.ndarray, limit: float) -> np.ndarray:
    """The true row of each found one [N], -1: none; ``away`` [N, M]."""
    found, left = np.full(len(away), -1), away.copy()
    for row in np.argsort(-scores, kind="stable") if away.shape[1] else ():
        nearest = int(left[row].argmin())
        if left[row, nearest] < limit:
            found[row], left[:, nearest] = nearest, np.inf
    return found


def _forecast_errors(found: Detections, truth: TrueUsers, partner: np.ndarray) -> np.ndarray:
    if found.forecasts is None or truth.futures.shape[1] == 0:
        return np.zeros((0, 2))
    rows = []
    for row in np.flatnonzero(partner >= 0):
        future = truth.futures[partner[row]]
        known = np.isfinite(future).all(axis=1)
        off = np.linalg.norm(found.forecasts[row] - future, axis=2)  # [M, T]
        modes = np.isfinite(found.forecasts[row]).all(axis=(1, 2))
        if known.any() and modes.any():
            rows.append((off[modes][:, known].mean(axis=1).min(), off[modes, -1].min() if known[-1] else np.nan))
    return np.array(rows, float).reshape(-1, 2)


def figures(parts: Sequence[Matches]) -> dict[str, Any]:
    """The figures over all instants, JSON-ready; None where nothing is behind a figure.

    Returns:
        ``map``: mean over the kinds that occur of ``ap_by_kind``, itself the mean over ``DISTANCES_M``; ``found``, ``true``; ``forecasts``:
        ``matched``, ``min_ade_m``, ``min_fde_m`` and ``miss_rate`` (minFDE above 2 m).
    """
    kinds, scores, true_kinds = (np.concatenate([getattr(part, name) for part in parts]) for name in ("kinds", "scores", "true_kinds"))
    hits, errors = np.concatenate([part.hits for part in parts]), np.concatenate([part.errors for part in parts])
    by_kind = {}
    for kind in sorted(set(true_kinds.tolist())):
        own, there = kinds == kind, int((true_kinds == kind).sum())
        by_kind[ActorKind(kind).name.lower()] = float(np.mean([average_precision(scores[own], hit, there) for hit in hits[own].T]))
    ends = errors[np.isfinite(errors[:, 1]), 1]
    return {"map": float(np.mean(list(by_kind.values()))) if by_kind else None, "ap_by_kind": by_kind, "found": len(kinds),
            "true": len(true_kinds), "instants": len(parts),
            "forecasts": {"matched": len(errors), "min_ade_m": float(errors[:, 0].mean()) if len(errors) else None,
                          "min_fde_m": float(ends.mean()) if len(ends) else None,
                          "miss_rate": float((ends > MATCH_M).mean()) if len(ends) else None}}


def average_precision(scores: np.ndarray, hits: np.ndarray, true: int) -> float:
    """nuScenes' AP in [0, 1] of found things with ``scores`` [N] of which ``hits`` [N] are right, out of ``true`` ones."""
    if not true or not hits.any():
        return 0.0
    right = hits[np.argsort(-scores, kind="stable")].cumsum()
    precision, recall = right / np.arange(1, len(right) + 1), right / true
    grid = np.linspace(0.0, 1.0, 101)
    at = np.interp(grid, recall, precision, right=0.0)[round(100 * LEAST_RECALL) + 1:]
    return float(np.clip((at - LEAST_PRECISION) / (1.0 - LEAST_PRECISION), 0.0, 1.0).mean())
