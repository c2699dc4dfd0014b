"""The two families of message classes, for tests that run over both."""

from __future__ import annotations

import pytest

MAKERS = ("rosbags", "rclpy")


def find_maker(name):
    """``make`` of one family; the test is skipped where it is not installed."""
    if name == "rosbags":
        from kd_planner_ros.bags.messages import make

        return make
    pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")
    from kd_planner_ros.ros.messages import make

    return make
