"""Ray-cast sensors of the built-in world: cameras with exact labels, LiDAR."""

from kd_planner_ros.world.render.renderer import Renderer

__all__ = ["Renderer"]
