"""The network: three encoders that share nothing, with the inputs and outputs of its student."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.blocks.resnet import BasicBlock
from kd_planner_ros.networks.unified_encoder.depth import DepthDecoder, depth_of
from kd_planner_ros.networks.unified_encoder.model import (
    FEATURES,
    INPUTS,
    OUTPUTS,
    example_inputs,
    in_float32,
    in_metres,
    motion_outputs,
    scaled,
    wanted,
)
from kd_planner_ros.networks.unified_encoder.motion import FieldDecoder, pose_head, pose_in_time, pose_of_maps
from kd_planner_ros.networks.unified_encoder.segmentation import build_segmentation
from kd_planner_ros.networks.unified_teacher.config import PairWidths, UnifiedTeacherConfig

__all__ = ["INPUTS", "OUTPUTS", "UnifiedTeacher", "build_model", "example_inputs"]
FIELD_SCALE = 0.01
"""Of flow and mask, as Dynamo-Depth's; the student has half of it."""


class PairEncoder(nn.Module):
    """A ResNet with torchvision's names on two pictures joined by channel."""

    def __init__(self, widths: PairWidths):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(6, widths.stem, 7, 2, 3, bias=False), nn.BatchNorm2d(widths.stem)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        width_in = widths.stem
        for stage, (width, blocks) in enumerate(zip(widths.stages, widths.blocks, strict=True), 1):
            first = BasicBlock(width_in, width, 1 if stage == 1 else 2)
            self.add_module(f"layer{stage}", nn.Sequential(first, *(BasicBlock(width, width, 1) for _ in range(blocks - 1))))
            width_in = width

    def forward(self, pair: Tensor) -> list[Tensor]:
        """Maps at strides 2, 4, 8, 16 and 32 of two normalised pictures [B, 6, H, W], the source first."""
        maps = [self.bn1(self.conv1(pair)).relu()]
        x = self.maxpool(maps[0])
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
            maps.append(x)
        return maps


class UnifiedTeacher(nn.Module):
    """As the unified encoder, but each of three encoders learns for its own decoders.

    ``encoder`` sees one picture, for depth and segmentation; ``ego`` a pair, for the pose; ``pair`` a pair, for flow and motion mask,
    which are seeded with the teacher's own pose.
    """

    def __init__(self, config: UnifiedTeacherConfig):
        super().__init__()
        widths, own = config.widths, config.pair
        self.metres, self.ordered, self._rotation = config.metres_per_unit, config.ordered_pose, config.rotation_scale
        self.encoder, self.segmentation = build_segmentation(widths)
        self.depth = DepthDecoder(widths.swin.channels, widths.depth, config.size == "full", config.logit_bound)
        self.ego, self.pose = PairEncoder(own), pose_head(own.stages[-1], own.head)
        self.pair = PairEncoder(own)
        levels = [*reversed(own.stages), own.stem, 6]
        self.flow, self.motion = (FieldDecoder(levels, 0, out, FIELD_SCALE) for out in (3, 1))
        self.unread = frozenset[str]()

    def forward(self, image: Tensor, before: Tensor, before_1: Tensor, before_2: Tensor, before_3: Tensor, before_4: Tensor,
                task: Tensor, features: bool = False) -> dict[str, Tensor]:
        """The outputs of ``UnifiedEncoder.forward`` for the same inputs; ``before_1`` to ``before_4`` are not read."""
        seen = self.encoder(image)
        found = dict(zip(FEATURES, seen, strict=True))
        if wanted("segmentation", self.unread):
            found |= in_float32(self.segmentation, seen, task)
        if wanted("geometry", self.unread):
            disparities = self.depth(seen)
            found |= {"depth": self.metres * depth_of(disparities[0])[:, 0], **scaled("disparity", disparities)}
            found |= self._pair(torch.cat([before, image.repeat(before.shape[0] // image.shape[0], 1, 1, 1)], dim=1), len(image))
        return found | ({f"stage{number}": one for number, one in enumerate(seen, 1)} if features else {})

    def _pair(self, images: Tensor, targets: int) -> dict[str, Tensor]:
        pose = pose_in_time(self._ego, [images], targets) if self.ordered else self._ego([images])
        if not wanted("movers", self.unread):
            return {"pose": in_metres(pose, self.metres)}
        maps = [*self.pair(images)[::-1], images]
        return motion_outputs(pose, self.flow.refine(maps, pose), self.motion.refine(maps, pose), self.metres)

    def _ego(self, pairs: Sequence[Tensor]) -> Tensor:
        return in_float32(self._pose, self.ego(pairs[0])[-1:])

    def _pose(self, maps: Sequence[Tensor]) -> Tensor:
        return pose_of_maps(self.pose(maps[0]), self._rotation)


def build_model(config: UnifiedTeacherConfig) -> UnifiedTeacher:
    """The network with random weights.

    Raises:
        ConfigError: transformers is not installed.
    """
    return UnifiedTeacher(config)
