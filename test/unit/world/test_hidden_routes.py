"""Routes with a hidden hazard: the station sees it while the car does not, and who drives on blindly is hit."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kd_planner_ros.core.errors import ConfigError, RouteError
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation import drives
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.record.jobs import RecordConfig, plan_jobs
from kd_planner_ros.ros.world_setup import choose_route
from kd_planner_ros.world.hidden_hazards import CAR, WALKER, numbers_of
from kd_planner_ros.world.hidden_routes import hidden_routes
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.weather import ROUTE_WEATHER


@pytest.fixture(scope="module")
def town():
    return load_map("default")


@pytest.fixture(scope="module")
def routes(town):
    return hidden_routes(town, 5, 4)


def test_the_same_seed_gives_the_same_routes_with_one_hazard_each(town, routes):
    again = hidden_routes(town, 5, 2)
    assert [(one.name, one.points.tobytes(), one.scenarios) for one in again] == \
        [(one.name, one.points.tobytes(), one.scenarios) for one in routes[:2]]
    assert [[scenario.kind for scenario in one.scenarios] for one in routes] == [[WALKER], [CAR], [WALKER], [CAR]]
    assert all(90.0 < one.length_m < 130.0 for one in routes) and len({one.name for one in routes}) == 4


def test_who_drives_on_blindly_is_hit_on_most_routes(town, routes):
    world, hits = World(town, SensorRig(), vehicles=0, walkers=0), 0
    for route in routes:
        scene, tick = world.start(route, 0, ROUTE_WEATHER), 0
        while not world.done and tick < 700:
            scene, tick = world.tick(blindly(route, scene.ego)), tick + 1
        assert [one["status"] for one in world.scenario_facts] == ["met"]
        hits += any(event.kind.value in ("collisions_pedestrian", "collisions_vehicle") for event in world.monitor.events)
    world.close()
    assert hits >= 3


def test_where_nobody_comes_the_vehicles_are_parked_at_the_same_places_and_nobody_is_hit(town, routes):
    alone = hidden_routes(town, 5, 4, nobody=1.0)
    assert [(one.name, one.points.tobytes()) for one in alone] == [(f"{one.name}-nobody", one.points.tobytes()) for one in routes]
    some = [one.name for one in hidden_routes(town, 5, 4, nobody=0.5)]
    assert some == [one.name for one in hidden_routes(town, 5, 4, nobody=0.5)] and 0 < sum("nobody" in name for name in some) < 4
    world = World(town, SensorRig(), vehicles=0, walkers=0)
    for route in alone[:2]:
        scene, tick = world.start(route, 0, ROUTE_WEATHER), 0
        while not world.done and tick < 700:
            parked = len(numbers_of(route.scenarios[0])["parked"]) // 6
            assert len(scene.actors) in (0, parked) and not scene.actors["vx"].any()
            scene, tick = world.tick(blindly(route, scene.ego)), tick + 1
        assert not any(event.kind.value.startswith("collisions") for event in world.monitor.events)
    world.close()


def test_a_recording_says_where_nobody_comes_and_only_of_hidden_hazards(tmp_path):
    with pytest.raises(ConfigError, match="--routes hidden with --nobody"):
        RecordConfig(out=tmp_path, nobody=0.5)


def blindly(route, ego, mps=7.0):
    """7 m/s towards the route's point 6 m ahead, whatever comes."""
    away = np.hypot(route.points[:, 0] - ego.pose.x, route.points[:, 1] - ego.pose.y)
    x, y = route.points[min(int(away.argmin()) + 6, len(route.points) - 1)]
    turn = float(wrap_angle(math.atan2(y - ego.pose.y, x - ego.pose.x) - ego.pose.yaw))
    return Control(throttle=float(np.clip(mps - ego.speed_mps, 0.0, 0.7)), steer=float(np.clip(0.6 * turn, -1.0, 1.0)))


def test_a_drive_takes_the_evaluations_routes_by_number(town, routes, monkeypatch):
    monkeypatch.setattr(drives, "EVALUATION_ROUTE_SEED", 5)
    for word, route in (("hidden", routes[0]), ("hidden:1", routes[1])):
        found = choose_route(town, word)
        assert (found.name, found.scenarios) == (route.name, route.scenarios) and (found.points == route.points).all()
    for word in ("hidden:", "hidden:first", "hidden:-1", "hidden:1000"):
        with pytest.raises(RouteError, match="--route"):
            choose_route(town, word)


def test_a_recording_is_made_of_them_with_their_hazards(town, routes, tmp_path):
    (job,), failed = plan_jobs(RecordConfig(tmp_path, routes=Path("hidden"), seed=5, count=1, first=1), town)
    assert job.route.name == f"hidden/{routes[1].name}" and job.route.scenarios == routes[1].scenarios and not failed


def test_a_map_without_stations_is_refused(town):
    with pytest.raises(RouteError, match="roadside stations"):
        hidden_routes(replace(town, stations=()), 0, 1)


def test_more_routes_than_there_are_places_are_refused_with_the_number_found(town):
    near = replace(town, stations=town.stations[:1])
    with pytest.raises(RouteError, match=r"\d+ found"):
        hidden_routes(near, 0, 500, kinds=(CAR,))
