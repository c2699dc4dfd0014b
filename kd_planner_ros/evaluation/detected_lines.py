"""How well a planner's own perception finds the lines of the map: AP over the Chamfer distance, as VectorMapNet and MapTR count it.

Source: Liao et al., MapTR (ICLR 2023), ``map_utils/tpfp.py`` and mmdet's ``average_precision`` (area under the curve).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_planner_ros.core.outputs import LineKind, MapLines
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc

DISTANCES_M = (0.5, 1.0, 1.5)
POINTS = 100
SEEN_KINDS = (LineKind.DIVIDER, LineKind.BOUNDARY, LineKind.CROSSING)
"""Centre lines are nowhere to be seen, and few planners look for stop lines: these count where the planner gives some."""
FACES = 0.5
"""Cosine between the car's heading and that of the traffic that a stop line is for, at least."""


@dataclass(frozen=True)
class LineMatches:
    """One instant: of N found lines ``kinds`` and ``scores`` [N] and ``hits`` bool [N, 3], whether each is right within
    ``DISTANCES_M``; ``true_kinds`` [M]."""

    kinds: np.ndarray
    scores: np.ndarray
    hits: np.ndarray
    true_kinds: np.ndarray


def match(found: MapLines, truth: MapLines) -> LineMatches:
    """``found`` against ``truth``: the surest first takes the nearest of its kind; one that another has taken is no hit."""
    away = np.array([[chamfer(one, other) for other in map(_even, truth.points)] for one in map(_even, found.points)])
    away = away.reshape(len(found), len(truth))
    away[found.kinds[:, None] != truth.kinds[None]] = np.inf
    hits = np.stack([_greedy(away, found.scores, limit) for limit in DISTANCES_M], axis=1)
    return LineMatches(found.kinds.astype(int), found.scores.astype(float), hits, truth.kinds.astype(int))


def for_the_car(lines: MapLines) -> MapLines:
    """``lines`` without the stop lines that are for traffic of another direction than the car's (``core/road.py`` MAP_LINE_DTYPE)."""
    ours = [kind != LineKind.STOP or _faces(np.asarray(line, float)) for line, kind in zip(lines.points, lines.kinds, strict=True)]
    kept = np.array(ours, bool)
    return MapLines(lines.points[kept], lines.kinds[kept], lines.scores[kept])


def _faces(line: np.ndarray) -> bool:
    line = line[np.isfinite(line).all(axis=1)]
    along = line[-1] - line[0]  # from right to left, so the traffic heads along (y, -x)
    return bool(along[1] >= FACES * np.hypot(*along)) and bool(along.any())


def _even(line: np.ndarray) -> np.ndarray:
    """``POINTS`` points evenly along ``line`` [P, 2], which may end with NaN."""
    line = np.asarray(line, float)[np.isfinite(line).all(axis=1)]
    arc = arc_lengths(line)
    return at_arc(line, arc, np.linspace(0.0, arc[-1], POINTS)) if arc[-1] > 0.0 else np.repeat(line[:1], POINTS, axis=0)


def chamfer(one: np.ndarray, other: np.ndarray) -> float:
    """Mean of the mean distances of the points of each line [P, 2] to the nearest point of the other, metres."""
    away = np.linalg.norm(one[:, None] - other[None], axis=2)
    return float(away.min(axis=1).mean() + away.min(axis=0).mean()) / 2.0


def _greedy(away: np.ndarray, scores: np.ndarray, limit: float) -> np.ndarray:
    found, taken = np.zeros(len(away), bool), np.zeros(away.shape[1], bool)
    for row in np.argsort(-scores, kind="stable") if away.shape[1] else ():
        nearest = int(away[row].argmin())
        if away[row, nearest] <= limit and not taken[nearest]:
            found[row] = taken[nearest] = True
    return found


def figures(parts: Sequence[LineMatches]) -> dict[str, Any]:
    """``map``: mean over the kinds that occur of ``ap_by_kind``, itself the mean over ``DISTANCES_M``; None without a true line.
    ``found``, ``true``, ``instants``: counts."""
    kinds, scores, true_kinds = (np.concatenate([getattr(part, name) for part in parts]) for name in ("kinds", "scores", "true_kinds"))
    hits = np.concatenate([part.hits for part in parts])
    asked = [kind for kind in LineKind if kind in true_kinds and (kind in SEEN_KINDS or kind in kinds)]
    by_kind = {kind.name.lower(): float(np.mean([area(scores[kinds == kind], hits[kinds == kind, index], int((true_kinds == kind).sum()))
                                                 for index in range(len(DISTANCES_M))])) for kind in asked}
    return {"map": float(np.mean(list(by_kind.values()))) if by_kind else None, "ap_by_kind": by_kind, "found": len(kinds),
            "true": int(np.isin(true_kinds, asked).sum()), "instants": len(parts)}


def area(scores: np.ndarray, hits: np.ndarray, true: int) -> float:
    """Area in [0, 1] under the precision over recall, made to fall, of found things with ``scores`` [N] of which ``hits`` [N] are right,
    out of ``true`` ones."""
    if not true or not len(hits):
        return 0.0
    right = hits[np.argsort(-scores, kind="stable")].cumsum()
    recall = np.concatenate([[0.0], right / true])
    precision = np.maximum.accumulate((right / np.arange(1, len(right) + 1))[::-1])[::-1]
    return float((np.diff(recall) * precision).sum())
