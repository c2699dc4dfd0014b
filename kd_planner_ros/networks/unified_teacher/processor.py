"""The teacher sees and says what its student does."""

from kd_planner_ros.networks.unified_encoder.processor import build_processor

__all__ = ["build_processor"]
