"""The teacher: road users over time and map lines, encoded one by one, and the student's planner on them.

Source: DistillDrive's planning teacher; docs/notes/distilldrive.md says which of its defects are mended.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.blocks.dropout import Dropout
from kd_planner_ros.networks.distilldrive.boxes import MOTION, STILL
from kd_planner_ros.networks.distilldrive.config import ANCHOR, MEASURED, STEP_S
from kd_planner_ros.networks.distilldrive.layers import Attention
from kd_planner_ros.networks.distilldrive.planning import PAST, Agents, Lines, Planner, empty_past
from kd_planner_ros.networks.distilldrive_teacher.config import DistillDriveTeacherConfig

MEMORY = PAST
INPUTS = ("boxes", "kinds", "there", "past", "past_known", "future", "future_known", "lines", "line_kinds", "line_there", "motion", "known",
          "target", *MEMORY)
OUTPUTS = ("offsets", "scores", "queries", "status", "agent_offsets", "agent_scores", *(f"next_{name}" for name in MEMORY))
FEATURES = 9
"""Of a step of a road user: offset, velocity, direction, length and width, and whether it is known."""


class EncoderLayer(nn.Module):
    """Self-attention over known steps and a feed-forward network; each added, then normalised."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention, self.dropout = Attention(width, heads), Dropout(0.1)
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        """[..., S, D]; ``keep`` bool [..., S]."""
        x = self.norm1(x + self.dropout(self.attention(x, x, x, keep)))
        return self.norm2(x + self.dropout(self.outer(self.dropout(self.inner(x).relu()))))


class AgentEncoder(nn.Module):
    """Road users over time to one token each: the token of now, after it has looked at past and future."""

    time: Tensor

    def __init__(self, config: DistillDriveTeacherConfig):
        super().__init__()
        width = config.spec.width
        self.reads_past, self.reads_future = config.agent_input != "future", config.agent_input != "history"
        self.embed = nn.Sequential(nn.Linear(FEATURES, width), nn.ReLU(), nn.Linear(width, width))
        self.layers = nn.ModuleList(EncoderLayer(width, config.spec.heads) for _ in range(config.own.layers))
        step = torch.arange(-config.past_steps, config.agent_steps + 1)[:, None] * torch.exp(
            -torch.arange(0, width, 2) / width * 9.21034)
        self.register_buffer("time", torch.stack([step.sin(), step.cos()], -1).flatten(1), persistent=False)
        self.past_steps = config.past_steps

    def forward(self, boxes: Tensor, there: Tensor, past: Tensor, past_known: Tensor, future: Tensor, future_known: Tensor) -> Tensor:
        """[B, A, D]; places ``past`` [B, A, H, 2] (newest first) and ``future`` [B, A, T, 2] in ``base_link``, bool masks beside them."""
        now = boxes[:, :, None, :2]
        size = boxes[..., None, 3:5].exp()
        velocity = boxes[..., None, 8:10]
        steps = [_step(velocity * STEP_S, size, there[..., None], boxes[..., None, [7, 6]])]
        keep, time = [there[..., None]], [self.time[self.past_steps:self.past_steps + 1]]
        if self.reads_past:
            newer = torch.cat([now, past[:, :, :-1]], 2)
            steps.append(_step(newer - past, size, past_known))
            keep.append(past_known)
            time.append(self.time[:self.past_steps].flip(0))
        if self.reads_future:
            older = torch.cat([now, future[:, :, :-1]], 2)
            steps.append(_step(future - older, size, future_known))
            keep.append(future_known)
            time.append(self.time[self.past_steps + 1:])
        x, keep_all = self.embed(torch.cat(steps, 2)) + torch.cat(time), torch.cat(keep, 2)
        for layer in self.layers:
            x = layer(x, keep_all)
        return x[:, :, 0] * there[..., None].to(x.dtype)


def _step(offset: Tensor, size: Tensor, known: Tensor, direction: Tensor | None = None) -> Tensor:
    """Features [..., S, 9] of steps of ``offset`` [..., S, 2]; zeros where it is not known."""
    length = offset.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    heading = offset / length if direction is None else direction.expand_as(offset)
    valid = known[..., None].to(offset.dtype)
    return torch.cat([offset, offset / STEP_S, heading, size.expand(*offset.shape[:-1], 2), valid], -1) * valid


