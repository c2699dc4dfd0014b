"""The network: one encoder pass a picture, every decoder on its features."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.unified_encoder.alignment import Alignment
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.depth import DepthDecoder, depth_of
from kd_planner_ros.networks.unified_encoder.matched import MatchedFlow, MatchedMask
from kd_planner_ros.networks.unified_encoder.matching import Aligned, Matcher
from kd_planner_ros.networks.unified_encoder.motion import MotionDecoder, PoseDecoder, pose_in_time
from kd_planner_ros.networks.unified_encoder.precision import unrounded
from kd_planner_ros.networks.unified_encoder.segmentation import build_segmentation, task_ids

FEATURES = ("features_1", "features_2", "features_3", "features_4")
BEFORE = ("before_1", "before_2", "before_3", "before_4")
INPUTS = ("image", "before", *BEFORE, "task")
OUTPUTS = ("depth", "class_logits", "mask_logits", "pose", "flow", "motion", *FEATURES)
SCALES = (0, 1, 2, 3)
PARTS = ("segmentation", "geometry", "movers")
"""What a training step may leave out: the segmentation; depth and all that is said of a pair; flow and motion mask alone."""


class UnifiedEncoder(nn.Module):
    """Depth and segmentation of a picture; pose, flow and motion between it and a source, as a rule the picture before.

    Under autocast the segmentation and the pose stay in float32: a rounded mask changes where the queries look, and a turn between two
    frames is a few thousandths.

    Attributes:
        learns_from_sources: whether the encoder gets a gradient through sources whose features are computed here. Without it, a
            step saves their backward pass; what the decoders say of a pair still reaches the encoder through the target.
        unread: those of ``PARTS`` that no loss of the present stage reads: a training step does not run them, and its outputs lack
            theirs.
    """

    def __init__(self, config: UnifiedEncoderConfig):
        super().__init__()
        widths, channels, published = config.widths, config.widths.swin.channels, config.size == "full"
        self.metres, self.ordered = config.metres_per_unit, config.ordered_pose
        self.encoder, self.segmentation = build_segmentation(widths)
        self.depth = DepthDecoder(channels, widths.depth, published, config.logit_bound)
        size = config.input_height, config.input_width
        matcher = Matcher(channels, widths.matching, config.intrinsics.tolist(), size) if config.matching else None
        self.pose = PoseDecoder(channels, widths.pose, widths.pose_head, matcher, config.rotation_scale)
        shape, cap = (channels, widths.motion_half, widths.motion_cap), widths.motion_cap
        self.flow = (MotionDecoder(*shape, 3, published) if matcher is None else
                     MatchedFlow(channels, cap, size, config.intrinsics.tolist()))
        self.motion = MotionDecoder(*shape, 1, published) if matcher is None else MatchedMask(*shape, size)
        self.alignment = Alignment(config.intrinsics.tolist(), size) if config.aligned_pose else None
        self.learns_from_sources, self.unread = True, frozenset[str]()

    def forward(self, image: Tensor, before: Tensor, before_1: Tensor, before_2: Tensor, before_3: Tensor, before_4: Tensor,
                task: Tensor, features: bool = False) -> dict[str, Tensor]:
        """All outputs of ``image`` and its sources.

        ``depth`` [B, H, W] in metres and ``disparity_0`` to ``_3`` [B, 1, H / 2^s, W / 2^s]; the segmentation's outputs
        (``Segmentation``); ``features_1`` to ``_4`` of ``image``. For each source: ``pose`` [B S, 6] in radians and metres
        (``geometry.transform``), ``flow`` [B S, 3, H, W] in metres along the axes of the target's camera (x right, y down, z
        forward), ``flow_0`` to ``_3`` (the same where pictures are compared), ``motion`` [B S, H, W] and ``motion_0`` to
        ``_3``, logits.

        Args:
            image: normalised target picture [B, 3, H, W].
            before: normalised source pictures [B S, 3, H, W]; the first B are the first source of each sample.
            before_1 to before_4: the sources' features, as an earlier call gave them; without elements: they are computed here.
            task: word ids of the segmentation's task, float [B, L].
            features: give the maps by the names of stages too (``stage1`` to ``stage4``).
        """
        paired_up = wanted("geometry", self.unread)
        seen, known = self._features(image, before, (before_1, before_2, before_3, before_4)) if paired_up else (self.encoder(image), ())
        found = dict(zip(FEATURES, seen, strict=True))
        if wanted("segmentation", self.unread):
            found |= in_float32(self.segmentation, seen, task)
        if paired_up:
            disparities = self.depth(seen)
            found |= {"depth": self.metres * depth_of(disparities[0])[:, 0], **scaled("disparity", disparities)}
            found |= self._pair(image, seen, before, known, found["depth"])
        return found | ({f"stage{number}": one for number, one in enumerate(seen, 1)} if features else {})

    def _features(self, image: Tensor, before: Tensor, known: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The features of the target and of the sources; those of the sources may be ``known``."""
        return (self.encoder(image), known) if known[0].numel() else self._both(image, before)

    def _both(self, image: Tensor, before: Tensor) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The features of the target and of the sources."""
        if self.learns_from_sources or not torch.is_grad_enabled():
            both = self.encoder(torch.cat([image, before]))
            return tuple(one[:len(image)] for one in both), tuple(one[len(image):] for one in both)
        with torch.no_grad():
            known = self.encoder(before)
        return self.encoder(image), known

    def _pair(self, image: Tensor, seen: Sequence[Tensor], before: Tensor, known: Sequence[Tensor], depth: Tensor) -> dict[str, Tensor]:
        sources = before.shape[0] // image.shape[0]
        image, seen = image.repeat(sources, 1, 1, 1), [one.repeat(sources, 1, 1, 1) for one in seen]
        pairs, matcher, depth = paired(seen, known), self.pose.matcher, depth.repeat(sources, 1, 1)
        if matcher is None:
            pose, images = in_float32(self._poses, pairs, len(image) // sources), torch.cat([before, image], dim=1)
            pose = self._refined(image, before, depth, pose)
            if not wanted("movers", self.unread):
                return {"pose": in_metres(pose, self.metres)}
            return motion_outputs(pose, self.flow(images, pairs, pose), self.motion(images, pairs, pose), self.metres)
        target, source = matcher(image, *seen[:2]), matcher(before, *known[:2])
        plain = matcher.plain(target, source)
        pose = self._refined(image, before, depth, in_float32(self.pose, pairs, plain))
        aligned = matcher.align(depth, in_metres(pose, self.metres), before, known[0], plain, target, source)
        pairs = aligned_pairs(seen, known, aligned)
        mask, decoder = self.motion, self.flow
        assert isinstance(mask, MatchedMask) and isinstance(decoder, MatchedFlow)
        motion, shift = mask.decode(image, before, pairs, pose, aligned)
        farther = decoder.farther(pairs[1:], pose, aligned.clue, aligned.found)
        flow = decoder.complete(farther, shift, motion[0], depth, aligned.rigid)
        return {"pose": in_metres(pose, self.metres), "flow": flow, **scaled("flow", [flow] * len(SCALES)), "motion": motion[0][:, 0],
                **scaled("motion", motion), **matcher.logits(plain, aligned), "rigid": aligned.rigid}

    def _refined(self, image: Tensor, before: Tensor, depth: Tensor, pose: Tensor) -> Tensor:
        """``pose`` as it is where it learns; flow and motion mask learn with the one that they get when the network runs."""
        if self.alignment is None or pose.requires_grad:
            return pose
        return self.alignment(image, before, depth / self.metres, pose)

    def _poses(self, pairs: Sequence[Tensor], targets: int) -> Tensor:
        return pose_in_time(self.pose, pairs, targets) if self.ordered else self.pose(pairs)


def wanted(part: str, unread: Collection[str]) -> bool:
    """Whether ``part`` of ``PARTS`` has to run: only a training step leaves out what is ``unread``."""
    return part not in unread or not torch.is_grad_enabled()


def paired(seen: Sequence[Tensor], known: Sequence[Tensor]) -> list[Tensor]:
    """Source and target of each scale joined by channel, the source first, of the target's maps and the source's."""
    return [torch.cat([before, now], dim=1) for now, before in zip(seen, known, strict=True)]


def aligned_pairs(seen: Sequence[Tensor], known: Sequence[Tensor], aligned: Aligned) -> list[Tensor]:
    """As ``paired``; the source's first feature lies where the rigid flow puts it."""
    return paired(seen, [aligned.fine, *known[1:]])


