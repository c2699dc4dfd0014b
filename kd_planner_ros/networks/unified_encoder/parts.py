"""The unified encoder in parts: the encoder, and each decoder on ready features. A decoder that is left out costs nothing.

The class and mask heads of the segmentation are apart from its pixel decoder because of their hard attention mask: a query looks where
an earlier mask is above one half, so a difference in the last bit of a feature may change where it looks. Each part equals torch on
equal inputs (``runtime/parts.py`` compares them so).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.parts import NetworkPart
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.depth import depth_of
from kd_planner_ros.networks.unified_encoder.model import BEFORE, FEATURES, UnifiedEncoder

SCALES = ("pixels_32", "pixels_16", "pixels_8")
"""Maps that the pixel decoder gives the queries, from coarse to fine."""


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


def _pairs(features: Sequence[Tensor]) -> list[Tensor]:
    """Source and target of each scale joined by channel, the source first, of the target's four maps and the source's."""
    return [torch.cat([before, now], dim=1) for now, before in zip(features[:4], features[4:], strict=True)]


class _Pose(nn.Module):
    def __init__(self, model: UnifiedEncoder):
        super().__init__()
        self.pose, self.metres = model.pose, model.metres

    def forward(self, *features: Tensor) -> dict[str, Tensor]:
        pose = self.pose(_pairs(features))
        return {"pose": torch.cat([pose[:, :3], self.metres * pose[:, 3:]], dim=1)}


class _Field(nn.Module):
    """Flow or motion."""

    def __init__(self, model: UnifiedEncoder, name: str):
        super().__init__()
        self.decoder, self.name, self.metres = getattr(model, name), name, model.metres

    def forward(self, image: Tensor, before: Tensor, pose: Tensor, *features: Tensor) -> dict[str, Tensor]:
        own = torch.cat([pose[:, :3], pose[:, 3:] / self.metres], dim=1)
        field = self.decoder(torch.cat([before, image], dim=1), _pairs(features), own)[0]
        return {self.name: self.metres * field if self.name == "flow" else field[:, 0]}


def build_parts(model: UnifiedEncoder, config: UnifiedEncoderConfig) -> tuple[NetworkPart, ...]:
    """Encoder, depth, segmentation (its pixel decoder first), pose, flow and motion. Motion in metres needs depth where the network has
    learnt none."""
    both = (*FEATURES, *BEFORE)
    eye = ("encoder",)
    scale = () if config.metric else ("depth",)
    return (
        NetworkPart("encoder", switch=False, module=_Encoder(model), inputs=("image",), outputs=FEATURES),
        NetworkPart("depth", eye, module=_Depth(model), inputs=FEATURES, outputs=("depth",)),
        NetworkPart("pixels", eye, switch=False, module=_Pixels(model), inputs=FEATURES, outputs=("mask_features", *SCALES)),
        NetworkPart("segmentation", ("pixels",), module=_Queries(model), inputs=("task", "mask_features", *SCALES),
                    outputs=("class_logits", "mask_logits")),
        NetworkPart("pose", (*eye, *scale), eye, module=_Pose(model), inputs=both, outputs=("pose",)),
        NetworkPart("flow", (*eye, "pose"), eye, module=_Field(model, "flow"), inputs=("image", "before", "pose", *both),
                    outputs=("flow",)),
        NetworkPart("motion", (*eye, "pose"), eye, module=_Field(model, "motion"), inputs=("image", "before", "pose", *both),
                    outputs=("motion",)))
