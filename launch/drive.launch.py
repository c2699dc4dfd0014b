"""World, planner and controller; or planner and controller beside CARLA's bridge, or beside a bag."""

from launch.actions import OpaqueFunction

from kd_planner_ros.ros.graph.launching import drive_actions, drive_arguments
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription([*drive_arguments(), OpaqueFunction(function=drive_actions)])
