"""The unified encoder in parts: the encoder, and each decoder on ready features. A decoder that is left out costs nothing.

The class and mask heads of the segmentation are apart from its pixel decoder because of their hard attention mask: a query looks where
an earlier mask is above one half, so a difference in the last bit of a feature may change where it looks. Each part equals torch on
equal inputs (``runtime/parts.py`` compares them so).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.parts import NetworkPart
from kd_planner_ros.networks.unified_encoder.alignment import Alignment
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.depth import depth_of
from kd_planner_ros.networks.unified_encoder.matched import MatchedFlow
from kd_planner_ros.networks.unified_encoder.matching import Aligned, Matcher
from kd_planner_ros.networks.unified_encoder.model import BEFORE, FEATURES, UnifiedEncoder, aligned_pairs, in_metres, paired

SCALES = ("pixels_32", "pixels_16", "pixels_8")
"""Maps that the pixel decoder gives the queries, from coarse to fine."""
MATCHED = ("match_plain", "match_target", "match_source")
"""What plain matching says, and the matching features of both pictures."""
TOLD = "pose_told"
"""The pose before it is refined."""
SHIFT = "motion_shift"
"""Where matching finds each pixel."""
ALIGNED = tuple(f"aligned_{name}" for name in Aligned._fields)


class _Encoder(nn.Module):
    def __init__(self, model: UnifiedEncoder):
        super().__init__()
        self.encoder = model.encoder

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return dict(zip(FEATURES, self.encoder(image), strict=True))


class _Depth(nn.Module):
    def __init__(self, model: UnifiedEncoder):
        super().__init__()
        self.depth, self.metres = model.depth, model.metres

    def forward(self, *features: Tensor) -> dict[str, Tensor]:
        return {"depth": self.metres * depth_of(self.depth(features)[0])[:, 0]}


class _Pixels(nn.Module):
    def __init__(self, model: UnifiedEncoder):
        super().__init__()
        self.pixels = model.segmentation.pixels

    def forward(self, *features: Tensor) -> dict[str, Tensor]:
        found = self.pixels(list(features))
        return {"mask_features": found.mask_features, **dict(zip(SCALES, found.multi_scale_features, strict=True))}


class _Queries(nn.Module):
    def __init__(self, model: UnifiedEncoder):
        super().__init__()
        self.task, self.queries = model.segmentation.task, model.segmentation.queries

    def forward(self, task: Tensor, mask_features: Tensor, *scales: Tensor) -> dict[str, Tensor]:
        found = self.queries(multi_scale_features=scales, mask_features=mask_features, task_token=self.task(task))
        return {"class_logits": found.prediction_class, "mask_logits": found.prediction_masks}


class _Matching(nn.Module):
    """Matching features of both pictures, and what comparing them says."""

    def __init__(self, matcher: Matcher):
        super().__init__()
        self.matcher = matcher

    def forward(self, image: Tensor, before: Tensor, *features: Tensor) -> dict[str, Tensor]:
        target, source = self.matcher(image, *features[:2]), self.matcher(before, *features[2:])
        return dict(zip(MATCHED, (self.matcher.plain(target, source), target, source), strict=True))


class _Aligned(nn.Module):
    """The picture before after the rigid flow."""

    def __init__(self, matcher: Matcher):
        super().__init__()
        self.matcher = matcher

    def forward(self, depth: Tensor, pose: Tensor, before: Tensor, fine: Tensor, *matched: Tensor) -> dict[str, Tensor]:
        return dict(zip(ALIGNED, self.matcher.align(depth, pose, before, fine, *matched), strict=True))


class _Pose(nn.Module):
    """The pose that the decoder says, by the name ``gives``."""

    def __init__(self, model: UnifiedEncoder, gives: str):
        super().__init__()
        self.pose, self.metres, self.gives = model.pose, model.metres, gives

    def forward(self, *features: Tensor) -> dict[str, Tensor]:
        return {self.gives: in_metres(self.pose(paired(features[:4], features[4:8]), *features[8:]), self.metres)}


class _Alignment(nn.Module):
    """That pose, refined."""

    def __init__(self, alignment: Alignment, metres: float):
        super().__init__()
        self.alignment, self.metres = alignment, metres

    def forward(self, image: Tensor, before: Tensor, depth: Tensor, pose: Tensor) -> dict[str, Tensor]:
        own = in_metres(pose, 1.0 / self.metres)
        return {"pose": in_metres(self.alignment(image, before, depth / self.metres, own), self.metres)}


class _Field(nn.Module):
    """Flow or motion."""

    def __init__(self, model: UnifiedEncoder, name: str):
        super().__init__()
        self.decoder, self.name, self.metres = getattr(model, name), name, model.metres

    def forward(self, image: Tensor, before: Tensor, pose: Tensor, *features: Tensor) -> dict[str, Tensor]:
        own = in_metres(pose, 1.0 / self.metres)
        field = self.decoder(torch.cat([before, image], dim=1), paired(features[:4], features[4:]), own)[0]
        return {self.name: field[:, 0] if self.name == "motion" else self.metres * field}


class _MatchedMask(_Field):
    """The motion mask, and where matching finds each pixel."""

    def forward(self, image: Tensor, before: Tensor, pose: Tensor, *features: Tensor) -> dict[str, Tensor]:
        aligned = Aligned(*features[8:])
        pairs = aligned_pairs(features[:4], features[4:8], aligned)
        fields, shift = self.decoder.decode(image, before, pairs, in_metres(pose, 1.0 / self.metres), aligned)
        return {"motion": fields[0][:, 0], SHIFT: shift}


class _MatchedFlow(nn.Module):
    """The flow, where the mask says that a pixel moves."""

    def __init__(self, model: UnifiedEncoder):
        super().__init__()
        assert isinstance(model.flow, MatchedFlow)
        self.decoder, self.metres = model.flow, model.metres

    def forward(self, pose: Tensor, depth: Tensor, motion: Tensor, shift: Tensor, clue: Tensor, found: Tensor, rigid: Tensor,
                *features: Tensor) -> dict[str, Tensor]:
        farther = self.decoder.farther(paired(features[:3], features[3:]), in_metres(pose, 1.0 / self.metres), clue, found)
        return {"flow": self.decoder.complete(farther, shift, motion[:, None], depth, rigid)}


def build_parts(model: UnifiedEncoder, config: UnifiedEncoderConfig) -> tuple[NetworkPart, ...]:
    """Encoder, depth, segmentation (its pixel decoder first), pose, flow and motion. Motion in metres needs depth where the network has
    learnt none; flow and motion need it where the network matches around the rigid flow."""
    eye = ("encoder",)
    parts = (
        NetworkPart("encoder", switch=False, module=_Encoder(model), inputs=("image",), outputs=FEATURES),
        NetworkPart("depth", eye, module=_Depth(model), inputs=FEATURES, outputs=("depth",)),
        NetworkPart("pixels", eye, switch=False, module=_Pixels(model), inputs=FEATURES, outputs=("mask_features", *SCALES)),
        NetworkPart("segmentation", ("pixels",), module=_Queries(model), inputs=("task", "mask_features", *SCALES),
                    outputs=("class_logits", "mask_logits")))
    return (*parts, *_motion_parts(model, () if config.metric else ("depth",)))


def _motion_parts(model: UnifiedEncoder, scale: tuple[str, ...]) -> tuple[NetworkPart, ...]:
    """What reads two pictures; ``scale`` is what metres need."""
    both, eye, matcher = (*FEATURES, *BEFORE), ("encoder",), model.pose.matcher
    pair = ("image", "before", "pose", *both)
    if matcher is None:
        return (*_pose_parts(model, (*eye, *scale), both),
                *(NetworkPart(name, (*eye, "pose"), eye, module=_Field(model, name), inputs=pair, outputs=(name,))
                  for name in ("flow", "motion")))
    seen = ("encoder", "aligned", "pose")
    return (
        NetworkPart("matching", eye, eye, switch=False, module=_Matching(matcher),
                    inputs=("image", "before", *FEATURES[:2], *BEFORE[:2]), outputs=MATCHED),
        *_pose_parts(model, ("encoder", "matching", *scale), (*both, *MATCHED[:1])),
        NetworkPart("aligned", ("matching", "depth", "pose"), eye, switch=False, module=_Aligned(matcher),
                    inputs=("depth", "pose", "before", BEFORE[0], *MATCHED), outputs=ALIGNED),
        NetworkPart("motion", seen, eye, module=_MatchedMask(model, "motion"), inputs=(*pair, *ALIGNED), outputs=("motion", SHIFT)),
        NetworkPart("flow", (*seen, "depth", "motion"), eye, module=_MatchedFlow(model),
                    inputs=("pose", "depth", "motion", SHIFT, *ALIGNED[2:], *FEATURES[1:], *BEFORE[1:]), outputs=("flow",)))


def _pose_parts(model: UnifiedEncoder, needs: tuple[str, ...], inputs: tuple[str, ...]) -> tuple[NetworkPart, ...]:
    """The pose, in two parts where it is refined: the first one then has no switch of its own."""
    if model.alignment is None:
        return (NetworkPart("pose", needs, ("encoder",), module=_Pose(model, "pose"), inputs=inputs, outputs=("pose",)),)
    return (NetworkPart("told_pose", needs, ("encoder",), switch=False, module=_Pose(model, TOLD), inputs=inputs, outputs=(TOLD,)),
            NetworkPart("pose", ("told_pose", "depth"), ("encoder",), traced=True, module=_Alignment(model.alignment, model.metres),
                        inputs=("image", "before", "depth", TOLD), outputs=("pose",)))
