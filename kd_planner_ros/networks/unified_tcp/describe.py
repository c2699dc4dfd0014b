"""How TCP on the unified encoder presents itself to tables and drawings."""

from kd_planner_ros.networks.describe import Description
from kd_planner_ros.networks.tcp.describe import taught_waypoints

DESCRIPTION = Description("TCP on the unified encoder", "l2_m", ("image",), taught_waypoints=taught_waypoints)
