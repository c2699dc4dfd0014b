"""The node of every network folder on every device that there is: it comes up, says where it runs, and answers a frame."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

import torch
from support.frames import frame
from support.networks import DEVICES, require, smallest
from support.reference_outputs import arrays_of

from kd_planner_ros.networks.registry import find_network, folders, is_weightless, role_of
from kd_planner_ros.ros.inference import work_of
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes.perception_node import PerceptionNode
from kd_planner_ros.ros.nodes.planner_node import PlannerNode
from kd_planner_ros.runtime.store import save_model

NODES = {"planner": PlannerNode, "perceiver": PerceptionNode}
CASES = [(name, device) for name in folders() for device in (DEVICES if not is_weightless(name) else DEVICES[:1])]


def save(folder, name):
    """Write the smallest model of network ``name`` with seeded weights to ``folder``, and give back the name to start it by."""
    if is_weightless(name):
        return name
    torch.manual_seed(0)
    network = find_network(name)
    config = smallest(network)
    save_model(folder / f"a_{name}", name, config, network.build_model(config).state_dict())
    return f"a_{name}"


@pytest.mark.parametrize(("name", "device"), CASES)
def test_the_node_of_a_network_answers_on(graph, tmp_path, name, device):
    require(device)
    role = role_of(name)
    given = {role: save(tmp_path, name), "device": device, "engine": "auto" if is_weightless(name) else "torch",
             "models_dir": str(tmp_path)}
    node = graph.spin_in_thread(graph.start(NODES[role], given))
    assert autostart(node), node.health.worst
    model = node._inference.model
    assert is_weightless(name) or device in model.engine.describe
    for number in range(2):
        shown = frame(model.rig, number)
        found = work_of(model)(shown)
        assert found.stamp_ns == shown.stamp_ns and all(np.isfinite(one).all() for one in arrays_of(found).values())
