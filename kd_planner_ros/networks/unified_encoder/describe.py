"""How the unified encoder presents itself to tables and drawings."""

from __future__ import annotations

from kd_planner_ros.networks.describe import Description
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig


def published(config: UnifiedEncoderConfig) -> dict[str, float]:
    """What the paper's architecture comes to at 192 x 512, without steering head and text branch; the paper prints no figures."""
    return {"parameters": 192_453_000, "paper_gmacs": 209.3} if config.size == "full" else {}


DESCRIPTION = Description("Unified encoder", pictures=("image",), published=published)
