"""How the steering perceiver presents itself to tables and drawings."""

from kd_planner_ros.networks.describe import Description

DESCRIPTION = Description("Unified encoder that steers", pictures=("image",))
