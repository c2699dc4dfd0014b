"""InterFuser's sensors in the built-in world: what it is fed, what it would be taught, and the whole loop to the pedals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kd_planner_ros.driving.safety.controller import SafetyController
from kd_planner_ros.evaluation.one_route import PlannerSide
from kd_planner_ros.networks.interfuser import bev
from kd_planner_ros.networks.interfuser.config import SMALL_INPUTS, InterFuserConfig
from kd_planner_ros.networks.interfuser.model import build_model
from kd_planner_ros.networks.interfuser.targets import path_targets, sample_targets
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.runtime.store import save_model
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.weather import WEATHERS

torch.set_num_threads(1)
CONFIG = InterFuserConfig(size="3.8m", **SMALL_INPUTS)


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    """One that has learnt nothing but to say that the street ahead is straight and empty."""
    torch.manual_seed(0)
    model = build_model(CONFIG)
    with torch.no_grad():
        model.map_head[2].bias[0], model.waypoint_step.bias[:] = -8.0, torch.tensor([0.0, -1.2])
        model.waypoint_step.weight.zero_()
        model.light_head.bias[:], model.stop_head.bias[:] = torch.tensor([-5.0, 5.0]), torch.tensor([5.0, -5.0])
    folder = tmp_path_factory.mktemp("models") / "empty_street"
    save_model(folder, "interfuser", CONFIG, model.state_dict())
    return load_planner(str(folder), engine="torch")


def test_it_drives_and_could_be_taught(planner):
    road = load_map("default")
    route = default_routes(road, 0, 1)[0]
    world = World(road, planner.rig, vehicles=20, walkers=5)
    side = PlannerSide(planner, route)
    try:
        scene, poses = world.start(route, 0, WEATHERS[0]), []
        for tick in range(30):
            sensed = world.sense() if side.looks(tick) else None
            poses.append((scene.ego.pose.x, scene.ego.pose.y, scene.ego.pose.yaw))
            control, plan = side.step(scene, sensed)
            assert side._driver.last_error == "" and control.reason == ""
            if sensed is not None:
                assert {name: shot.rgb.shape for name, shot in sensed.images.items()} == {
                    "front": (300, 400, 3), "left": (150, 200, 3), "right": (150, 200, 3)}
                points = bev.along_vehicle(sensed.clouds["lidar"], CONFIG.lidar_spec)
                assert bev.shows_front(points) and planner.processor.lidar_counts(sensed.clouds["lidar"]).max() == 5
                assert points[:, 2].min() == pytest.approx(-2.5, abs=0.3)  # the ground, as the LiDAR stands 2.5 m above it
            scene = world.tick(control)
        assert isinstance(side._driver.pilot.controller(side._driver.pilot.plan), SafetyController)
        assert scene.ego.speed_mps > 2.0
        path = path_targets(route, np.array(poses))
        targets = sample_targets(path[-1], scene.ego.pose, scene.actors, scene.signals, {"junction": 0.0, "stop_sign": 0.0})
        assert 2.0 < np.hypot(*targets.path[0]) <= 4.1 and np.hypot(*np.diff(targets.path, axis=0).T) == pytest.approx(1.0, abs=0.2)
        assert targets.traffic.shape == (400, 7) and targets.rules[0] == 0
    finally:
        world.close()