def in_metres(pose: Tensor, metres: float) -> Tensor:
    """A pose [B, 6] with its translation in metres, of one in units."""
    return torch.cat([pose[:, :3], metres * pose[:, 3:]], dim=1)


def in_float32(module: Callable[..., Any], features: Sequence[Tensor], *others: Any) -> Any:
    """``module`` of ``features`` in float32, also under autocast."""
    with unrounded(features[0].device.type):
        return module([one.float() for one in features], *others)


def motion_outputs(pose: Tensor, flow: Sequence[Tensor], motion: Sequence[Tensor], metres: float) -> dict[str, Tensor]:
    """``pose``, ``flow`` and ``motion`` of the network's outputs, and the last two by scale.

    Args:
        pose, flow: in the network's units.
        metres: to a unit.
    """
    flow = [metres * one for one in flow]
    return {"pose": in_metres(pose, metres), "flow": flow[0], **scaled("flow", flow),
            "motion": motion[0][:, 0], **scaled("motion", motion)}


def scaled(name: str, maps: Sequence[Tensor]) -> dict[str, Tensor]:
    """The maps of scales 0 to 3 by the names of outputs."""
    return {f"{name}_{scale}": one for scale, one in zip(SCALES, maps, strict=True)}


def build_model(config: UnifiedEncoderConfig) -> UnifiedEncoder:
    """The network with random weights.

    Raises:
        ConfigError: transformers is not installed.
    """
    return UnifiedEncoder(config)


def feature_shapes(config: UnifiedEncoderConfig) -> list[tuple[int, int, int]]:
    """Channels, rows and columns of the four feature maps."""
    return [(channels, config.input_height // stride, config.input_width // stride)
            for channels, stride in zip(config.widths.swin.channels, (4, 8, 16, 32), strict=True)]


def example_inputs(config: UnifiedEncoderConfig, batch: int = 1) -> dict[str, Tensor]:
    """Inputs of zeros as the node gives them: the features of the picture before are known."""
    picture = torch.zeros(batch, 3, config.input_height, config.input_width)
    known = {name: torch.zeros(batch, *shape) for name, shape in zip(BEFORE, feature_shapes(config), strict=True)}
    task = task_ids("panoptic", config.widths.segmentation.task_length).repeat(batch, 1)
    return {"image": picture, "before": picture.clone(), **known, "task": task}
