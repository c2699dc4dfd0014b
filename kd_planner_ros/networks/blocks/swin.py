"""Swin of ``transformers`` as a camera backbone. ``transformers`` is imported when a network is built, never before; weights are drawn at
random: nothing is downloaded.

Source: Liu et al., "Swin Transformer", ICCV 2021.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError


def needed(network: str, *packages: str) -> None:
    """Check that ``network`` can be built.

    Raises:
        ConfigError: one of ``packages`` is not installed.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"package {package} for network {network}", "no such package", f"pip install {package}")


def swin_config(embed: int, depths: Sequence[int], heads: Sequence[int], window: int, drop_path: float) -> Any:
    """``transformers``' config of a Swin whose stages, one for each of ``depths``, all give their maps."""
    return importlib.import_module("transformers").SwinConfig(
        embed_dim=embed, depths=list(depths), num_heads=list(heads), window_size=window, drop_path_rate=drop_path,
        out_features=[f"stage{number + 1}" for number in range(len(depths))])


class SwinEncoder(nn.Module):
    """Pictures [B, 3, H, W] to maps at strides 4, 8, 16 and so on, one of each stage.

    Args:
        backbone: ``transformers``' SwinBackbone.
    """

    def __init__(self, backbone: nn.Module):
        super().__init__()
        self.swin = backbone
        # The norm before a classifier, which a backbone has not: nothing reads what it gives.
        backbone.get_submodule("swin").add_module("layernorm", nn.Identity())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """The maps, each normalised by a LayerNorm."""
        return tuple(self.swin(images).feature_maps)


def build_swin(config: Any) -> SwinEncoder:
    """The encoder of ``swin_config``'s answer alone."""
    return SwinEncoder(importlib.import_module("transformers").SwinBackbone(config))
