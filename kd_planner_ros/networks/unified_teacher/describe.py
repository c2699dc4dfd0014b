"""How the unified encoder's teacher presents itself to tables and drawings."""

from kd_planner_ros.networks.describe import Description

DESCRIPTION = Description("Unified encoder's teacher", pictures=("image",))
