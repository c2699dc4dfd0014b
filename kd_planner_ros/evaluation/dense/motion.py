"""The true motion of every pixel between two frames, from labels: what flow, motion masks and the camera's motion are compared with.

Camera axes are x right, y down, z forward; pixel centres are whole numbers. Motion goes from a frame to the one before it: a point at
P now was at P + flow in the axes of the camera then.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import cv2
import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.geometry.frames import matrix_of

MOVING_M = 0.05
"""A pixel moves when its object does by more than this between the frames."""
FARTHEST_M = 80.0
"""Flow is compared up to this depth: beyond it a turn alone moves points by metres."""
HIDDEN = 0.05
"""A point was hidden when the depth that was seen in its place differs by more than this share of its own."""


def relative(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Matrix [4, 4] from the camera now to the camera before, of two cameras in ``map``."""
    return np.linalg.inv(before) @ now


@dataclass(frozen=True)
class Look:
    """What is known of one camera at one instant.

    Attributes:
        rgb: uint8 [H, W, 3].
        intrinsics: pinhole matrix [3, 3] of ``rgb``.
        camera: [4, 4], camera axes to ``map``.
        depth: along z in metres, float32 [H, W].
        single: int32 [H, W], 0 and below: no road user, else 1 + its row in ``actors``.
        actors: ACTOR_DTYPE.
    """

    stamp_ns: int
    rgb: np.ndarray
    intrinsics: np.ndarray
    camera: np.ndarray
    depth: np.ndarray
    single: np.ndarray
    actors: np.ndarray


class Motion:
    """How every pixel of ``now`` moved since ``before``.

    ``known`` says where that can be told: there is depth up to ``FARTHEST_M``, the road user was there before, and the place that the
    point came from is in the picture before and was not hidden.
    """

    def __init__(self, now: Look, before: Look, things: np.ndarray, seen: np.ndarray | None = None):
        self.now, self.before, self.things, self.seen = now, before, things, seen
        self.over_s = (now.stamp_ns - before.stamp_ns) / 1e9
        self.relative = relative(before.camera, now.camera)

    @cached_property
    def points(self) -> np.ndarray:
        """float32 [H, W, 3], metres; where no depth is known they are NaN."""
        return unprojected(self.now.depth, self.now.intrinsics)

    @cached_property
    def rigid(self) -> np.ndarray:
        """Flow of a world in which nothing moves, float32 [H, W, 3]."""
        return rigid_flow(self.relative, self.points)

    @cached_property
    def _told(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(flow float32 [H, W, 3], moving bool [H, W], bool [H, W] whether the road user of the pixel was there before)."""
        now, flow = self.now, self.rigid.copy()
        moving, told = np.zeros(now.depth.shape, bool), np.ones(now.depth.shape, bool)
        rows = {int(row["id"]): row for row in self.before.actors}
        into, ids = np.linalg.inv(self.before.camera), now.single
        for number in np.unique(ids[ids > 0]).tolist():
            where = ids == number
            row = now.actors[number - 1] if number <= len(now.actors) else None
            earlier = None if row is None else rows.get(int(row["id"]))
            if row is None or earlier is None:
                told[where] = False
                continue
            moved = into @ _body(earlier) @ np.linalg.inv(_body(row)) @ now.camera
            points = self.points[where]
            own = points @ moved[:3, :3].T.astype(np.float32) + moved[:3, 3].astype(np.float32) - points
            moving[where] = np.linalg.norm(own - flow[where], axis=1) > MOVING_M
            flow[where] = own
        return flow, moving, told

    @property
    def flow(self) -> np.ndarray:
        """float32 [H, W, 3], metres."""
        return self._told[0]

    @property
    def moving(self) -> np.ndarray:
        """bool [H, W]: the pixel's own road user moved."""
        return self._told[1]

    @cached_property
    def moving_known(self) -> np.ndarray:
        """bool [H, W]: whether it is known if the pixel moves, and the network sees it."""
        told = self._told[2] & np.isfinite(self.now.depth)
        return told if self.seen is None else told & self.seen

    @cached_property
    def places(self) -> np.ndarray:
        """Where the points were in the picture before: float32 [H, W, 2], columns and rows."""
        return projected(self.points + self.flow, self.now.intrinsics)

    @cached_property
    def known(self) -> np.ndarray:
        """bool [H, W], see the class."""
        with np.errstate(invalid="ignore"):
            near = self.moving_known & (self.now.depth <= FARTHEST_M)
        then = self.points[..., 2] + self.flow[..., 2]
        there = cv2.remap(self.before.depth, self.places, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan"))
        with np.errstate(invalid="ignore"):
            return near & in_picture(self.places, self.before.depth.shape) & (then > 0.0) & (np.abs(there - then) <= HIDDEN * then)


def _body(row: Any) -> np.ndarray:
    return matrix_of(Pose(float(row["x"]), float(row["y"]), float(row["z"]), float(row["yaw"])))


def unprojected(depth: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Points float32 [H, W, 3] of ``depth`` [H, W] along z."""
    height, width = depth.shape
    columns = ((np.arange(width) - intrinsics[0, 2]) / intrinsics[0, 0]).astype(np.float32)
    rows = ((np.arange(height) - intrinsics[1, 2]) / intrinsics[1, 1]).astype(np.float32)
    out = np.empty((height, width, 3), np.float32)
    np.multiply(depth, columns[None], out=out[..., 0])
    np.multiply(depth, rows[:, None], out=out[..., 1])
    out[..., 2] = depth
    return out


def rigid_flow(move: np.ndarray, points: np.ndarray) -> np.ndarray:
    """How far ``points`` float32 [..., 3] seem to move when the camera does: ``move`` P - P."""
    return points @ (move[:3, :3] - np.eye(3)).T.astype(np.float32) + move[:3, 3].astype(np.float32)


def projected(points: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Columns and rows float32 [..., 2] of ``points`` [..., 3]; NaN where they lie behind the camera or are unknown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        over = np.float32(1.0) / np.where(points[..., 2] > 1e-3, points[..., 2], np.float32(np.nan))
        out = np.empty((*over.shape, 2), np.float32)
        for axis in range(2):
            np.multiply(points[..., axis], over, out=out[..., axis])
            out[..., axis] *= np.float32(intrinsics[axis, axis])
            out[..., axis] += np.float32(intrinsics[axis, 2])
        return out


def in_picture(places: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """bool [...]: ``places`` [..., 2] (columns and rows) lie between the centres of the outer pixels."""
    with np.errstate(invalid="ignore"):
        x, y = places[..., 0], places[..., 1]
        return (x >= 0.0) & (x <= shape[1] - 1) & (y >= 0.0) & (y <= shape[0] - 1)


def taken(rgb: np.ndarray, places: np.ndarray) -> np.ndarray:
    """``rgb`` uint8 [H, W, 3] at ``places`` float32 [N, 2], bilinear: uint8 [N, 3]; outside the nearest border counts."""
    at = np.nan_to_num(places, nan=-1e4, posinf=1e4, neginf=-1e4).clip(-1e4, 1e4).reshape(-1, 1, 2)
    out = [cv2.remap(rgb, part, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for part in _parts(at)]
    return np.concatenate(out).reshape(-1, 3) if out else np.zeros((0, 3), np.uint8)


def _parts(places: np.ndarray, most: int = 30_000) -> list[np.ndarray]:
    """``places`` in pieces that OpenCV takes: it counts rows in 16 bits."""
    return [places[first:first + most].astype(np.float32) for first in range(0, len(places), most)]
