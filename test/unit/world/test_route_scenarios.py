"""Scenarios and weathers of a route's file in the world: played at their places, or named as what is not played."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from kd_planner_ros.core.route import RouteScenario
from kd_planner_ros.core.scene import HEAD_LIGHT, Weather
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.world.encounters import Encounter
from kd_planner_ros.world.expert import Expert
from kd_planner_ros.world.lane_index import LaneIndex
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.route_scenarios import PLAYED, asked_scenarios, count_by_status, sentences
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.weather import ROUTE_WEATHER, route_weather


@pytest.fixture(scope="module")
def town():
    return load_map("default")


@pytest.fixture(scope="module")
def route(town):
    return default_routes(town, 0, 1)[0]


def asked(route, *kinds, row=30, away_m=0.0):
    x, y = route.points[row]
    return replace(route, scenarios=tuple(RouteScenario(f"{kind}_{number}", kind, float(x) + away_m, float(y))
                                          for number, kind in enumerate(kinds)))


def test_every_type_that_is_said_to_be_played_makes_an_encounter(town):
    for what, make in PLAYED.values():
        assert what and isinstance(make(LaneIndex(town), np.random.default_rng(0)), Encounter)


def test_each_scenario_of_the_file_has_a_status(route):
    wanted = replace(route, scenarios=asked(route, "DynamicObjectCrossing", "ControlLoss").scenarios
                     + asked(route, "HardBreakRoute", away_m=500.0).scenarios + (RouteScenario("n", "StaticCutIn", np.nan, np.nan),))
    assert [one.status for one in asked_scenarios(wanted)] == ["not met", "not supported", "off the route", "off the route"]
    assert {one.status for one in asked_scenarios(wanted, switched_on=False)} == {"switched off"}
    assert asked_scenarios(route) == []
    counts = count_by_status(one.facts() for one in asked_scenarios(wanted))
    assert sum(sum(kinds.values()) for kinds in counts.values()) == 4  # none is dropped
    assert "scenarios not supported: 1 (ControlLoss 1)" in sentences(counts)


def test_a_files_scenarios_are_played_at_their_places_and_no_others(town, route):
    """The pedestrian of the file steps out, its other scenario is named, and drawn ones stay away."""
    wanted = asked(route, "ControlLoss", "DynamicObjectCrossing")
    world, started_m = World(town, SensorRig(), vehicles=0, walkers=0), None
    world.start(wanted, 0, ROUTE_WEATHER)
    expert = Expert(town, wanted)
    for _ in range(600):
        met = bool(world.scenarios_met)
        world.tick(expert.step(world.state).control)
        if world.scenarios_met and not met:
            pose = world.state.ego.pose
            started_m = float(np.hypot(*(route.points[30] - (pose.x, pose.y))))
            break
    world.close()
    assert world.scenarios_met == ("StepOut",) and started_m < 71.0
    assert [(one["type"], one["status"]) for one in world.scenario_facts] == [
        ("ControlLoss", "not supported"), ("DynamicObjectCrossing", "met")]


@pytest.mark.parametrize("scenarios, switched_on", [((), True), (None, False)])
def test_a_file_that_asks_for_none_has_none(town, route, scenarios, switched_on):
    world = World(town, SensorRig(), vehicles=0, walkers=0, scenarios=switched_on)
    world.start(replace(route, scenarios=scenarios), 0, ROUTE_WEATHER)
    assert world.scenario_facts == [] and not (world._scenarios and world._scenarios._windows)
    world.close()


def test_the_weather_changes_along_the_route(town, route):
    """From a clear noon to a night at the goal: the scene's weather and all lamps follow the share of the route that is driven."""
    night = Weather("n", cloudiness=80.0, sun_altitude_deg=-30.0)
    first = {name: getattr(route, name)[:46] for name in ("points", "yaws", "commands")}
    changing = replace(route, **first, weathers=((0.0, Weather("d", cloudiness=0.0, sun_altitude_deg=60.0)), (1.0, night)))
    world = World(town, SensorRig(), vehicles=4, walkers=0, scenarios=False)
    scene = world.start(changing, 0, route_weather(changing))
    assert (scene.weather.sun_altitude_deg, scene.ego_lights & HEAD_LIGHT) == (60.0, 0)
    expert, clouds = Expert(town, changing), []
    while not world.done:
        scene = world.tick(expert.step(scene).control)
        clouds.append(scene.weather.cloudiness)
    world.close()
    assert np.all(np.diff(clouds) >= 0.0) and 10 < len(set(clouds)) <= 21 and clouds[-1] >= 76.0
    assert scene.ego_lights & HEAD_LIGHT and scene.weather.name == "Route"
    assert len(scene.actors) and all(scene.actors["lights"] & HEAD_LIGHT)
