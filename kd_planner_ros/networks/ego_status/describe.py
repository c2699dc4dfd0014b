"""How the ego-status network presents itself to tables."""

from kd_planner_ros.networks.describe import Description

DESCRIPTION = Description("ego status", "l2_m", bench_size="nano")
