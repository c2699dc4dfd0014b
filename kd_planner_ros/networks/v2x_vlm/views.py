"""The two views as one picture, and the part of the station's picture that matters."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.frames import from_base
from kd_planner_ros.geometry.projection import pixels
from kd_planner_ros.imaging.resize import resize_rgb
from kd_planner_ros.networks.blocks.inputs import normalise

CHECKER = (77, 178)
"""Values of the pattern that stands for a missing view: 0.3 and 0.7 of 255. A plain colour has no texture, and after the normalisations
of the network its gradient is without bounds."""
CHECKER_PX = 8
AHEAD_M, ASIDE_M, SHORTEST_M = 40.0, 8.0, 15.0
"""The conflict area: the strip of this length ahead of the car and this far to both sides, turned towards the route's target point; at
least so long."""
LEAST_SHARE = 0.25
"""A section has at least this share of the picture's width."""


def missing_view(height: int, width: int) -> np.ndarray:
    """The picture RGB uint8 [H, W, 3] that stands for a view that did not come."""
    rows, columns = np.arange(height)[:, None] // CHECKER_PX, np.arange(width)[None] // CHECKER_PX
    return np.repeat(np.array(CHECKER, np.uint8)[(rows + columns) % 2][..., None], 3, axis=2)


def conflict_section(camera: CameraSpec, ego: Pose, target: np.ndarray, aspect: float) -> tuple[int, int, int, int] | None:
    """The section (left, top, width, height) of a station's picture that shows the ground which the car is about to cross; None where
    the picture shows none of it.

    Args:
        camera: of the station, pose in ``map``.
        target: the route's target point [2], ``base_link``.
        aspect: width over height of the section, where the picture is large enough.
    """
    away = float(np.hypot(*target))
    heading = np.asarray(target, float) / away if away > 1.0 else np.array([1.0, 0.0])
    along = np.linspace(0.0, float(np.clip(away, SHORTEST_M, AHEAD_M)), 9)
    aside = np.linspace(-ASIDE_M, ASIDE_M, 5)
    ground = along[:, None, None] * heading + aside[None, :, None] * np.array([-heading[1], heading[0]])
    ground = np.concatenate([from_base(ground, ego).reshape(-1, 2), np.full((ground.size // 2, 1), ego.z)], axis=1)
    found = pixels(ground, camera)
    inside = (found[:, 0] >= 0.0) & (found[:, 0] < camera.width) & (found[:, 1] >= 0.0) & (found[:, 1] < camera.height)
    if not inside.any():
        return None
    low, high = found[inside, :2].min(0), found[inside, :2].max(0)
    width = max(high[0] - low[0], (high[1] - low[1]) * aspect, LEAST_SHARE * camera.width)
    width = min(width, camera.width, camera.height * aspect)
    size = np.array([width, width / aspect])
    corner = np.clip((low + high - size) / 2.0, 0.0, np.array([camera.width, camera.height]) - size)
    left, top = (int(round(one)) for one in corner)
    return left, top, max(1, int(round(size[0]))), max(1, int(round(size[1])))


def cut(image: np.ndarray, section: tuple[int, int, int, int] | None, camera: CameraSpec, height: int, width: int) -> np.ndarray:
    """``image`` [H, W, 3], or its ``section`` in pixels of ``camera``, scaled to ``height`` x ``width``."""
    if section is not None:
        scale = image.shape[1] / camera.width, image.shape[0] / camera.height
        left, top, wide, high = (one * scale[axis % 2] for axis, one in enumerate(section))
        image = image[int(top):max(int(top) + 1, int(round(top + high))), int(left):max(int(left) + 1, int(round(left + wide)))]
    return resize_rgb(np.ascontiguousarray(image), height, width)


def picture_tensor(front: np.ndarray | Tensor, roadside: np.ndarray | Tensor | None, pretrained: bool = False) -> Tensor:
    """The views uint8 [B, H, W, 3] side by side, the front one left: float32 [B, 3, H, W or 2 W], channels last.

    Args:
        pretrained: the values are normalised by ImageNet's mean and deviation, as Florence-2's own processor does; otherwise they lie in
            [-1, 1].
    """
    views = [torch.as_tensor(front)] + ([torch.as_tensor(roadside)] if roadside is not None else [])
    picture = torch.cat(views, dim=2)
    return normalise(picture) if pretrained else picture.permute(0, 3, 1, 2).to(torch.float32).div(127.5).sub(1.0)
