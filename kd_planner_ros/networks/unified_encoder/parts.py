"""The unified encoder in parts: the encoder, and each decoder on ready features. A decoder that is left out costs nothing.

The class and mask heads of the segmentation are apart from its pixel decoder because of their hard attention mask: a query looks where
an earlier mask is above one half, so a difference in the last bit of a feature may change where it looks. Each part equals torch on
equal inputs (``runtime/parts.py`` compares them so).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.parts import NetworkPart
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.depth import depth_of
from kd_planner_ros.networks.unified_encoder.matching import Aligned, Matcher
from kd_planner_ros.networks.unified_encoder.model import BEFORE, FEATURES, UnifiedEncoder, field_inputs, in_metres, paired

SCALES = ("pixels_32", "pixels_16", "pixels_8")
"""Maps that the pixel decoder gives the queries, from coarse to fine."""
MATCHED = ("match_plain", "match_target", "match_source")
"""What plain matching says, and the matching features of both pictures."""
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

    def forward(self, depth: Tensor, pose: Tensor, before: Tensor, fine: Tensor, target: Tensor, source: Tensor) -> dict[str, Tensor]:
        return dict(zip(ALIGNED, self.matcher.align(depth, pose, before, fine, target, source), strict=True))


class _Pose(nn.Module):
    def __init__(self, model: UnifiedEncoder):
        super().__init__()
        self.pose, self.metres = model.pose, model.metres

    def forward(self, *features: Tensor) -> dict[str, Tensor]:
        return {"pose": in_metres(self.pose(paired(features[:4], features[4:8]), *features[8:]), self.metres)}


class _Field(nn.Module):
    """Flow or motion; of the source and after the rigid flow where the network matches."""

    def __init__(self, model: UnifiedEncoder, name: str):
        super().__init__()
        self.decoder, self.name, self.metres = getattr(model, name), name, model.metres

    def forward(self, image: Tensor, before: Tensor, pose: Tensor, *features: Tensor) -> dict[str, Tensor]:
        seen, known, aligned = features[:4], features[4:8], features[8:]
        own = in_metres(pose, 1.0 / self.metres)
        if not aligned:
            field = self.decoder(torch.cat([before, image], dim=1), paired(seen, known), own)[0]
        else:
            source = Aligned(*aligned)
            field = self.decoder(*field_inputs(image, seen, known, source), own, source.clue)[0]
        if self.name == "motion":
            return {"motion": field[:, 0]}
        return {"flow": self.metres * field + aligned[-1] if aligned else self.metres * field}


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
    seen: tuple[str, ...] = eye
    told: tuple[str, ...] = ()
    around: tuple[str, ...] = ()
    parts: tuple[NetworkPart, ...] = ()
    if matcher is not None:
        seen, told, around = ("encoder", "matching"), MATCHED[:1], ALIGNED
        parts = (NetworkPart("matching", eye, eye, switch=False, module=_Matching(matcher),
                             inputs=("image", "before", *FEATURES[:2], *BEFORE[:2]), outputs=MATCHED),)
    parts = (*parts, NetworkPart("pose", (*seen, *scale), eye, module=_Pose(model), inputs=(*both, *told), outputs=("pose",)))
    if matcher is not None:
        seen = ("encoder", "aligned")
        parts = (*parts, NetworkPart("aligned", ("matching", "depth", "pose"), eye, switch=False, module=_Aligned(matcher),
                                     inputs=("depth", "pose", "before", BEFORE[0], *MATCHED[1:]), outputs=ALIGNED))
    fields = (NetworkPart(name, (*seen, "pose"), eye, module=_Field(model, name), inputs=("image", "before", "pose", *both, *around),
                          outputs=(name,)) for name in ("flow", "motion"))
    return (*parts, *fields)
