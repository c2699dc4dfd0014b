"""How the teacher presents itself to tables."""

from kd_planner_ros.networks.describe import Description

DESCRIPTION = Description("DistillDrive teacher", "l2_m", bench_size="nano")
