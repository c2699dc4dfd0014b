"""How the unified encoder presents itself to tables and drawings."""

from kd_planner_ros.networks.describe import Description

DESCRIPTION = Description("Unified encoder", pictures=("image",))
