"""Train a planner from recordings: the trainer node, or one of several under torchrun, in a launch file."""

from launch.actions import OpaqueFunction

from kd_planner_ros.ros.graph.launching import train_actions, train_arguments
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription([*train_arguments(), OpaqueFunction(function=train_actions)])
