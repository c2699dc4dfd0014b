"""The node of every network folder on every device that there is: it comes up, says where it runs, and answers a frame.

A network that reads the scene itself has no node: no topic carries the scene."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from support.frames import frame
from support.networks import DEVICES, require, save_seeded, smallest
from support.reference_outputs import arrays_of, broken_arrays

from kd_planner_ros.networks.registry import find_network, folders, is_weightless, role_of
from kd_planner_ros.ros.inference import work_of
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes.perception_node import PerceptionNode
from kd_planner_ros.ros.nodes.planner_node import PlannerNode

NODES = {"planner": PlannerNode, "perceiver": PerceptionNode}
CASES = [(name, device) for name in folders() for device in (DEVICES if not is_weightless(name) else DEVICES[:1])]


def reads_the_scene(name):
    return not is_weightless(name) and smallest(find_network(name)).rig.scene


def require_refusal(node, name):
    """``node`` does not come up with network ``name``, and says why in one line."""
    assert not autostart(node)
    sentence = node.health.worst[1]
    assert name in sentence and "reads the scene itself" in sentence and "kd-planner evaluate" in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(("name", "device"), CASES)
def test_the_node_of_a_network_answers_on(graph, tmp_path, name, device):
    require(device)
    role = role_of(name)
    weightless = is_weightless(name)
    given = {role: name if weightless else save_seeded(tmp_path / f"a_{name}", name).name, "device": device,
             "engine": "auto" if weightless else "torch", "models_dir": str(tmp_path)}
    node = graph.spin_in_thread(graph.start(NODES[role], given))
    if reads_the_scene(name):
        require_refusal(node, name)
        return
    assert autostart(node), node.health.worst
    model = node._inference.model
    assert weightless or device in model.engine.describe
    for number in range(2):
        shown = frame(model.rig, number)
        found = work_of(model)(shown)
        assert found.stamp_ns == shown.stamp_ns and arrays_of(found) and broken_arrays(found) == []
