"""Sparse perception: queries for road users and for map lines, which look at the pictures, at each other, and at those of 0.5 s ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.distilldrive.boxes import moved, moved_boxes, rotated
from kd_planner_ros.networks.distilldrive.config import ANCHOR, KINDS, DistillDriveConfig, Size
from kd_planner_ros.networks.distilldrive.layers import Attend, BoxEncoder, FeedForward, score_head, steps
from kd_planner_ros.networks.distilldrive.planning import gather
from kd_planner_ros.networks.distilldrive.proposals import Proposals
from kd_planner_ros.networks.distilldrive.vision import Aggregation

DECAY = 0.6
"""What is left of the confidence of an instance 0.5 s later, unless it is found again with more."""
BOX_POINTS = ((0.0, 0.0, 0.0), (0.45, 0.0, 0.0), (-0.45, 0.0, 0.0), (0.0, 0.45, 0.0), (0.0, -0.45, 0.0), (0.0, 0.0, 0.45),
              (0.0, 0.0, -0.45))
"""Fixed sampling points of a box as shares of length, width and height; nano takes the centre, front, rear and top."""
NANO_POINTS = (0, 1, 2, 5)
Eyes = tuple[list[Tensor], Tensor, Tensor]
"""The pyramid [B V, D, h, w], finest first, projection [B, V, 3, 4], and bool [B, V]: the camera gave a picture."""


@dataclass(frozen=True)
class Instances:
    """What a head found: ``features`` [B, N, D], ``anchors`` [B, N, A], ``logits`` [B, N, C], ``confidence`` [B, N]; ``kept`` int64
    [B, K]: those that go on; ``carried`` bool [B, N]: those that came from the memory, in its order; ``layers``: (anchors, logits) of
    every layer, for the loss."""

    features: Tensor
    anchors: Tensor
    logits: Tensor
    confidence: Tensor
    kept: Tensor
    carried: Tensor
    layers: tuple[tuple[Tensor, Tensor], ...]


class Boxes(nn.Module):
    """Road users as instances: an anchor is a box."""

    anchors: Tensor
    fixed: Tensor

    def __init__(self, spec: Size, proposals: int):
        super().__init__()
        self.size = ANCHOR
        chosen = NANO_POINTS if spec.learned == 3 else range(len(BOX_POINTS))
        self.register_buffer("fixed", torch.tensor([BOX_POINTS[index] for index in chosen]), persistent=False)
        self.register_buffer("anchors", _first_boxes(spec.agents))
        self.encoder, self.learned = BoxEncoder(spec.width), nn.Linear(spec.width, 3 * spec.learned)
        self.points = len(self.fixed) + spec.learned
        self.refine = nn.ModuleList(_refiner(spec.width, ANCHOR) for _ in range(spec.layers))
        self.proposals = Proposals(spec, proposals) if proposals else None

    def first(self, eyes: Eyes) -> tuple[Tensor, Tensor]:
        """The first contents [B, N + P, D] and boxes [B, N + P, 10] of the queries: fixed boxes, then proposals."""
        maps, projection, seen = eyes
        batch = len(seen)
        contents, boxes = self.anchors.new_zeros(batch, len(self.anchors), self.learned.in_features), self.anchors.expand(batch, -1, -1)
        if self.proposals is None:
            return contents, boxes
        own = self.proposals(maps[0].unflatten(0, seen.shape), projection, seen)
        return torch.cat([contents, own[0]], 1), torch.cat([boxes, own[1]], 1)

    def embed(self, anchors: Tensor) -> Tensor:
        """[..., 10] to [..., D]."""
        return self.encoder(anchors)

    def sample_points(self, anchors: Tensor, contents: Tensor) -> Tensor:
        """Points [B, N, P, 3] of each box at which it looks at the pictures."""
        own = self.learned(contents).unflatten(-1, (-1, 3)).sigmoid() - 0.5
        shares = torch.cat([self.fixed.expand(*own.shape[:2], -1, -1), own], 2)
        places = shares * anchors[:, :, None, 3:6].clamp(max=3.5).exp()
        flat = rotated(places[..., :2], anchors[:, :, None, 6], anchors[:, :, None, 7])
        return torch.cat([flat, places[..., 2:]], -1) + anchors[:, :, None, :3]

    def refined(self, layer: int, contents: Tensor, anchors: Tensor, seconds: Tensor) -> Tensor:
        """Better boxes; the network's change of velocity is a way over ``seconds`` [B]."""
        change = self.refine[layer](contents)
        pace = change[..., 8:] / seconds[:, None, None]
        heading = anchors[..., 6:8] + change[..., 6:8]
        heading = heading / heading.norm(dim=-1, keepdim=True).clamp(min=1e-3)
        return torch.cat([anchors[..., :3] + change[..., :3], (anchors[..., 3:6] + change[..., 3:6]).clamp(-3.0, 3.5), heading,
                          anchors[..., 8:] + pace], -1)

    def warped(self, anchors: Tensor, motion: Tensor) -> Tensor:
        """Boxes of the memory as they will be now, if they go on as they went."""
        return moved_boxes(anchors, motion, drive=True)


