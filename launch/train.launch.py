"""Train a planner from recordings: `kd-planner train` as a launch process, to stand in a larger launch file."""

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from kd_planner_ros.ros.launching import train_actions, train_arguments


def generate_launch_description():
    return LaunchDescription([*train_arguments(), OpaqueFunction(function=train_actions)])
