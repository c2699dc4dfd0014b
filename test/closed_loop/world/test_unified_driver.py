"""A unified driver in the built-in world: its own steering goes to the wheels, its own depth holds the speed."""

from __future__ import annotations

import pytest
import torch

from kd_planner_ros.driving.steering_controller import SteeringController
from kd_planner_ros.evaluation.one_route import PlannerSide
from kd_planner_ros.networks.unified_driver.config import UnifiedDriverConfig
from kd_planner_ros.networks.unified_driver.model import build_model
from kd_planner_ros.networks.unified_steering.model import DEGREES
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.runtime.store import save_model
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.weather import WEATHERS

torch.set_num_threads(1)
WHEEL_DEG = 0.35


def planner(folder, nearest_bin):
    """A driver that has learnt nothing but a constant steering, and that everything is as far away as disparity bin ``nearest_bin``."""
    torch.manual_seed(0)
    config = UnifiedDriverConfig(size="tiny")
    model = build_model(config)
    with torch.no_grad():
        model.steering.out.weight.zero_()
        model.steering.out.bias[:] = WHEEL_DEG / DEGREES
        model.perception.depth.heads[-1].layers[-1].bias[nearest_bin] = 30.0
    save_model(folder, "unified_driver", config, model.state_dict())
    return load_planner(str(folder), engine="torch")


@pytest.mark.parametrize(("nearest_bin", "mode", "ticks"), [(0, "limit", 40), (31, "obstacle", 10)])
def test_it_drives_where_it_is_free_and_stands_where_it_is_not(tmp_path, nearest_bin, mode, ticks):
    model = planner(tmp_path / "driver", nearest_bin)
    road = load_map("default")
    route = default_routes(road, 0, 1)[0]
    world = World(road, model.rig, vehicles=0, walkers=0)
    side = PlannerSide(model, route)
    try:
        scene, plans = world.start(route, 0, WEATHERS[0]), []
        for tick in range(ticks):
            control, plan = side.step(scene, world.sense() if side.looks(tick) else None)
            assert side._driver.last_error == "" and control.reason == ""
            assert control.steer == pytest.approx(WHEEL_DEG / 70.0, abs=1e-4)
            plans += [] if plan is None else [plan]
            scene = world.tick(control)
        assert isinstance(side._driver.pilot.controller(plans[-1]), SteeringController)
        assert [plan.notes["window"] for plan in plans] == [min(number + 1, 16) for number in range(ticks // 2)]
        assert {plan.mode for plan in plans} == {mode}
        assert (scene.ego.speed_mps > 2.0) if mode == "limit" else (scene.ego.speed_mps < 0.1)
        assert plans[-1].trajectory.times_s[-1] == 2.0
    finally:
        world.close()
