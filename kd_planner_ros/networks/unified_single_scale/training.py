"""The network is trained as the unified encoder, on its samples."""

from kd_planner_ros.networks.unified_encoder.training import BACKBONE, OPTIMISER, STAGES, TrainOptions, build_task, config_fields

__all__ = ["BACKBONE", "OPTIMISER", "STAGES", "TrainOptions", "build_task", "config_fields"]
