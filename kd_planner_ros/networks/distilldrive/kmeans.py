"""Vocabularies fitted to samples: the planner's eighteen trajectories, road users' trajectories, and the first boxes and lines.

Source: the repository's ``tools/kmeans``. Clusters too small to fit keep the anchors that the network begins with.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

ITERATIONS = 50
MOST = 20_000
"""Points at most; of more of them so many are taken, evenly spaced."""


def kmeans(points: np.ndarray, count: int, seed: int = 0) -> np.ndarray | None:
    """``count`` centres float64 [count, F] of ``points`` [N, F], ordered by their length; None where fewer points differ.

    The first centres are drawn by k-means++; a centre that loses all points takes the one furthest from its own. The same points and
    seed give the same centres.
    """
    points = np.asarray(points, float)
    points = points[np.isfinite(points).all(1)]
    if len(points) > MOST:
        points = points[np.linspace(0, len(points) - 1, MOST).round().astype(int)]
    if len(points) < count or len(np.unique(points, axis=0)) < count:
        return None
    centres = _first(points, count, np.random.default_rng(seed))
    for _ in range(ITERATIONS):
        away = _away(points, centres)
        own = away.argmin(1)
        moved = np.stack([points[own == one].mean(0) if (own == one).any() else points[away.min(1).argmax()] for one in range(count)])
        if np.allclose(moved, centres, rtol=0.0, atol=1e-9):
            break
        centres = moved
    return centres[np.lexsort((*centres.T, np.linalg.norm(centres, axis=1).round(6)))]


def _away(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances [N, K]."""
    return np.maximum((points ** 2).sum(1)[:, None] - 2.0 * points @ centres.T + (centres ** 2).sum(1), 0.0)


def _first(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++: each further centre is drawn by its squared distance to those before it."""
    chosen = [int(rng.integers(len(points)))]
    away = ((points - points[chosen[0]]) ** 2).sum(1)
    while len(chosen) < count:
        chosen.append(int(rng.choice(len(points), p=away / away.sum())))
        away = np.minimum(away, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen]


def plan_vocabulary(places: np.ndarray, commands: np.ndarray, first: np.ndarray) -> np.ndarray:
    """The planner's anchors float32 [C, M, T, 2]: for each command the centres of the ways that cars with that command drove.

    Args:
        places: [N, T, 2] metres, ``base_link``; rows that are not finite are left out. commands: [N], index in ``config.COMMANDS``.
        first: [C, M, T, 2], what a command with too few ways keeps.
    """
    found = first.astype(np.float32).copy()
    for command in range(len(first)):
        centres = kmeans(places[commands == command].reshape(-1, first[0, 0].size), first.shape[1])
        if centres is not None:
            found[command] = centres.reshape(first.shape[1:])
    return found


def motion_vocabulary(boxes: np.ndarray, kinds: np.ndarray, future: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Road users' anchors float32 [C, M, T, 2] by kind, along their own headings. A kind with too few ways takes those of all kinds; where
    these are too few as well, it keeps ``first``.

    Args:
        boxes: [N, 10]. kinds: [N]. future: [N, T, 2] places in ``base_link``; rows that are not finite are left out.
    """
    way = future - boxes[:, None, :2]
    sine, cosine = boxes[:, None, 6], boxes[:, None, 7]
    own = np.stack([cosine * way[..., 0] + sine * way[..., 1], cosine * way[..., 1] - sine * way[..., 0]], -1)
    own = own.reshape(-1, first[0, 0].size)
    everyone = kmeans(own, first.shape[1])
    found = first.astype(np.float32).copy()
    for kind in range(len(first)):
        centres = kmeans(own[kinds == kind], first.shape[1])
        centres = everyone if centres is None else centres
        if centres is not None:
            found[kind] = centres.reshape(first.shape[1:])
    return found


def first_boxes(boxes: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Anchors float32 [N, 10] of the box queries: centres of the places in ``boxes`` [K, 10], all else as in ``first``."""
    found = first.astype(np.float32).copy()
    centres = kmeans(boxes[:, :3], len(first))
    if centres is not None:
        found[:, :3] = centres
    return found


def first_lines(lines: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Anchors float32 [L, 2 P] of the line queries: the pieces of ``first``, moved to the centres of the middles of ``lines`` [K, P, 2]."""
    centres = kmeans(lines.mean(1), len(first))
    if centres is None:
        return first.astype(np.float32)
    shapes = first.reshape(len(first), -1, 2)
    return (shapes - shapes.mean(1, keepdims=True) + centres[:, None]).reshape(first.shape).astype(np.float32)


def fitted(arrays: Mapping[str, np.ndarray], places: np.ndarray, commands: np.ndarray,
           first: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The buffers ``first`` of a network (``planner.plan_anchors``, ``planner.motion_anchors``, and where it has them
    ``agents.kind.anchors`` and ``lines.kind.anchors``) fitted to samples.

    Args:
        arrays: ``boxes`` [N, A, 10], ``kinds`` [N, A], ``future`` [N, A, T, 2], ``lines`` [N, L, P, 2], ``line_kinds`` [N, L], and where
            known ``shown`` [N, A]: the road users that are to be found. Ways are those of all, so that a student that finds the shown
            ones has the vocabulary of a teacher that is given all.
    """
    there, shown = arrays["kinds"] >= 0, arrays["line_kinds"] >= 0
    users, kinds, ways = arrays["boxes"][there], arrays["kinds"][there], arrays["future"][there]
    boxes, lines = arrays["boxes"][there & arrays.get("shown", there)], arrays["lines"][shown]
    makers = {"planner.plan_anchors": lambda one: plan_vocabulary(places, commands, one),
              "planner.motion_anchors": lambda one: motion_vocabulary(users, kinds, ways, one),
              "agents.kind.anchors": lambda one: first_boxes(boxes, one), "lines.kind.anchors": lambda one: first_lines(lines, one)}
    return {name: makers[name](one) for name, one in first.items()}
