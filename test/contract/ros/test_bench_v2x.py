"""``bench v2x --graph``: the gateway's node as a process hears stations through rclpy."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from kd_planner_ros.ros.graph.bench_v2x import bench_graph


def test_the_nodes_messages_and_answers_are_measured():
    """On a busy machine some messages may come too late; none may be taken for another's."""
    found = bench_graph(2, 3.0)
    assert found["graph_sent"] == 2 * 30 + 2 * 6 and found["graph_stations"] == 2
    assert 0 < found["graph_accepted"] <= found["graph_sent"]
    assert set(found["graph_refused"]) <= {"stale", "reordered", "clock_offset", "unsigned"}
    assert 0 < found["graph_answers"] <= 30 - found["graph_unanswered"] and found["graph_busy_share"] > 0.0
    assert found["graph_answer_ms"][1] > 0.0
