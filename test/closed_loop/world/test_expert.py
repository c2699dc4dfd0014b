"""The expert drives one route of the default town through traffic, without sensors; begun again it takes the same way to the bit."""

from __future__ import annotations

import pytest

pytest.importorskip("libsumo", reason="needs SUMO: pip install libsumo")

from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation.score import route_record, summary
from kd_planner_ros.world.expert import Expert
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.weather import WEATHERS


def test_expert_completes_a_default_route_and_begins_it_again_to_the_bit():
    road = load_map("default")
    route = default_routes(road, 0, 1, 150.0, 200.0)[0]
    world = World(road, SensorRig(), vehicles=40, walkers=20)
    try:
        record, trace = _drive(world, road, route, 6000)
        _, again = _drive(world, road, route, 200)
    finally:
        world.close()
    assert record["status"] == "Completed"
    assert summary([route_record(record)])["driving_score"] >= 95.0
    assert again == trace[:len(again)] and len(again) == 20


def _drive(world, road, route, ticks):
    """The monitor's record, and every tenth ego pose and actor table of the drive of at most ``ticks``."""
    scene, expert, trace = world.start(route, 1, WEATHERS[0]), Expert(road, route), []
    for tick in range(1, ticks + 1):
        scene = world.tick(expert.step(scene).control)
        if tick % 10 == 0:
            trace.append((scene.ego.pose, scene.actors.tobytes()))
        if world.done:
            break
    return world.monitor.result(), trace
