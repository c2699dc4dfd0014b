"""Distilled end-to-end driving planners for ROS 2."""

__version__ = "0.1.0"
