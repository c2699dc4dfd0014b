"""The student: cameras to road users, map lines and eighteen trajectories. What it remembers goes in and comes out as tensors.

Source: Yu et al., "DistillDrive", ICCV 2025, on SparseDrive's perception; docs/notes/distilldrive.md has the differences.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.distilldrive.boxes import MOTION, STILL
from kd_planner_ros.networks.distilldrive.config import ANCHOR, CANDIDATES, MEASURED, DistillDriveConfig
from kd_planner_ros.networks.distilldrive.generative import frame_noise
from kd_planner_ros.networks.distilldrive.perception import Instances, build_heads, layer_outputs
from kd_planner_ros.networks.distilldrive.planning import KNOWN, PAST, Agents, Lines, Planner, empty_past, gather
from kd_planner_ros.networks.distilldrive.sight import BANK, Sight, sight_of
from kd_planner_ros.networks.distilldrive.vision import FrontToken, Neck, build_backbone, channels_of

MEMORY = (*BANK, *PAST)
INPUTS = ("images", "seen", "projection", "motion", "known", "target", *MEMORY)
ANSWERS = ("offsets", "scores", "status", "boxes", "box_logits", "box_confidence", "agent_offsets", "agent_scores", "lines", "line_logits",
           "kept")
OUTPUTS = (*ANSWERS, *(f"next_{name}" for name in MEMORY))
SPARSE = 16
"""Of the front picture each so-manieth pixel says which frame it is."""


class DistillDrive(nn.Module):
    """See ``forward``."""

    def __init__(self, config: DistillDriveConfig):
        super().__init__()
        spec = config.spec
        self.config = config
        self.backbone = build_backbone(spec.backbone)
        self.neck = Neck(channels_of(spec.backbone), spec.width, spec.strides)
        self.agents, self.lines = build_heads(config)
        self.front = FrontToken(spec.width) if config.signals else None
        self.planner = Planner(config, spec.planner_layers, config.generative, extra=config.signals,
                               rules=config.rule_scores, repo_latent=config.repo_latent)

    def forward(self, images: Tensor, seen: Tensor, projection: Tensor, motion: Tensor, known: Tensor, target: Tensor,
                agent_features: Tensor, agent_anchors: Tensor, agent_confidence: Tensor, line_features: Tensor, line_anchors: Tensor,
                line_confidence: Tensor, agent_queue: Tensor, agent_queue_boxes: Tensor, agent_queue_kept: Tensor, ego_queue: Tensor,
                ego_queue_boxes: Tensor, ego_queue_kept: Tensor, ego_speed: Tensor, features: bool = False,
                found: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Everything that the student says of one instant.

        Args:
            images: [B, V, 3, H, W] normalised. seen: [B, V], 1 where the camera gave a picture.
            projection: [B, V, 3, 4], ``base_link`` to the shares of each picture (``vision.in_pictures``).
            motion: [B, 5], the ego's way since the memory (``boxes.MOTION``). known: [B], 1 where there is a memory.
            target: [B, 3], the route's next point in ``base_link`` and 1, or zeros.
            agent_features to line_confidence: the instance bank. agent_queue to ego_speed: the planner's memory (``planning.PAST``).
            found: what ``perceive`` gave before (``sight.FOUND``), maybe with the token; then no projection is read, and one image or none.

        Returns:
            ``offsets`` [B, 18, 6, 2] metres a step of 0.5 s, right, left and straight on, six each; ``scores`` [B, 18] logits of the
            choice; ``status`` [B, 10]; ``boxes`` [B, N, 10] (``config.ANCHOR``), ``box_logits`` [B, N, C], ``box_confidence`` [B, N];
            ``agent_offsets`` [B, N, 6, T, 2] metres a step and ``agent_scores`` [B, N, 6] logits; ``lines`` [B, L, 2 P], ``line_logits``;
            ``kept`` int64 [B, K]: which boxes are in the new memory; the new memory; further tensors for training.
        """
        there = known > 0.5
        maps = [] if found is not None else self.maps(images)
        bank = agent_features, agent_anchors, agent_confidence, line_features, line_anchors, line_confidence
        sight = sight_of(found) if found is not None else self.sight(maps, seen, projection, motion, known, *bank)
        agents, lines = sight.agents, sight.lines
        front = None if self.front is None else self._look(images[:, 0], found or {}) * (seen[:, :1] > 0.5)
        old = there[:, None] & (agent_confidence > KNOWN)
        past = {"agent_queue": _padded(agent_queue, agents.anchors), "agent_queue_boxes": _padded(agent_queue_boxes, agents.anchors),
                "agent_queue_kept": _padded((agent_queue_kept > 0.5) & old[..., None], agents.anchors), "ego_queue": ego_queue,
                "ego_queue_boxes": ego_queue_boxes, "ego_queue_kept": (ego_queue_kept > 0.5) & there[:, None],
                "ego_speed": ego_speed if self.config.speed == MEASURED else torch.where(there, ego_speed, 0.0)}
        tokens, elements = self._tokens(agents, lines)
        noise = self._noise((images[:, 0, :, ::SPARSE, ::SPARSE], motion, target, ego_speed, ego_queue), agents.anchors.shape[1])
        plans = self.planner(tokens, elements, {**past, "target": target}, motion, front, noise)
        memory = sight.bank() | self.planner.remember(plans, tokens, past, motion, agents.kept, torch.ones_like(agents.kept).bool())
        return {**plans, "boxes": agents.anchors, "box_logits": agents.logits, "box_confidence": agents.confidence, "lines": lines.anchors,
                "line_logits": lines.logits, "kept": agents.kept, **layer_outputs("agent", agents), **layer_outputs("line", lines),
                **{f"next_{name}": one for name, one in memory.items()},
                **({} if front is None else {"front": front}), **({"pyramid": maps[0].unflatten(0, images.shape[:2])} if maps else {})}

    def _look(self, picture: Tensor, found: Mapping[str, Tensor]) -> Tensor:
        """The front view's token [B, D], of ``picture`` [B, 3, H, W] where it was not ``found``."""
        return found["front"] if "front" in found else cast(FrontToken, self.front)(picture)

    def _noise(self, frame: tuple[Tensor, ...], agents: int) -> Tensor | None:
        """What draws the latent variable of ``agents`` and the ego's tokens in ``frame``, where it is drawn."""
        return frame_noise(frame, agents + CANDIDATES, self.config.spec.latent) if self.config.repo_latent else None

    def perceive(self, images: Tensor, seen: Tensor, projection: Tensor, motion: Tensor, known: Tensor, agent_features: Tensor,
                 agent_anchors: Tensor, agent_confidence: Tensor, line_features: Tensor, line_anchors: Tensor,
                 line_confidence: Tensor) -> Sight:
        """What the cameras show, before the planner; arguments as those of ``forward``."""
        return self.sight(self.maps(images), seen, projection, motion, known, agent_features, agent_anchors, agent_confidence,
                          line_features, line_anchors, line_confidence)

    def maps(self, images: Tensor) -> list[Tensor]:
        """The pyramid [B V, D, h, w] of ``images``, finest first. Channels last: convolutions of a ResNet on a processor without AVX-512
        take less time so."""
        return self.neck(self.backbone(images.flatten(0, 1).contiguous(memory_format=torch.channels_last)))

    def sight(self, maps: list[Tensor], seen: Tensor, projection: Tensor, motion: Tensor, known: Tensor, agent_features: Tensor,
              agent_anchors: Tensor, agent_confidence: Tensor, line_features: Tensor, line_anchors: Tensor,
              line_confidence: Tensor) -> Sight:
        """What instances find in ``maps``; other arguments as those of ``forward``."""
        eyes, there = (maps, projection, seen > 0.5), known > 0.5
        return Sight(self.agents(eyes, agent_features, agent_anchors, agent_confidence, motion, there),
                     self.lines(eyes, line_features, line_anchors, line_confidence, motion, there))

    def _tokens(self, agents: Instances, lines: Instances) -> tuple[Agents, Lines]:
        """Instances as the planner's tokens."""
        spec = self.config.spec
        found = Agents(agents.features, agents.anchors, agents.logits.argmax(-1), torch.ones_like(agents.carried),
                       agents.confidence.topk(spec.agent_keys, 1).indices)
        best = lines.confidence.topk(spec.line_keys, 1).indices
        chosen = gather(lines.anchors, best).unflatten(-1, (-1, 2))
        return found, Lines(gather(lines.features, best), chosen[:, :, chosen.shape[2] // 2], torch.ones_like(best, dtype=torch.bool))


def _padded(values: Tensor, everyone: Tensor) -> Tensor:
    """``values`` [B, K, ...] with zeros up to as many as ``everyone`` [B, N, ...] has: the carried instances come first."""
    rest = values.new_zeros(values.shape[0], everyone.shape[1] - values.shape[1], *values.shape[2:])
    return torch.cat([values, rest], 1)


def build_model(config: DistillDriveConfig) -> DistillDrive:
    """A student with fresh weights from torch's global generator."""
    return DistillDrive(config)


def empty_memory(config: DistillDriveConfig, batch: int = 1) -> dict[str, Tensor]:
    """The memory before the first frame."""
    spec = config.spec
    shapes = {"agent_features": (spec.kept_agents, spec.width), "agent_anchors": (spec.kept_agents, ANCHOR),
              "agent_confidence": (spec.kept_agents,), "line_features": (spec.kept_lines, spec.width),
              "line_anchors": (spec.kept_lines, 2 * spec.line_points), "line_confidence": (spec.kept_lines,)}
    return {**{name: torch.zeros(batch, *shapes[name]) for name in BANK}, **empty_past(config, batch, spec.kept_agents)}


def example_inputs(config: DistillDriveConfig, batch: int = 1) -> dict[str, Tensor]:
    """Inputs of the right shapes, for counting, warm-up and export."""
    spec = config.spec
    return {"images": torch.zeros(batch, config.cameras, 3, spec.height, spec.width_px), "seen": torch.ones(batch, config.cameras),
            "projection": torch.zeros(batch, config.cameras, 3, 4), "motion": torch.tensor(STILL).expand(batch, MOTION).clone(),
            "known": torch.zeros(batch), "target": torch.zeros(batch, 3), **empty_memory(config, batch)}
