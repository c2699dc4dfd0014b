"""Facts of the single-scale unified encoder: those of the unified encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig

ROLE = "perceiver"
ENGINES = ("torch",)
BFLOAT16 = False
"""As the unified encoder."""


@dataclass(frozen=True)
class UnifiedSingleScaleConfig(UnifiedEncoderConfig):
    """One network: the fields of the unified encoder."""

    NETWORK: ClassVar[str] = "unified_single_scale"
    MATCHES: ClassVar[bool] = False


Config = UnifiedSingleScaleConfig
CONFIGURATIONS = (UnifiedSingleScaleConfig(size="full"), UnifiedSingleScaleConfig(size="nano"))