class Polylines(nn.Module):
    """Map lines as instances: an anchor is a line of points, x and y in turn."""

    anchors: Tensor
    heights: Tensor

    def __init__(self, spec: Size):
        super().__init__()
        self.size = 2 * spec.line_points
        self.register_buffer("heights", torch.tensor(spec.line_heights), persistent=False)
        self.register_buffer("anchors", _first_lines(spec.lines, spec.line_points))
        self.samples, self.offsets = spec.line_samples, spec.line_offsets
        self.start = nn.Parameter(torch.zeros(spec.lines, spec.width))
        nn.init.normal_(self.start, std=0.02)
        self.encoder = nn.Sequential(*steps(self.size, spec.width, 2, 2), nn.Linear(spec.width, spec.width))
        self.points = self.samples * len(self.heights) * self.offsets
        self.learned = nn.Linear(spec.width, self.points * 2)
        self.refine = nn.ModuleList(_refiner(spec.width, self.size) for _ in range(spec.layers))

    def first(self, eyes: Eyes) -> tuple[Tensor, Tensor]:
        """Learnt contents [B, L, D] and the fixed lines [B, L, 2 P]."""
        batch = len(eyes[2])
        return self.start.expand(batch, -1, -1), self.anchors.expand(batch, -1, -1)

    def embed(self, anchors: Tensor) -> Tensor:
        """[..., 2 P] to [..., D]."""
        return self.encoder(anchors)

    def sample_points(self, anchors: Tensor, contents: Tensor) -> Tensor:
        """Points [B, L, S, 3]: places along the line, at every height, each moved a little, as often as there are offsets."""
        line = anchors.unflatten(-1, (-1, 2))
        at = torch.linspace(0.0, line.shape[2] - 1.0, self.samples, device=line.device)
        low = at.floor().clamp(max=line.shape[2] - 2).long()
        share = (at - low)[:, None]
        places = line[:, :, low] * (1.0 - share) + line[:, :, low + 1] * share
        own = self.learned(contents).unflatten(-1, (self.samples, len(self.heights), self.offsets, 2)).tanh()
        wide = places[:, :, :, None, None] + own
        height = self.heights[:, None, None].expand(*wide.shape[:-1], 1)
        return torch.cat([wide, height], -1).flatten(2, 4)

    def refined(self, layer: int, contents: Tensor, anchors: Tensor, seconds: Tensor) -> Tensor:
        """Better lines."""
        return anchors + self.refine[layer](contents)

    def warped(self, anchors: Tensor, motion: Tensor) -> Tensor:
        """Lines of the memory as they lie now."""
        return moved(anchors.unflatten(-1, (-1, 2)), motion).flatten(-2)


def _refiner(width: int, out: int) -> nn.Module:
    """Changes of an anchor; a fresh network changes little."""
    last = nn.Linear(width, out)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*steps(width, width, 2, 2), last)


def _first_boxes(count: int) -> Tensor:
    """Boxes before the vocabulary is fitted, on rings ahead."""
    number = torch.arange(count)
    radius, angle = 5.0 + 45.0 * (number + 0.5) / count, (number * 0.618034 % 1.0 - 0.5) * 3.6
    rest = torch.tensor([0.8, 1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0]).expand(count, -1)
    return torch.cat([torch.stack([radius * angle.cos(), radius * angle.sin()], 1), rest], 1)


