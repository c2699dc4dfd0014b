"""Polylines in the plane: arc length, projection, interpolation, resampling. Pure functions on numpy arrays."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Projection(NamedTuple):
    """Foot points of [M] query points on a polyline.

    ``segment`` int [M] is the index of the segment hit, ``fraction`` [M] in [0, 1] how far along it, ``arc_m`` [M] the
    distance from the polyline's start, ``offset_m`` [M] the signed distance, positive to the LEFT of the polyline,
    ``foot`` [M, 2] the nearest points.
    """

    segment: np.ndarray
    fraction: np.ndarray
    arc_m: np.ndarray
    offset_m: np.ndarray
    foot: np.ndarray


def arc_lengths(points: np.ndarray) -> np.ndarray:
    """Distance [N] in metres from the first of ``points`` [N, 2] to each, along the polyline."""
    steps = np.diff(points, axis=0)
    return np.concatenate([[0.0], np.cumsum(np.hypot(steps[:, 0], steps[:, 1]))])


def project(query: np.ndarray, points: np.ndarray, arc_m: np.ndarray | None = None) -> Projection:
    """Nearest points on polyline ``points`` [N >= 2, 2] of ``query`` [M, 2] (or one point [2], giving M = 1).

    ``arc_m`` may hand in the polyline's own arc lengths (any origin) to save computing them. Of equally near
    segments the first wins.
    """
    query = np.atleast_2d(np.asarray(query, float))
    points = np.asarray(points, float)
    arc_m = arc_lengths(points) if arc_m is None else arc_m
    start, along = points[:-1], np.diff(points, axis=0)
    length_sq = np.maximum(np.einsum("ij,ij->i", along, along), 1e-12)
    rel = query[:, None, :] - start[None]
    fraction = np.clip((rel[..., 0] * along[:, 0] + rel[..., 1] * along[:, 1]) / length_sq, 0.0, 1.0)
    dx = rel[..., 0] - fraction * along[:, 0]
    dy = rel[..., 1] - fraction * along[:, 1]
    distance_sq = dx * dx + dy * dy
    segment = distance_sq.argmin(axis=1)
    row = np.arange(len(query))
    t = fraction[row, segment]
    direction = along[segment]
    cross = direction[:, 0] * rel[row, segment, 1] - direction[:, 1] * rel[row, segment, 0]
    offset = np.sqrt(distance_sq[row, segment]) * np.where(cross >= 0.0, 1.0, -1.0)
    arc = arc_m[segment] + t * (arc_m[segment + 1] - arc_m[segment])
    return Projection(segment, t, arc, offset, start[segment] + t[:, None] * direction)


def at_arc(points: np.ndarray, arc_m: np.ndarray, query_m: np.ndarray) -> np.ndarray:
    """Positions [..., 2] at arc lengths ``query_m`` [...]; beyond the ends the end points."""
    return np.stack([np.interp(query_m, arc_m, points[:, 0]), np.interp(query_m, arc_m, points[:, 1])], axis=-1)


def yaws_along(points: np.ndarray) -> np.ndarray:
    """Heading [N] in radians at each of ``points`` [N >= 2, 2]: of the chord between its two neighbours."""
    points = np.asarray(points, float)
    chord = np.empty_like(points)
    chord[1:-1] = points[2:] - points[:-2]
    chord[0], chord[-1] = points[1] - points[0], points[-1] - points[-2]
    return np.arctan2(chord[:, 1], chord[:, 0])


def resample(points: np.ndarray, step_m: float) -> np.ndarray:
    """Points [K, 2] on the polyline, evenly spaced by ``step_m`` or a little less; both ends are kept."""
    arc = arc_lengths(np.asarray(points, float))
    count = max(2, int(np.ceil(arc[-1] / step_m - 1e-9)) + 1)
    return at_arc(points, arc, np.linspace(0.0, arc[-1], count))


def offset_line(line: np.ndarray, left_m: float) -> np.ndarray:
    """``line`` [N, 2] shifted to its left by ``left_m``, mitred at the joints (mitre limited to 1 / 0.4)."""
    step = np.diff(line, axis=0)
    step = step / np.maximum(np.linalg.norm(step, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-step[:, 1], step[:, 0]], 1)
    joint = np.concatenate([normal[:1], normal[:-1] + normal[1:], normal[-1:]])
    joint /= np.maximum(np.linalg.norm(joint, axis=1, keepdims=True), 1e-9)
    share = np.concatenate([[1.0], np.maximum((joint[1:-1] * normal[:-1]).sum(1), 0.4), [1.0]])
    return line + joint * (left_m / share)[:, None]
