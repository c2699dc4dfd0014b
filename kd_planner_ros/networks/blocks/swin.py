"""Swin of ``transformers`` as a camera backbone. ``transformers`` is imported when a network is built, never before; weights are drawn at
random: nothing is downloaded.

Source: Liu et al., "Swin Transformer", ICCV 2021.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.blocks.swin_specs import SwinWidths


def require_packages(network: str, *packages: str) -> None:
    """Check that ``network`` can be built.

    Raises:
        ConfigError: one of ``packages`` is not installed.
    """
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"package {package} for network {network}", "no such package", f"pip install {package}")


def swin_config(widths: SwinWidths, first: int = 0) -> Any:
    """``transformers``' config of a Swin whose stages from number ``first`` on give their maps."""
    return importlib.import_module("transformers").SwinConfig(
        embed_dim=widths.embed, depths=list(widths.depths), num_heads=list(widths.heads), window_size=widths.window,
        drop_path_rate=widths.drop_path, out_features=[f"stage{number + 1}" for number in range(first, len(widths.depths))])


class SwinEncoder(nn.Module):
    """Pictures [B, 3, H, W] to maps at strides 4, 8, 16 and so on, one of each stage that gives its map.

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


def build_swin(widths: SwinWidths, network: str, first: int = 0) -> SwinEncoder:
    """The camera backbone of ``network`` with random weights, which gives the maps from stage ``first`` on.

    Raises:
        ConfigError: transformers is not installed.
    """
    require_packages(network, "transformers")
    return SwinEncoder(importlib.import_module("transformers").SwinBackbone(swin_config(widths, first)))