def _first_lines(count: int, points: int) -> Tensor:
    """Lines before the vocabulary is fitted: 8 m long, lengthwise, in a grid."""
    number = torch.arange(count)
    x, y = 4.0 + 24.0 * (number % 5) / 4.0, -12.0 + 24.0 * (number // 5) / max((count - 1) // 5, 1)
    along = torch.linspace(-4.0, 4.0, points)
    return torch.stack([x[:, None] + along, y[:, None] + 0.0 * along], -1).flatten(1)


class Layer(nn.Module):
    """Attention to the memory, among the queries, to the pictures; a feed-forward network; scores."""

    def __init__(self, spec: Size, points: int, classes: int, decoupled: bool, temporal: bool, among: bool):
        super().__init__()
        width = spec.width
        self.memory = Attend(width, spec.heads, decoupled) if temporal else None
        self.among = Attend(width, spec.heads, decoupled) if among else None
        self.norm = nn.LayerNorm(width) if among else None
        self.look = Aggregation(spec, points)
        self.feed = FeedForward(width, 2 * width, 2 * width)
        self.norm_out = nn.LayerNorm(width)
        self.score = score_head(width, classes)

    def forward(self, contents: Tensor, embeds: Tensor, points: Tensor, eyes: Eyes, past: tuple[Tensor, Tensor, Tensor] | None) -> Tensor:
        """The queries' new contents [B, N, D]."""
        if self.memory is not None and past is not None:
            contents = self.memory(contents, embeds, *past)
        if self.among is not None and self.norm is not None:
            contents = self.norm(self.among(contents, embeds, contents, embeds))
        return self.norm_out(self.feed(self.look(contents, embeds, points, *eyes)))


class InstanceHead(nn.Module):
    """One kind of instances through all layers. After the first layer, which sees one instant, as many go on as there are fixed anchors:
    those of the memory, and behind them the best new ones, the surest first."""

    def __init__(self, spec: Size, kind: Boxes | Polylines, classes: int, kept: int, decoupled: bool, among_first: bool):
        super().__init__()
        self.kind, self.kept = kind, kept
        self.layers = nn.ModuleList(Layer(spec, kind.points, classes, decoupled, index > 0, index > 0 or among_first)
                                    for index in range(spec.layers))

    def forward(self, eyes: Eyes, features: Tensor, anchors: Tensor, confidence: Tensor, motion: Tensor, known: Tensor) -> Instances:
        """The instances of this instant.

        Args:
            eyes: what ``Aggregation`` looks at.
            features, anchors, confidence: the memory, [B, K, D], [B, K, A] in the old frame, [B, K].
            motion: [B, 5]. known: bool [B]: whether there is a memory.
        """
        kind = self.kind
        seconds = torch.where(known, motion[:, 4], 0.5).clamp(0.1, 2.0)
        old = kind.warped(anchors, motion)
        past = features, kind.embed(old), known[:, None].expand(-1, self.kept)
        contents, now = kind.first(eyes)
        carried = torch.zeros(now.shape[:2], dtype=torch.bool, device=now.device)
        found: list[tuple[Tensor, Tensor]] = []
        logits, layers = contents, cast("list[Layer]", list(self.layers))
        for index, layer in enumerate(layers):
            embeds = kind.embed(now)
            contents = layer(contents, embeds, kind.sample_points(now, contents), eyes, past if index else None)
            now, logits = kind.refined(index, contents + embeds, now, seconds), layer.score(contents + embeds)
            found.append((now, logits))
            if index == 0 and len(layers) > 1:
                contents, now, carried = self._join(contents, now.detach(), logits, features, old, known)
            elif index < len(layers) - 1:
                now = now.detach()
        sure = logits.sigmoid().amax(-1)
        before = torch.nn.functional.pad(confidence, (0, sure.shape[1] - self.kept)) * carried
        sure = torch.maximum(sure, DECAY * before)
        return Instances(contents, now, logits, sure, sure.topk(self.kept, 1).indices, carried, tuple(found))

    def _join(self, contents: Tensor, anchors: Tensor, logits: Tensor, old_contents: Tensor, old: Tensor,
              known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        count = len(self.kind.anchors)
        best = logits.sigmoid().amax(-1).topk(count, 1).indices
        contents, anchors = gather(contents, best), gather(anchors, best)
        fresh = count - self.kept
        both = torch.cat([old_contents, contents[:, :fresh]], 1), torch.cat([old, anchors[:, :fresh]], 1)
        first = torch.arange(count, device=anchors.device) < self.kept
        return (torch.where(known[:, None, None], both[0], contents), torch.where(known[:, None, None], both[1], anchors),
                known[:, None] & first)


def build_heads(config: DistillDriveConfig) -> tuple[InstanceHead, InstanceHead]:
    """The heads of road users and of map lines."""
    spec = config.spec
    agents = InstanceHead(spec, Boxes(spec, config.proposals), len(KINDS), spec.kept_agents, spec.decoupled, among_first=False)
    return agents, InstanceHead(spec, Polylines(spec), config.line_classes, spec.kept_lines, False, among_first=True)


def layer_outputs(name: str, found: Instances) -> Mapping[str, Tensor]:
    """What the loss compares, by name and layer."""
    return {f"{name}_{what}_{index}": one for index, layer in enumerate(found.layers)
            for what, one in zip(("anchors", "logits"), layer, strict=True)}


def layer_count(outputs: Mapping[str, Tensor], name: str) -> Sequence[int]:
    """Numbers of the layers in ``outputs``."""
    return [index for index in range(len(outputs)) if f"{name}_anchors_{index}" in outputs]
