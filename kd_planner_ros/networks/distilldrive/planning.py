"""The planner that student and teacher share: eighteen queries and the road users look at the past, at each other and at the map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from kd_planner_ros.networks.distilldrive.boxes import fan, moved_boxes, rotated
from kd_planner_ros.networks.distilldrive.config import (
    ANCHOR,
    CANDIDATES,
    COMMANDS,
    FORWARD_SPEED,
    KINDS,
    MEASURED,
    MODES,
    RULES,
    STATUS,
    STEP_S,
    SceneConfig,
    rules_of,
)
from kd_planner_ros.networks.distilldrive.generative import Generative
from kd_planner_ros.networks.distilldrive.layers import (
    Attend,
    BoxEncoder,
    FeedForward,
    PlaceEncoder,
    SpeedEncoder,
    TargetEncoder,
    WayEncoder,
    head,
    score_head,
)

KNOWN = 0.2
"""A road user's past counts if its confidence was above this."""
PAST = ("agent_queue", "agent_queue_boxes", "agent_queue_kept", "ego_queue", "ego_queue_boxes", "ego_queue_kept", "ego_speed")
"""The planner's memory, as inputs; its new memory has the same names behind ``next_``."""


@dataclass(frozen=True)
class Agents:
    """Road users as the planner sees them: ``features`` [B, N, D], ``boxes`` [B, N, 10], ``kinds`` int64 [B, N] (``config.KINDS``),
    ``keep`` bool [B, N], ``keys`` int64 [B, K]: those that others look at."""

    features: Tensor
    boxes: Tensor
    kinds: Tensor
    keep: Tensor
    keys: Tensor


@dataclass(frozen=True)
class Lines:
    """Map elements: ``features`` [B, L, D], ``middles`` [B, L, 2], ``keep`` bool [B, L]."""

    features: Tensor
    middles: Tensor
    keep: Tensor


class PlannerLayer(nn.Module):
    """The past, the others, the map, and a feed-forward network."""

    def __init__(self, width: int, heads: int, decoupled: bool):
        super().__init__()
        self.past, self.others = Attend(width, heads, decoupled), Attend(width, heads, decoupled)
        self.map = Attend(width, heads, False)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = FeedForward(width, 2 * width)


def gather(values: Tensor, index: Tensor) -> Tensor:
    """Rows ``index`` [B, K] of ``values`` [B, N, ...]."""
    shape = index.shape + (1,) * (values.ndim - 2)
    return values.gather(1, index.view(shape).expand(*index.shape, *values.shape[2:]))


