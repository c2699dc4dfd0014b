"""The teacher is trained as its student, on the student's samples."""

from __future__ import annotations

from kd_planner_ros.networks.unified_encoder.stages import paper_stages
from kd_planner_ros.networks.unified_encoder.training import OPTIMISER, TrainOptions, build_task, config_fields

__all__ = ["BACKBONE", "OPTIMISER", "STAGES", "TrainOptions", "build_task", "config_fields"]
BACKBONE = "encoder"
STAGES = paper_stages(("encoder", "depth", "segmentation", "ego", "pose", "task"), ("pair", "flow"),
                      ("ego", "pose", "pair", "flow", "motion"))
"""The student's stages, without distillation; the encoders of pairs learn with their decoders."""
