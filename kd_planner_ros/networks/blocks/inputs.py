"""What several planners are fed alike: normalised pictures, speed and target point, the one-hot command."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Frame

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
COMMANDS = 6
DISTILLED_VIEWS = ("left", "front", "right")
"""The pictures of a planner with several cameras whose feature maps are distilled, in PlanKD's order."""


def normalise(images: np.ndarray | Tensor) -> Tensor:
    """Pictures RGB uint8 [B, H, W, 3] as ImageNet-normalised float32 [B, 3, H, W] in channels-last memory."""
    return standardise(torch.as_tensor(images).permute(0, 3, 1, 2))


def standardise(pixels: Tensor) -> Tensor:
    """``pixels`` RGB uint8 [..., 3, H, W] as ImageNet-normalised float32, in the same order in memory."""
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).view(3, 1, 1) * 255.0
    std = torch.tensor(IMAGENET_STD, device=pixels.device).view(3, 1, 1) * 255.0
    return pixels.to(torch.float32).sub_(mean).div_(std)


def navigation(frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Speeds [B] in m/s, target points [B, 2] in metres (base_link), both float32, and commands [B] of ``frames``.

    Raises:
        SensorError: a speed or a target point is not finite.
    """
    speed = np.array([frame.ego.speed_mps for frame in frames], np.float32)
    target = np.array([frame.route_goal.target_point for frame in frames], np.float32).reshape(-1, 2)
    if not (np.isfinite(speed).all() and np.isfinite(target).all()):
        raise SensorError("a finite speed and target point", f"speed {speed}, target point {target.tolist()}", "check odometry and route")
    return speed, target, np.array([frame.route_goal.command for frame in frames])


def unfit_picture(network: str, camera: str, wanted: str, picture: np.ndarray, size: tuple[int, int]) -> SensorError:
    """The error of a picture [H, W, 3] of camera ``camera`` that has not the shape ``wanted``.

    Args:
        network: whose sensors ``kd-planner record`` mounts for such pictures.
        size: width and height of the model's camera, pixels.
    """
    return SensorError(f"{wanted} from camera '{camera}'", f"{picture.shape[1]}x{picture.shape[0]}",
                       "mount the camera that the model declares, or record such pictures with "
                       f"'kd-planner record --network {network} --width {size[0]} --height {size[1]}'")


def command_index(commands: np.ndarray) -> np.ndarray:
    """Place [B] in the one-hot of each command [B]; VOID and unknown ones count as LANE_FOLLOW."""
    index = np.asarray(commands, int) - 1
    return np.where((index < 0) | (index >= COMMANDS), Command.LANE_FOLLOW - 1, index)
