"""ResNet-D backbones, ResNet-50-D and -18-D: a deep stem, and shortcuts that average before they project."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.blocks.resnet import BasicBlock, Staged

_STAGE_WIDTHS = (64, 128, 256, 512)


@dataclass(frozen=True)
class ResNetDSpec:
    """Blocks of every stage; ``expansion`` 4 for bottlenecks, 1 for BasicBlocks."""

    blocks: tuple[int, ...]
    expansion: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of every stage's map."""
        return tuple(width * self.expansion for width in _STAGE_WIDTHS)


RESNETS_D = {"resnet50d": ResNetDSpec((3, 4, 6, 3), 4), "resnet18d": ResNetDSpec((2, 2, 2, 2), 1)}


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a skip connection; the 3x3 one strides (He et al., CVPR 2016, figure 5)."""

    def __init__(self, width_in: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        """[B, C_in, H, W] to [B, 4 * width, ceil(H / stride), ceil(W / stride)]."""
        skip = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + skip)


class ResNetD(Staged):
    """A backbone with timm's parameter names, so that its ImageNet files fit. It has no classifier.

    Source: He et al., "Bag of Tricks for Image Classification", CVPR 2019, figure 2 (ResNet-C stem, ResNet-D shortcut).
    """

    def __init__(self, spec: ResNetDSpec, channels_in: int = 3):
        super().__init__()
        self.spec = spec
        self.conv1 = nn.Sequential(
            nn.Conv2d(channels_in, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
            nn.Conv2d(32, 32, 3, 1, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 3, 1, 1, bias=False))
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        width_in = 64
        for stage, (count, width) in enumerate(zip(spec.blocks, _STAGE_WIDTHS, strict=False), start=1):  # a spec may have fewer
            blocks = []
            for index in range(count):
                stride = 2 if index == 0 and stage > 1 else 1
                blocks.append(_block(spec, width_in, width, stride))
                width_in = width * spec.expansion
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
        self._initialise()


def _block(spec: ResNetDSpec, width_in: int, width: int, stride: int) -> nn.Module:
    width_out = width * spec.expansion
    block = (Bottleneck if spec.expansion == 4 else BasicBlock)(width_in, width, stride)
    block.downsample = None
    if stride != 1 or width_in != width_out:
        pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False) if stride != 1 else nn.Identity()
        block.downsample = nn.Sequential(pool, nn.Conv2d(width_in, width_out, 1, bias=False), nn.BatchNorm2d(width_out))
    return block


def build_resnet_d(name: str, channels_in: int = 3) -> ResNetD:
    """The backbone ``name`` of ``RESNETS_D``, He-initialised from torch's global generator.

    Raises:
        ConfigError: no such backbone.
    """
    if name not in RESNETS_D:
        raise ConfigError(f"a backbone out of {', '.join(RESNETS_D)}", repr(name), "correct the name")
    return ResNetD(RESNETS_D[name], channels_in)
