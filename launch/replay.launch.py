"""A bag through the graph in simulated time: planner and controller as when driving, the bag in the world's place."""

from launch.actions import OpaqueFunction

from kd_planner_ros.ros.graph.launching import replay_actions, replay_arguments
from launch import LaunchDescription


def generate_launch_description():
    return LaunchDescription([*replay_arguments(), OpaqueFunction(function=replay_actions)])
