"""Attention that leaves out what is not there, and the encoders of boxes, places and trajectories. Shared by student and teacher."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.blocks.dropout import Dropout
from kd_planner_ros.networks.distilldrive.boxes import sine_embedding

DROPOUT = 0.1
USUAL_MPS = 10.0
USUAL_M = 20.0
"""Speeds in m/s and places in metres are divided by these before they are encoded."""
_OUT = -1e4


class Attention(nn.Module):
    """Multi-head attention over the keys that are kept; where none is kept it gives zeros."""

    def __init__(self, width: int, heads: int, value: int | None = None):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(value or width, width)
        self.out = nn.Linear(width, width)
        self.dropout = Dropout(DROPOUT)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, keep: Tensor | None = None) -> Tensor:
        """[..., Q, width] from queries [..., Q, width] over keys [..., K, width]; ``keep`` bool [..., K]: True = look at it."""
        q, k, v = (one.unflatten(-1, (self.heads, -1)).transpose(-2, -3)
                   for one in (self.query(query), self.key(key), self.value(value)))
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        if keep is not None:
            scores = scores.masked_fill(~keep[..., None, None, :], _OUT)
        found = self.out((self.dropout(scores.softmax(-1)) @ v).transpose(-2, -3).flatten(-2))
        if keep is None:
            return found
        return found * keep.any(-1)[..., None, None].to(found.dtype)


class Attend(nn.Module):
    """Attention of contents with positions and its residual.

    Plain: positions are added to queries and keys. Decoupled, as in the repository: content and position stand side by side at twice the
    width, the residual is taken there, and ``out`` brings it back; values go through ``lift`` first.
    """

    def __init__(self, width: int, heads: int, decoupled: bool):
        super().__init__()
        self.attention = Attention(2 * width if decoupled else width, heads)
        self.dropout = Dropout(DROPOUT)
        self.lift = nn.Linear(width, 2 * width, bias=False) if decoupled else None
        self.out = nn.Linear(2 * width, width, bias=False) if decoupled else None

    def forward(self, query: Tensor, at: Tensor, key: Tensor, key_at: Tensor, keep: Tensor | None = None) -> Tensor:
        """[..., Q, D]; ``at`` and ``key_at`` are the positions of ``query`` [..., Q, D] and ``key`` [..., K, D]."""
        if self.lift is None or self.out is None:
            return query + self.dropout(self.attention(query + at, key + key_at, key, keep))
        wide = torch.cat([query, at], -1)
        return self.out(wide + self.dropout(self.attention(wide, torch.cat([key, key_at], -1), self.lift(key), keep)))


class FeedForward(nn.Module):
    """Normalised first; two linear layers beside a linear way past them. ``width_in`` may be wider than the result."""

    def __init__(self, width: int, hidden: int, width_in: int = 0):
        super().__init__()
        width_in = width_in or width
        self.norm, self.past = nn.LayerNorm(width_in), nn.Linear(width_in, width)
        self.inner, self.outer = nn.Linear(width_in, hidden), nn.Linear(hidden, width)
        self.dropout = Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width_in] to [..., width]."""
        x = self.norm(x)
        return self.past(x) + self.dropout(self.outer(self.dropout(self.inner(x).relu())))


def steps(width_in: int, width: int, count: int, each: int = 1) -> nn.Sequential:
    """``count`` times (``each`` linear layers with ReLU, one normalisation), ``width_in`` to ``width``."""
    layers: list[nn.Module] = []
    for _ in range(count):
        for _ in range(each):
            layers += [nn.Linear(width_in, width), nn.ReLU()]
            width_in = width
        layers.append(nn.LayerNorm(width))
    return nn.Sequential(*layers)


class BoxEncoder(nn.Module):
    """Place, size, heading and velocity of boxes, each by a network of its own, side by side."""

    PARTS = ((0, 3, 2), (3, 6, 8), (6, 8, 8), (8, 10, 4))
    """First and last column and the share of the width, as its divisor."""

    def __init__(self, width: int):
        super().__init__()
        self.parts = nn.ModuleList(steps(last - first, width // share, 4) for first, last, share in self.PARTS)

    def forward(self, boxes: Tensor) -> Tensor:
        """[..., 10] to [..., width]."""
        return torch.cat([part(boxes[..., first:last]) for part, (first, last, _) in zip(self.parts, self.PARTS, strict=True)], -1)


class SpeedEncoder(nn.Module):
    """A measured speed for the ego's queries. The box's velocity does not tell it: its encoder normalises away how large it is."""

    def __init__(self, width: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, speeds: Tensor) -> Tensor:
        """m/s [B] to [B, width]."""
        return self.net(speeds[:, None] / USUAL_MPS)


class TargetEncoder(nn.Module):
    """The route's next point for the ego's queries: where it lies, and its direction, which a far point's place hardly tells."""

    def __init__(self, width: int):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, target: Tensor) -> Tensor:
        """(x, y, known) [B, 3] in metres, ``base_link``, to [B, width]; zeros where the point is not known, at first."""
        place, known = target[:, :2] * target[:, 2:], target[:, 2:]
        direction = place / place.norm(dim=-1, keepdim=True).clamp(min=1e-3)
        return self.net(torch.cat([place / USUAL_M, direction, known], 1))


class PlaceEncoder(nn.Module):
    """The sine encoding of a place through two linear layers."""

    def __init__(self, width: int, norm: bool = False):
        super().__init__()
        self.width = width
        hidden = width if norm else 2 * width
        self.net = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), *([nn.LayerNorm(hidden)] if norm else []), nn.Linear(hidden, width))

    def forward(self, points: Tensor) -> Tensor:
        """[..., 2] to [..., width]."""
        return self.net(sine_embedding(points, self.width))


class WayEncoder(nn.Module):
    """The offsets of a trajectory, each by its sine encoding: the content of a planning query."""

    def __init__(self, steps_: int, each: int, width: int):
        super().__init__()
        self.each, wide = each, steps_ * each
        self.net = nn.Sequential(nn.Linear(wide, wide), nn.ReLU(), nn.LayerNorm(wide), nn.Linear(wide, width))

    def forward(self, places: Tensor) -> Tensor:
        """Places [..., T, 2] to [..., width]."""
        offsets = torch.cat([places[..., :1, :], places[..., 1:, :] - places[..., :-1, :]], -2)
        return self.net(sine_embedding(offsets, self.each).flatten(-2))


def head(width: int, out: int) -> nn.Sequential:
    """A regression branch."""
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))


IMPROBABLE = -4.59512
"""Logit of 0.01."""


def score_head(width: int, out: int = 1) -> nn.Sequential:
    """A classification branch, whose first answers are improbable: 0.01."""
    last = nn.Linear(width, out)
    nn.init.constant_(last.bias, IMPROBABLE)
    return nn.Sequential(*steps(width, width, 2), last)
