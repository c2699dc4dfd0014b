"""Road users of the stations' lists as tokens: one token a road user, an embedding of its numbers.

The published form has words alone. A word of a number has an embedding of its own, so a network must see each of a hundred numbers in
each place before it knows what they mean; an embedding of the number itself knows from the start that 19 m are nearly 20 m.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.captions import KIND_WORDS
from kd_planner_ros.networks.v2x_vlm.meeting import REACH_M, WINDOW_S, beside_way, meetings

_KINDS = np.array(sorted(KIND_WORDS))
_PLACE_M, _SPEED_MPS, _BESIDE_M, _MOST = 50.0, 10.0, 10.0, 3.0
"""Units of the columns; further beside the way than ``_MOST`` units is as good as that far."""
THERE = 0
"""Column that is 1 where there is a road user."""
FEATURES = 1 + len(_KINDS) + 9
"""There, one column a kind, x, y, vx, vy, place along the way and beside it, whether it meets the way, where, and when."""
_WAVES = 4
_WAVED = tuple(1 + len(_KINDS) + column for column in (0, 1, 4, 5, 7, 8))
"""Columns that also come as waves: x, y, along, beside, where and when."""


def user_features(objects: np.ndarray, target: np.ndarray, most: int, meets: bool) -> np.ndarray:
    """What ``UserTokens`` reads of road users, float32 [most, FEATURES]; rows of 0 follow the last one.

    Args:
        objects: [M, 5], as ``prompt.station_objects`` gives them.
        target: the route's target point [2], ``base_link``.
        meets: whether it is told where and when each one gets in the car's way, and how far beside it he is.
    """
    found = np.zeros((most, FEATURES), np.float32)
    count = min(len(objects), most)
    if not count:
        return found
    kind, x, y, speed, heading = np.asarray(objects[:count], float).T
    found[:count, THERE] = 1.0
    found[:count, 1:1 + len(_KINDS)] = kind[:, None] == _KINDS
    rest = found[:count, 1 + len(_KINDS):]
    rest[:, :4] = np.stack([x / _PLACE_M, y / _PLACE_M, speed * np.cos(heading) / _SPEED_MPS, speed * np.sin(heading) / _SPEED_MPS], -1)
    if meets:
        along, beside = beside_way(np.stack([x, y], -1), target).T
        met = meetings(objects[:count], target)
        rest[:, 4], rest[:, 5] = along / REACH_M, np.clip(beside / _BESIDE_M, -_MOST, _MOST)
        rest[:, 6] = np.isfinite(met[:, 0])
        rest[:, 7:] = np.nan_to_num(met / (REACH_M, WINDOW_S))
    return found


class UserTokens(nn.Module):
    """Tokens [B, M, d] of the features [B, M, FEATURES] of road users."""

    waves: Tensor

    def __init__(self, width: int):
        super().__init__()
        count = FEATURES + 2 * _WAVES * len(_WAVED)
        self.layers = nn.Sequential(nn.Linear(count, width), nn.GELU(), nn.Linear(width, width))
        self.register_buffer("waves", math.pi * 2.0 ** torch.arange(_WAVES), persistent=False)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        angles = (features[..., list(_WAVED)][..., None] * self.waves).flatten(-2)
        return self.layers(torch.cat([features, angles.sin(), angles.cos()], dim=-1))
