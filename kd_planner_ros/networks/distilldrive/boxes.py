"""Boxes and points of a scene as tensors, and how they look from where the car is now. Shared by student and teacher."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MOTION = 5
"""The ego's way since the memory: x, y of the old origin in the new frame, cosine and sine of the old axes' yaw there, seconds."""
STILL = (0.0, 0.0, 1.0, 0.0, 0.0)
"""No way at all."""


def moved(points: Tensor, motion: Tensor) -> Tensor:
    """``points`` [B, ..., 2] of the old frame in the new one; ``motion`` [B, 5]."""
    turn = motion.view(len(motion), *[1] * (points.ndim - 2), MOTION)
    x, y = points[..., 0], points[..., 1]
    return torch.stack([turn[..., 2] * x - turn[..., 3] * y + turn[..., 0], turn[..., 3] * x + turn[..., 2] * y + turn[..., 1]], -1)


def turned(vectors: Tensor, motion: Tensor) -> Tensor:
    """Directions or velocities [B, ..., 2] of the old frame along the new axes."""
    turn = motion.view(len(motion), *[1] * (vectors.ndim - 2), MOTION)
    x, y = vectors[..., 0], vectors[..., 1]
    return torch.stack([turn[..., 2] * x - turn[..., 3] * y, turn[..., 3] * x + turn[..., 2] * y], -1)


def moved_boxes(boxes: Tensor, motion: Tensor, drive: bool = False) -> Tensor:
    """``boxes`` [B, ..., 10] of the old frame in the new one; with ``drive`` each goes on at its velocity for the time between."""
    place = boxes[..., :2]
    if drive:
        place = place + boxes[..., 8:10] * motion.view(len(motion), *[1] * (boxes.ndim - 2), MOTION)[..., 4:]
    heading = turned(boxes[..., [7, 6]], motion)  # cosine, sine
    return torch.cat([moved(place, motion), boxes[..., 2:6], heading[..., [1, 0]], turned(boxes[..., 8:10], motion)], -1)


def rotated(points: Tensor, sine: Tensor, cosine: Tensor) -> Tensor:
    """``points`` [..., 2] turned counter-clockwise; ``sine`` and ``cosine`` broadcast against [...]."""
    x, y = points[..., 0], points[..., 1]
    return torch.stack([cosine * x - sine * y, sine * x + cosine * y], -1)


def sine_embedding(points: Tensor, width: int) -> Tensor:
    """Encoding [..., width] of ``points`` [..., 2]: the first half of it of y, the second of x; sines and cosines interleaved.

    Source: SparseDrive's ``gen_sineembed_for_position``: coordinates times 2 pi, temperature 10,000.
    """
    half = width // 2
    step = 10_000.0 ** (2.0 * torch.div(torch.arange(half, device=points.device), 2, rounding_mode="floor") / half)
    angle = points[..., [1, 0], None] * 2.0 * math.pi / step
    return torch.stack([angle[..., 0::2].sin(), angle[..., 1::2].cos()], -1).flatten(-3)


def fan(commands: int, modes: int, steps: int, step_s: float) -> Tensor:
    """Places [commands, modes, steps, 2] of a vocabulary that was not fitted: arcs to the right, to the left and straight on at rising
    speeds, in metres."""
    speed = torch.linspace(1.0, 12.0, modes)[None, :, None]
    bend = torch.tensor([-1.0, 1.0, 0.0])[torch.arange(commands) % 3][:, None, None] * 0.06
    way = speed * step_s * torch.arange(1, steps + 1)
    angle = bend * way
    straight = angle.abs() < 1e-6
    radius = torch.where(straight, 1.0, bend.expand_as(angle)).reciprocal()
    ahead = torch.where(straight, way, radius * angle.sin())
    return torch.stack([ahead, torch.where(straight, 0.0 * way, radius * (1.0 - angle.cos()))], -1)
