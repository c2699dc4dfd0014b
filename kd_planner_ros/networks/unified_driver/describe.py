"""How the unified driver presents itself to tables and drawings."""

from kd_planner_ros.networks.describe import Description

DESCRIPTION = Description("Unified driver", pictures=("image",))
