"""The network sees and says what the unified encoder does."""

from kd_planner_ros.networks.unified_encoder.processor import build_processor

__all__ = ["build_processor"]
