"""Oriented boxes in the plane: corners and overlap; points in polygons, crossing segments. Pure functions on numpy arrays.

A box is a row (x, y, yaw, length, width): centre in metres, heading in radians, full dimensions in metres.
"""

from __future__ import annotations

import numpy as np


def corners(boxes: np.ndarray) -> np.ndarray:
    """Corners [..., 4, 2] of ``boxes`` [..., 5]: front left, rear left, rear right, front right (counter-clockwise)."""
    boxes = np.asarray(boxes, float)
    c, s = np.cos(boxes[..., 2, None]), np.sin(boxes[..., 2, None])
    along = boxes[..., 3, None] * np.array([0.5, -0.5, -0.5, 0.5])
    left = boxes[..., 4, None] * np.array([0.5, 0.5, -0.5, -0.5])
    return np.stack([boxes[..., 0, None] + c * along - s * left, boxes[..., 1, None] + s * along + c * left], axis=-1)


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Whether boxes ``a`` [..., 5] and ``b`` [..., 5] touch, broadcast against each other: bool [...].

    Separating axis test on the four box axes; boxes that only share an edge count as touching.
    """
    dx, dy = b[..., 0] - a[..., 0], b[..., 1] - a[..., 1]
    ca, sa, cb, sb = np.cos(a[..., 2]), np.sin(a[..., 2]), np.cos(b[..., 2]), np.sin(b[..., 2])
    c, s = np.abs(ca * cb + sa * sb), np.abs(sa * cb - ca * sb)
    al, aw, bl, bw = a[..., 3] / 2, a[..., 4] / 2, b[..., 3] / 2, b[..., 4] / 2
    hit = np.abs(dx * ca + dy * sa) <= al + bl * c + bw * s
    hit &= np.abs(dy * ca - dx * sa) <= aw + bl * s + bw * c
    hit &= np.abs(dx * cb + dy * sb) <= bl + al * c + aw * s
    hit &= np.abs(dy * cb - dx * sb) <= bw + al * s + aw * c
    return hit


def overlap_one(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether ``box`` [5] touches each of ``others`` [N, 5]: bool [N]."""
    return overlap(np.asarray(box, float)[None], np.asarray(others, float))


def polygon_contains(polygon: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether each of ``points`` [M, 2] lies inside ``polygon`` [N, 2] (even-odd rule): bool [M]."""
    points = np.atleast_2d(points)
    x0, y0 = polygon[:, 0], polygon[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    py = points[:, 1, None]
    spans = (y0 > py) != (y1 > py)
    rise = np.where(y1 == y0, 1.0, y1 - y0)
    crossing = x0 + (py - y0) * (x1 - x0) / rise
    return (np.sum(spans & (points[:, 0, None] < crossing), axis=1) % 2).astype(bool)


def segments_cross(start_a: np.ndarray, end_a: np.ndarray, start_b: np.ndarray, end_b: np.ndarray) -> np.ndarray:
    """Whether segments a and b ([..., 2] ends, broadcast) properly cross or touch: bool [...]."""
    def side(p, q, r):
        return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])

    return ((side(start_a, end_a, start_b) * side(start_a, end_a, end_b) <= 0.0)
            & (side(start_b, end_b, start_a) * side(start_b, end_b, end_a) <= 0.0))
