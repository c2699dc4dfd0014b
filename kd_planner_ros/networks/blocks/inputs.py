"""What several planners are fed alike: normalised pictures and the one-hot command."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.records import Command

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
COMMANDS = 6


def normalise(images: np.ndarray | Tensor) -> Tensor:
    """Pictures RGB uint8 [B, H, W, 3] as ImageNet-normalised float32 [B, 3, H, W] in channels-last memory."""
    pixels = torch.as_tensor(images).permute(0, 3, 1, 2)
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device).view(1, 3, 1, 1) * 255.0
    std = torch.tensor(IMAGENET_STD, device=pixels.device).view(1, 3, 1, 1) * 255.0
    return pixels.to(torch.float32).sub_(mean).div_(std)


def command_index(commands: np.ndarray) -> np.ndarray:
    """Place [B] in the one-hot of each command [B]; VOID and unknown ones count as LANE_FOLLOW."""
    index = np.asarray(commands, int) - 1
    return np.where((index < 0) | (index >= COMMANDS), Command.LANE_FOLLOW - 1, index)