class LineEncoder(nn.Module):
    """Map lines to one token each: their segments as a set, twice pooled."""

    def __init__(self, config: DistillDriveTeacherConfig):
        super().__init__()
        width, first = config.spec.width, config.own.line_width
        self.first = nn.Sequential(nn.Linear(6, first), nn.LayerNorm(first), nn.ReLU(), nn.Linear(first, width))
        self.second = nn.Sequential(nn.Linear(2 * width, width), nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, width))
        self.kind = nn.Embedding(config.line_classes, width)

    def forward(self, lines: Tensor, kinds: Tensor, there: Tensor) -> Tensor:
        """[B, L, D] of lines [B, L, P, 2], kinds int64 [B, L], ``there`` bool [B, L]."""
        middle = lines[:, :, lines.shape[2] // 2, None]
        way = lines[:, :, 1:] - lines[:, :, :-1]
        segments = torch.cat([lines[:, :, :-1] - middle, way, way / way.norm(dim=-1, keepdim=True).clamp(min=1e-6)], -1)
        x = self.first(segments)
        x = self.second(torch.cat([x, x.amax(2, keepdim=True).expand_as(x)], -1)).amax(2) + self.kind(kinds)
        return x * there[..., None].to(x.dtype)


class DistillDriveTeacher(nn.Module):
    """See ``forward``."""

    def __init__(self, config: DistillDriveTeacherConfig):
        super().__init__()
        self.config = config
        self.agent_encoder, self.line_encoder = AgentEncoder(config), LineEncoder(config)
        self.planner = Planner(config, config.own.planner_layers, generative=False, status_per_mode=config.plan_score == "distribution")

    def forward(self, boxes: Tensor, kinds: Tensor, there: Tensor, past: Tensor, past_known: Tensor, future: Tensor, future_known: Tensor,
                lines: Tensor, line_kinds: Tensor, line_there: Tensor, motion: Tensor, known: Tensor, target: Tensor, agent_queue: Tensor,
                agent_queue_boxes: Tensor, agent_queue_kept: Tensor, ego_queue: Tensor, ego_queue_boxes: Tensor, ego_queue_kept: Tensor,
                ego_speed: Tensor, features: bool = False) -> dict[str, Tensor]:
        """Everything that the teacher says of one instant; outputs as the student's where they have its names.

        Args:
            boxes: [B, A, 10] (``config.ANCHOR``), kinds int64 [B, A], there [B, A] with 1 where there is a road user.
            past: [B, A, H, 2], the newest first, and future [B, A, T, 2]: places in ``base_link`` every 0.5 s; 1 in ``..._known`` where
                they are known.
            lines: [B, L, P, 2], line_kinds int64 [B, L], line_there [B, L].
            motion, known, agent_queue to ego_speed: the memory, its road users in the order of ``boxes``. target: see ``TargetEncoder``.
        """
        valid, remembered = there > 0.5, known > 0.5
        tokens = self.agent_encoder(boxes, valid, past, past_known > 0.5, future, future_known > 0.5)
        shown = line_there > 0.5
        elements = Lines(self.line_encoder(lines, line_kinds, shown), lines[:, :, lines.shape[2] // 2], shown)
        everyone = torch.arange(boxes.shape[1], device=boxes.device).expand(len(boxes), -1)
        agents = Agents(tokens, boxes, kinds, valid, everyone)
        memory = {"agent_queue": agent_queue, "agent_queue_boxes": agent_queue_boxes,
                  "agent_queue_kept": (agent_queue_kept > 0.5) & remembered[:, None, None], "ego_queue": ego_queue,
                  "ego_queue_boxes": ego_queue_boxes, "ego_queue_kept": (ego_queue_kept > 0.5) & remembered[:, None],
                  "ego_speed": ego_speed if self.config.speed == MEASURED else torch.where(remembered, ego_speed, 0.0)}
        plans = self.planner(agents, elements, {**memory, "target": target}, motion)
        new = self.planner.remember(plans, agents, memory, motion, everyone, valid)
        return {**plans, **{f"next_{name}": one for name, one in new.items()}}


def build_model(config: DistillDriveTeacherConfig) -> DistillDriveTeacher:
    """A teacher with fresh weights from torch's global generator."""
    return DistillDriveTeacher(config)


def empty_memory(config: DistillDriveTeacherConfig, batch: int = 1) -> dict[str, Tensor]:
    """The memory before the first frame."""
    return empty_past(config, batch, config.own.agents)


def example_inputs(config: DistillDriveTeacherConfig, batch: int = 1) -> dict[str, Tensor]:
    """Inputs of the right shapes: an empty scene."""
    agents, lines, points = config.own.agents, config.own.lines, config.spec.line_points
    return {"boxes": torch.zeros(batch, agents, ANCHOR), "kinds": torch.zeros(batch, agents, dtype=torch.int64),
            "there": torch.zeros(batch, agents), "past": torch.zeros(batch, agents, config.past_steps, 2),
            "past_known": torch.zeros(batch, agents, config.past_steps), "future": torch.zeros(batch, agents, config.agent_steps, 2),
            "future_known": torch.zeros(batch, agents, config.agent_steps), "lines": torch.zeros(batch, lines, points, 2),
            "line_kinds": torch.zeros(batch, lines, dtype=torch.int64), "line_there": torch.zeros(batch, lines),
            "motion": torch.tensor(STILL).expand(batch, MOTION).clone(), "known": torch.zeros(batch), "target": torch.zeros(batch, 3),
            **empty_memory(config, batch)}
