"""How the single-scale unified encoder presents itself to tables and drawings."""

from kd_planner_ros.networks.describe import Description

DESCRIPTION = Description("Unified encoder, single-scale pose", pictures=("image",))
