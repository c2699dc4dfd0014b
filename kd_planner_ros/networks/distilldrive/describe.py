"""How DistillDrive presents itself to tables."""

from kd_planner_ros.networks.describe import Description

DESCRIPTION = Description("DistillDrive", "l2_m", bench_size="nano")
