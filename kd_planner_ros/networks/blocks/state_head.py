"""Auxiliary supervision: a linear head reads the eight planning states off the backbone's last map while training.

Imitation alone says little about a red lamp of three pixels: the car stands, whatever the reason. Naming the
reason (light, junction, stop sign, vehicle, pedestrian, brake, steer, throttle) speeds learning up from little data. The
head is dropped when the weights are shipped. Not part of TCP or PlanKD; off by default.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.core.planning_states import STATE_CLASSES


class StateHead(nn.Module):
    """Logits of all states side by side [B, sum of classes] from a feature map [B, C, h, w].

    Mean and maximum over the map: a state is often decided by one small place (a lamp, a walker).
    """

    def __init__(self, channels: int):
        super().__init__()
        self.read = nn.Linear(2 * channels, sum(STATE_CLASSES))

    def forward(self, features: Tensor) -> Tensor:
        return self.read(torch.cat([features.mean((2, 3)), features.amax((2, 3))], 1))


def state_loss(logits: Tensor, states: Tensor) -> Tensor:
    """Mean cross-entropy over the eight states, a scalar in nats.

    Args:
        logits: [B, sum of classes], the states' classes side by side.
        states: int64 [B, 8] class of each state; -1 where it was not recorded (left out; all left out: 0).
    """
    total, known = logits.new_zeros((), dtype=torch.float32), 0
    for column, part in enumerate(logits.float().split(STATE_CLASSES, 1)):
        mask = states[:, column] >= 0
        if mask.any():
            total = total + nn.functional.cross_entropy(part[mask], states[mask, column])
            known += 1
    return total / max(known, 1) if known else (logits * 0.0).sum()
