"""Routes: the leaderboard's files, planning over lanes, and bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.world.lane_graph import LaneGraph
from kd_planner_ros.world.lane_index import LaneIndex
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.route_files import of_another_town, read_route_file
from kd_planner_ros.world.routes import RouteSpec, default_routes, plan_route

SHARED = Path(__file__).resolve().parents[4] / "shared"
needs_shared = pytest.mark.skipif(not (SHARED / "maps").is_dir(),
                                  reason="put CARLA's road networks and routes into ../shared/maps and ../shared/routes")


@pytest.fixture(scope="module")
def town():
    return load_map("default")


@pytest.fixture(scope="module")
def routes(town):
    return default_routes(town, 0, 8)


def test_route_off_the_map_is_refused(town):
    spec = RouteSpec("far", "default", np.array([[0.0, 0.0, 0.0], [5000.0, 0.0, 0.0]]))
    with pytest.raises(RouteError, match="key point 1"):
        plan_route(town, spec)


def test_route_of_another_town_is_refused(town):
    from dataclasses import replace

    spec = RouteSpec("r", "Town03", np.array([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0]]))
    with pytest.raises(RouteError, match="Town03"):
        plan_route(replace(town, name="Town05"), spec)


@pytest.mark.parametrize("shown", ["default", "generated:7"])
def test_a_route_of_carlas_town_is_refused_on_a_generated_one(town, shown):
    """A map file of the user's own name may be a copy of the town."""
    from dataclasses import replace

    spec = RouteSpec("r", "Town03", np.array([[0.0, 0.0, 0.0], [30.0, 0.0, 0.0]]))
    with pytest.raises(RouteError, match="the map Town03 for route r"):
        plan_route(replace(town, name=shown), spec)
    assert of_another_town(spec, "maps/my_copy.net.xml") == "" == of_another_town(spec, "Carla/Maps/Town03_Opt")


def test_default_routes_are_dense_smooth_and_on_the_road(town, routes):
    index = LaneIndex(town)
    for route in routes:
        steps = np.linalg.norm(np.diff(route.points, axis=0), axis=1)
        assert 0.9 < steps.min() and steps.max() < 1.1
        assert 150 <= route.length_m <= 450
        assert np.abs(np.angle(np.exp(1j * np.diff(route.yaws)))).max() < 0.5
        assert max(index.outside_by(x, y) for x, y in route.points) < 0.2


def test_turn_commands_say_which_way_the_road_turns(town, routes):
    seen = set()
    for route in routes:
        turns = np.unwrap(route.yaws)
        for command, sign in ((Command.LEFT, 1), (Command.RIGHT, -1)):
            rows = np.flatnonzero(route.commands == command)
            for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
                if len(run) > 5:
                    seen.add(command)
                    assert sign * (turns[run[-1]] - turns[run[0]]) > 0.5
    assert seen == {Command.LEFT, Command.RIGHT}


def test_same_seed_same_routes_and_another_seed_others(town, routes):
    again, other = default_routes(town, 0, 8), default_routes(town, 1, 8)
    assert all(a.points.tobytes() == b.points.tobytes() for a, b in zip(routes, again))
    assert routes[0].points.tobytes() != other[0].points.tobytes()


def test_too_long_routes_for_the_map_are_refused(town):
    with pytest.raises(RouteError):
        default_routes(town, 0, 2, 1e5, 2e5)


@pytest.mark.parametrize("least_m, most_m", [(150.0, 120.0), (-1.0, 50.0)])
def test_lengths_out_of_order_are_refused(town, least_m, most_m):
    with pytest.raises(RouteError, match="--min-m and --max-m in order"):
        default_routes(town, 0, 1, least_m, most_m)


def test_a_lane_change_is_planned_smoothly(town):
    graph = LaneGraph(town)
    name = max((n for n in graph.lanes if graph.beside[n]), key=graph.lengths.get)
    step, other = graph.beside[name][0]
    start, goal = graph.lanes[name].centre[0], graph.lanes[other].centre[-1]
    route = plan_route(town, RouteSpec("change", "default", np.array([[*start, 0.0], [*goal, 0.0]])), graph)
    wanted = Command.CHANGE_LANE_LEFT if step > 0 else Command.CHANGE_LANE_RIGHT
    assert (route.commands == wanted).sum() == 2  # where it begins and where it ends
    assert np.abs(np.angle(np.exp(1j * np.diff(route.yaws)))).max() < 0.15
    np.testing.assert_allclose(route.points[-1], goal, atol=0.1)


@needs_shared
@pytest.mark.parametrize("kind, least_m", [("short", 45.0), ("long", 500.0)])
def test_all_benchmark_routes_of_town05_are_planned(kind, least_m):
    road = load_map(str(SHARED / "maps" / "Town05.net.xml"))
    graph = LaneGraph(road)
    specs = read_route_file(SHARED / "routes" / f"town05_{kind}.xml").routes
    planned = [plan_route(road, spec, graph) for spec in specs]
    assert len(planned) == 10 and min(route.length_m for route in planned) > least_m
    if kind == "long":
        for spec, route in zip(specs, planned):
            gaps = np.linalg.norm(route.points[None] - spec.key_points[:, None, :2], axis=2).min(axis=1)
            assert np.quantile(gaps, 0.9) < 3.6 and np.median(gaps) < 0.6  # some lie inside a lane change
