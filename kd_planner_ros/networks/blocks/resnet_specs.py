"""Shapes of the residual backbones, as a network's config needs them. Imports no torch, so that a card can be read without it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ResNetSpec:
    """Shape of a backbone: BasicBlocks, width and stride of every stage; ``fc_width`` is the embedding D_e, ``stem`` the channels
    before the first stage."""

    blocks: tuple[int, ...]
    widths: tuple[int, ...]
    strides: tuple[int, ...]
    fc_width: int
    stem: int = 64


_FOUR = (64, 128, 256, 512)
RESNETS = {
    "resnet34": ResNetSpec((3, 4, 6, 3), _FOUR, (1, 2, 2, 2), 1000),
    "resnet18": ResNetSpec((2, 2, 2, 2), _FOUR, (1, 2, 2, 2), 1000),
    "resnet10": ResNetSpec((1, 1, 1, 1), _FOUR, (1, 2, 2, 2), 1000),
    "resnet6": ResNetSpec((1, 1, 1), _FOUR[:3], (1, 2, 4), 256),
}
"""PlanKD's backbones. ResNet-6 strides 4 in its last stage, so all four end at stride 32."""


def grid_size(spec: ResNetSpec, height: int, width: int) -> tuple[int, int]:
    """Rows and columns of the last stage's map for an input of ``height`` x ``width`` pixels: 8 x 29 for 256 x 900."""
    strides = (2, 2, *spec.strides)
    for stride in strides:
        height, width = -(-height // stride), -(-width // stride)
    return height, width
