"""Training pictures zoomed, turned and shifted, and how they project: the same scene on other pixels."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from torch import Tensor

from kd_planner_ros.networks.distilldrive.vision import in_pictures

SHARE = 0.8
"""So many pictures are changed; the others are seen as they are when the car drives."""
ZOOM = (0.9, 1.25)
TURN_DEG = 5.4
"""At most, to either side. Source: ``rot_lim`` of Sparse4D's configurations; their zoom varies by 1.18, ours by 1.39."""
SHIFT = 0.06
"""At most, as a share of width and of height."""


def reframed(pictures: np.ndarray, projections: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """``pictures`` uint8 [B, H, W, 3] of one camera and their ``projections`` float32 [B, 3, 4] (``vision.in_pictures``), as copies, with
    ``SHARE`` of the pictures changed. What a picture does not hold is black."""
    pictures, projections = pictures.copy(), projections.copy()
    height, width = pictures.shape[1:3]
    for row in np.flatnonzero(rng.random(len(pictures)) < SHARE):
        move = _move(width, height, rng)
        pictures[row] = cv2.warpAffine(pictures[row], _of_pixels(move, width, height), (width, height), flags=cv2.INTER_LINEAR)
        projections[row, :2] = move @ projections[row]
    return pictures, projections


def _move(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """[2, 3]: (u, v, 1), shares of the picture, to the new u and v; about the picture's middle."""
    zoom = np.exp(rng.uniform(*np.log(ZOOM)))
    turn = np.radians(rng.uniform(-TURN_DEG, TURN_DEG))
    size = np.array([width, height], float)
    own = zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * size / size[:, None]
    return np.column_stack([own, 0.5 - own @ [0.5, 0.5] + rng.uniform(-SHIFT, SHIFT, 2)])


def _of_pixels(move: np.ndarray, width: int, height: int) -> np.ndarray:
    """``move`` for the middles of pixels as OpenCV counts them, from 0."""
    size = np.array([width, height], float)
    own = move[:, :2] * size[:, None] / size
    return np.column_stack([own, move[:, 2] * size + own @ [0.5, 0.5] - 0.5])


def still_shown(targets: Mapping[str, Tensor], projection: Tensor, seen: Tensor) -> Tensor:
    """``targets["shown"]`` bool [B, A] without the road users whose middle the pictures as recorded hold, and the changed ones do not.

    Args:
        targets: ``boxes`` [B, A, 10], and ``projection`` [B, V, 3, 4] and ``seen`` [B, V] as recorded.
        projection, seen: those of the changed pictures.
    """
    before, after = ((in_pictures(targets["boxes"][..., :3], one)[1] & (there > 0.5)[..., None]).any(1)
                     for one, there in ((targets["projection"], targets["seen"]), (projection, seen)))
    return targets["shown"] & (after | ~before)
