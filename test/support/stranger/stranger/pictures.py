"""What the stranger's networks share: a picture's size, its tensor, one block of convolutions."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import SensorError

HEIGHT, WIDTH = 16, 32


def small(image: np.ndarray) -> np.ndarray:
    """RGB uint8 [16, 32, 3] of a picture of any size."""
    if image.dtype != np.uint8 or image.ndim != 3:
        raise SensorError("RGB uint8 [H, W, 3]", f"{image.dtype} {list(image.shape)}", "check the camera's encoding")
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def tensor(images: np.ndarray | Tensor) -> Tensor:
    """float32 [B, 3, 16, 32] in [0, 1] of pictures uint8 [B, 16, 32, 3]."""
    return torch.as_tensor(images).float().permute(0, 3, 1, 2) / 255.0


def block(channels_in: int, channels_out: int) -> nn.Module:
    """A convolution with batch normalisation, so that frozen statistics can be seen to stay."""
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU())
