"""How V2X-VLM presents itself to tables and drawings."""

from __future__ import annotations

from typing import Any

from kd_planner_ros.networks.describe import Description
from kd_planner_ros.networks.v2x_vlm.config import PUBLISHED


def published(config: Any) -> dict[str, float]:
    """Parameters of the Florence-2 checkpoint of the size; empty for the nano sizes."""
    return {"parameters": PUBLISHED[config.size]} if config.size in PUBLISHED else {}


DESCRIPTION = Description("V2X-VLM", "l2_m", published=published, bench_size="nano")