class Planner(nn.Module):
    """Tokens in, trajectories out.

    Buffers: ``plan_anchors`` [3, 6, T, 2], the vocabulary: places in metres, ``base_link``; ``motion_anchors`` [C, 6, T, 2], those of road
    users by their kind, in the road user's own frame. Both are fitted (``kmeans.py``) and shipped.
    """

    plan_anchors: Tensor
    motion_anchors: Tensor
    ego_box: Tensor
    rule_weights: Tensor

    def __init__(self, config: SceneConfig, layers: int, generative: bool, status_per_mode: bool = False, extra: bool = False,
                 rules: bool = False, repo_latent: bool = False):
        super().__init__()
        spec, width = config.spec, config.spec.width
        self.queue, self.steps, self.status_per_mode = spec.queue, config.steps, status_per_mode
        self.register_buffer("plan_anchors", fan(len(COMMANDS), MODES, self.steps, STEP_S))
        self.register_buffer("motion_anchors", fan(3, MODES, spec.agent_steps, STEP_S)[[2]].repeat(len(KINDS), 1, 1, 1))
        size = torch.tensor([config.ego_length_m, config.ego_width_m, config.ego_height_m])
        self.register_buffer("ego_box", torch.cat([torch.tensor([config.ego_ahead_m, 0.0, config.ego_height_m / 2.0]), size.log(),
                                                   torch.tensor([0.0, 1.0, 0.0, 0.0])]), persistent=False)
        self.box_encoder, self.way_encoder = BoxEncoder(width), WayEncoder(self.steps, spec.vocabulary, width)
        self.mode_place, self.motion_place = PlaceEncoder(width, norm=True), PlaceEncoder(width, norm=True)
        self.line_place = PlaceEncoder(width)
        self.speed = SpeedEncoder(width) if config.speed == MEASURED else None
        self.target = TargetEncoder(width) if config.target else None
        self.extra_place = nn.Parameter(torch.zeros(1, 1, width)) if extra else None
        self.layers = nn.ModuleList(PlannerLayer(width, spec.heads, spec.decoupled) for _ in range(layers))
        self.generative = Generative(spec, repo_latent) if generative else None
        self.plan_head, self.motion_head = head(width, 2 * self.steps), head(width, 2 * spec.agent_steps)
        self.plan_score, self.motion_score = score_head(width), score_head(width)
        self.status_head = head(width, len(STATUS))
        self.rule_head = head(width, len(rules_of(config))) if rules else None
        self.register_buffer("rule_weights", torch.tensor([RULES[name] for name in rules_of(config)]), persistent=False)

    def forward(self, agents: Agents, lines: Lines, past: Mapping[str, Tensor], motion: Tensor,
                extra: Tensor | None = None, noise: Tensor | None = None) -> dict[str, Tensor]:
        """What the planner says of a scene.

        Args:
            past: of ``PAST``, in the old frame: ``agent_queue`` [B, N, Q, D], ``agent_queue_boxes`` [B, N, Q, 10], ``agent_queue_kept``
                bool [B, N, Q], ``ego_queue`` [B, Q, 18, D], ``ego_queue_boxes`` [B, Q, 10], ``ego_queue_kept`` bool [B, Q], ``ego_speed``
                [B]; newest entry first. And ``target`` [B, 3] (``TargetEncoder``).
            motion: [B, 5], the ego's way since then.
            extra: [B, D], a further token beside the map, which the ego's tokens begin with too.
            noise: [B, N + 18, L], which draws the latent variable; without it, it is the prior's mean.

        Returns:
            ``offsets`` [B, 18, 6, 2] metres a step, ``scores`` [B, 18] logits, ``queries`` [B, 18, D], ``status`` [B, 10] or [B, 18, 10];
            ``agent_offsets`` [B, N, 6, T, 2], ``agent_scores`` [B, N, 6] logits; ``tokens``, ``embeds`` [B, N + 18, D] and
            ``agent_modes`` [B, N, 6, D] for ``answer``; ``words`` [B, 18, D], the encoded vocabulary; ``ego_tokens`` [B, 18, D] and
            ``ego_boxes`` [B, 10] for the memory. With rule heads also ``rules`` [B, 18, R], logits of ``rules_of``; ``scores`` are then
            those of ``chosen_by``, and ``imitation`` [B, 18] the logits without the rules.
        """
        batch, count = agents.features.shape[:2]
        ego_box = self._ego(past["ego_speed"])
        embeds = torch.cat([self.box_encoder(agents.boxes), self.box_encoder(ego_box)[:, None].expand(-1, CANDIDATES, -1)], 1)
        way = self.way_encoder(self.plan_anchors).flatten(0, 1)
        words = way.expand(batch, -1, -1)
        tokens = torch.cat([agents.features, self._own(words, past, extra)], 1)
        queue, queue_at, queue_keep = self._queue(agents, past, motion)
        key_index, key_keep = self._keys(agents, count)
        line_tokens, line_at, line_keep = self._map(lines, extra)
        looked_at = (queue, queue_at, queue_keep), (key_index, key_keep), (line_tokens, line_at, line_keep)
        for layer in self.layers:
            tokens = self._layer(layer, tokens, embeds, *looked_at)
        moved_tokens = tokens if self.generative is None else self.generative(tokens, noise=noise)
        modes = self._motion_modes(agents)
        found = self.answer(moved_tokens, embeds, modes)
        if "rules" in found:
            found |= {"imitation": found["scores"], "scores": self.chosen_by(found["scores"], found["rules"])}
        return {**found, "tokens": tokens, "embeds": embeds, "agent_modes": modes, "ego_tokens": moved_tokens[:, count:],
                "ego_boxes": ego_box, "words": words}

    def _own(self, words: Tensor, past: Mapping[str, Tensor], extra: Tensor | None) -> Tensor:
        """The ego's first tokens [B, 18, D]: the vocabulary, the route's next point, the measured speed, and what the front camera sees,
        which SparseDrive's ego instance begins with too."""
        own = words if self.target is None else words + self.target(past["target"])[:, None]
        own = own if self.speed is None else own + self.speed(past["ego_speed"])[:, None]
        return own if extra is None else own + extra[:, None]

    def _layer(self, layer: Any, tokens: Tensor, embeds: Tensor, past: tuple[Tensor, ...], keys: tuple[Tensor, Tensor],
               lines: tuple[Tensor, ...]) -> Tensor:
        queue, queue_at, queue_keep = past
        present = torch.ones_like(queue_keep[..., :1])
        own, own_at = tokens[:, :, None], embeds[:, :, None]
        beside = torch.cat([own, queue], 2), torch.cat([own_at, queue_at], 2), torch.cat([present, queue_keep], 2)
        tokens = layer.past(own, own_at, *beside)[:, :, 0]
        index, keep = keys
        tokens = layer.norm1(layer.others(tokens, embeds, gather(tokens, index), gather(embeds, index), keep))
        tokens = layer.norm2(layer.map(tokens, embeds, *lines))
        return layer.norm3(layer.feed(tokens))

    def answer(self, tokens: Tensor, embeds: Tensor, modes: Tensor) -> dict[str, Tensor]:
        """The heads' answers to ``tokens`` [B, N + 18, D], moved by the latent variable or not."""
        count = modes.shape[1]
        agents, ego = tokens[:, :count] + embeds[:, :count], tokens[:, count:] + embeds[:, count:]
        queries = ego + self.mode_place(self.plan_anchors[:, :, -1]).flatten(0, 1)
        motion = agents[:, :, None] + modes
        status = self.status_head(ego if self.status_per_mode else ego.mean(1))
        return {"offsets": self.plan_head(queries).unflatten(-1, (self.steps, 2)), "scores": self.plan_score(queries)[..., 0],
                "queries": queries, "status": status, "agent_offsets": self.motion_head(motion).unflatten(-1, (-1, 2)),
                "agent_scores": self.motion_score(motion)[..., 0],
                **({} if self.rule_head is None else {"rules": self.rule_head(queries)})}

    def chosen_by(self, scores: Tensor, rules: Tensor) -> Tensor:
        """Logits [B, 18] of the choice: the imitation's ``scores`` [B, 18], whose softmax over a command's six is its probability, and the
        weighted logarithms of the sub-scores that the logits ``rules`` [B, 18, R] forecast."""
        return scores + (logsigmoid(rules) * self.rule_weights).sum(-1)

    def _ego(self, speed: Tensor) -> Tensor:
        """The ego's box [B, 10]; its velocity is ``speed`` [B], measured or predicted (``SceneConfig.speed``)."""
        box = self.ego_box.expand(len(speed), -1)
        return torch.cat([box[:, :8], speed[:, None], box[:, 9:]], 1)

    def _queue(self, agents: Agents, past: Mapping[str, Tensor], motion: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Past contents [B, N + 18, Q, D], their positions as seen from now, and which of them are there."""
        boxes = moved_boxes(past["agent_queue_boxes"], motion), moved_boxes(past["ego_queue_boxes"], motion)
        at = torch.cat([self.box_encoder(boxes[0]), self.box_encoder(boxes[1])[:, None].expand(-1, CANDIDATES, -1, -1)], 1)
        contents = torch.cat([past["agent_queue"], past["ego_queue"].transpose(1, 2)], 1)
        keep = torch.cat([past["agent_queue_kept"], past["ego_queue_kept"][:, None].expand(-1, CANDIDATES, -1)], 1)
        return contents, at, keep

    def _keys(self, agents: Agents, count: int) -> tuple[Tensor, Tensor]:
        """Numbers [B, K + 18] of the tokens that all look at, and which of them are there."""
        ego = torch.arange(count, count + CANDIDATES, device=agents.keys.device).expand(len(agents.keys), -1)
        keep = gather(agents.keep, agents.keys)
        return torch.cat([agents.keys, ego], 1), torch.cat([keep, torch.ones_like(ego, dtype=torch.bool)], 1)

    def _map(self, lines: Lines, extra: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        at = self.line_place(lines.middles)
        if extra is None or self.extra_place is None:
            return lines.features, at, lines.keep
        there = torch.ones(len(extra), 1, dtype=torch.bool, device=extra.device)
        return (torch.cat([lines.features, extra[:, None]], 1), torch.cat([at, self.extra_place.expand(len(at), -1, -1)], 1),
                torch.cat([lines.keep, there], 1))

    def _motion_modes(self, agents: Agents) -> Tensor:
        """The endpoints of the road users' vocabulary, along each one's heading, encoded: [B, N, 6, D]."""
        ends = self.motion_anchors[:, :, -1][agents.kinds]
        sine, cosine = agents.boxes[..., 6, None], agents.boxes[..., 7, None]
        return self.motion_place(rotated(ends, sine, cosine))

    def remember(self, found: Mapping[str, Tensor], agents: Agents, past: Mapping[str, Tensor], motion: Tensor, kept: Tensor,
                 known: Tensor) -> dict[str, Tensor]:
        """The memory after this frame, in its frame: of the road users ``kept`` [B, N'], whose present is ``known`` bool [B, N'].

        Contents are detached from what will learn through them."""
        older = self.queue - 1
        boxes = moved_boxes(past["agent_queue_boxes"], motion)
        ego_boxes = torch.cat([found["ego_boxes"][:, None], moved_boxes(past["ego_queue_boxes"], motion)[:, :older]], 1)
        ego_kept = torch.cat([torch.ones_like(past["ego_queue_kept"][:, :1]), past["ego_queue_kept"][:, :older]], 1)

        def queued(present: Tensor, before: Tensor) -> Tensor:
            return torch.cat([gather(present, kept)[:, :, None], gather(before, kept)[:, :, :older]], 2).detach()

        speed = found["status"][..., FORWARD_SPEED]
        kept_before = torch.cat([known[:, :, None], gather(past["agent_queue_kept"], kept)[:, :, :older]], 2)
        return {"agent_queue": queued(agents.features, past["agent_queue"]), "agent_queue_boxes": queued(agents.boxes, boxes),
                "agent_queue_kept": kept_before.float(),
                "ego_queue": torch.cat([found["ego_tokens"][:, None], past["ego_queue"][:, :older]], 1).detach(),
                "ego_queue_boxes": ego_boxes.detach(),
                "ego_queue_kept": ego_kept.float(),
                "ego_speed": (speed.mean(1) if self.status_per_mode else speed).detach()}


def empty_past(config: SceneConfig, batch: int, agents: int) -> dict[str, Tensor]:
    """The planner's memory before the first frame: zeros, nothing kept."""
    width, queue = config.spec.width, config.spec.queue
    shapes = {"agent_queue": (agents, queue, width), "agent_queue_boxes": (agents, queue, ANCHOR), "agent_queue_kept": (agents, queue),
              "ego_queue": (queue, CANDIDATES, width), "ego_queue_boxes": (queue, ANCHOR), "ego_queue_kept": (queue,), "ego_speed": ()}
    return {name: torch.zeros(batch, *shapes[name]) for name in PAST}
