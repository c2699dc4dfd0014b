"""The steering head on the coarsest features of 16 pictures, in two readings of the paper's attentive pooling."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.unified_encoder.config import READINGS

WINDOW = 16
"""Pictures that one angle is made of."""


class AttentiveProbe(nn.Module):
    """One learned query attends to the tokens of all pictures, as probes of frozen video encoders do.

    Args:
        channels: of the features.
        grid: their rows and columns.
        width: of the tokens; smaller than ``channels``: they are projected first.
        heads: of the attention.
        goal: numbers that say where the route leads; 0: the steering is told nothing of it.
    """

    def __init__(self, channels: int, grid: tuple[int, int], width: int, heads: int, goal: int = 0):
        super().__init__()
        self.project = nn.Identity() if width == channels else nn.Linear(channels, width)
        self.when = nn.Parameter(0.02 * torch.randn(WINDOW, 1, width))
        self.where = nn.Parameter(0.02 * torch.randn(1, grid[0] * grid[1], width))
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.before, self.attend = nn.LayerNorm(width), nn.MultiheadAttention(width, heads, batch_first=True)
        self.middle = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.after, self.out = nn.LayerNorm(width), nn.Linear(width, 1)
        self.goal = nn.Linear(goal, width) if goal else None

    def forward(self, window: Tensor, goal: Tensor | None = None) -> Tensor:
        """Steering [B] of the last picture of ``window`` [B, 16, C, h, w], in the units of the labels; ``goal`` [B, G] is asked
        with the query, and again behind the attention."""
        tokens = self.project(window.flatten(3).transpose(2, 3)) + self.when + self.where
        tokens = self.before(tokens.flatten(1, 2))
        asked = 0.0 if self.goal is None else self.goal(goal)[:, None]
        query = self.query.expand(len(window), -1, -1) + asked
        x = self.attend(query, tokens, tokens, need_weights=False)[0] + asked
        x = x + self.mlp(self.middle(x))
        return self.out(self.after(x))[:, 0, 0]


class SelfAttentivePooling(nn.Module):
    """A weighted mean over places; the weights in (1, e) come from self-attention between them.

    Source: Chen et al., "Self-attentive pooling for efficient deep learning", WACV 2023.
    """

    def __init__(self, channels: int, places: int, reduced: int):
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv1d(channels, reduced, 1), nn.BatchNorm1d(reduced), nn.ReLU())
        self.place = nn.Parameter(0.02 * torch.randn(1, places, reduced))
        self.attend = nn.MultiheadAttention(reduced, 2, batch_first=True)
        self.restore = nn.Sequential(nn.Conv1d(reduced, channels, 1), nn.BatchNorm1d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C] of ``x`` [B, C, N]."""
        tokens = self.reduce(x).transpose(1, 2) + self.place
        seen = self.attend(tokens, tokens, tokens, need_weights=False)[0].transpose(1, 2)
        weights = self.restore(seen).sigmoid().exp()
        return (weights * x).mean(dim=2) / weights.mean(dim=2)


class PooledSteering(nn.Module):
    """Self-attentive pooling over the places of each picture, then over the pictures."""

    def __init__(self, channels: int, grid: tuple[int, int], reduced: int, goal: int = 0):
        super().__init__()
        self.over_places = SelfAttentivePooling(channels, grid[0] * grid[1], reduced)
        self.over_time = SelfAttentivePooling(channels, WINDOW, reduced)
        told = nn.Sequential(nn.Linear(channels + goal, channels), nn.GELU(), nn.Linear(channels, 1))
        self.out = told if goal else nn.Linear(channels, 1)

    def forward(self, window: Tensor, goal: Tensor | None = None) -> Tensor:
        """As ``AttentiveProbe``."""
        batch = len(window)
        each = self.over_places(window.flatten(0, 1).flatten(2)).unflatten(0, (batch, WINDOW))
        pooled = self.over_time(each.transpose(1, 2))
        return self.out(pooled if goal is None else torch.cat([pooled, goal], dim=1))[:, 0]


def build_steering(reading: str, channels: int, grid: tuple[int, int], small: bool = False, goal: int = 0) -> nn.Module:
    """The steering head on features of ``channels`` and ``grid`` (rows, columns): ``probe`` or ``pooling``.

    Args:
        small: the probe works on at most 256 channels and 8 heads instead of all channels and 12 heads.
        goal: numbers that say where the route leads, beside the pictures; the paper's heads get none.

    Raises:
        ConfigError: an unknown reading.
    """
    if reading == "probe":
        width = min(256, channels) if small else channels
        return AttentiveProbe(channels, grid, width, 8 if small else 12, goal)
    if reading == "pooling":
        return PooledSteering(channels, grid, channels // 4, goal)
    raise ConfigError(f"a reading of the steering head out of {', '.join(READINGS)}", repr(reading), "correct the reading")
