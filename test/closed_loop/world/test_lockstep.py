"""The world in lock-step: determinism, traffic that minds the ego, walkers, scenarios, sensors' periods."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.scene import INDICATOR_LEFT, ActorKind, LightState
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, SensorRig
from kd_planner_ros.geometry.boxes import overlap_one
from kd_planner_ros.world.ego_body import ego_box
from kd_planner_ros.world.expert import Expert
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.weather import WEATHERS

SHARED = Path(__file__).resolve().parents[4] / "shared"
STAND = Control(brake=1.0)


@pytest.fixture(scope="module")
def town():
    return load_map("default")


@pytest.fixture(scope="module")
def routes(town):
    return default_routes(town, 0, 3)


@pytest.fixture
def world(town):
    made = World(town, SensorRig(), vehicles=25, walkers=8)
    yield made
    made.close()


def fingerprint(world: World, route, seed: int, ticks: int) -> str:
    digest = hashlib.sha256()
    scene = world.start(route, seed, WEATHERS[0])
    for tick in range(ticks):
        digest.update(repr(scene.ego).encode() + scene.actors.tobytes() + scene.signals.tobytes())
        scene = world.tick(Control(throttle=0.35, steer=0.002 * (tick % 7)))
    return digest.hexdigest()


def boxes(actors: np.ndarray) -> np.ndarray:
    return np.column_stack([actors[name].astype(float) for name in ("x", "y", "yaw", "length", "width")])


def test_the_same_seed_gives_the_same_states_bit_for_bit(world, routes):
    first = fingerprint(world, routes[0], 3, 120)
    assert fingerprint(world, routes[1], 4, 10) != first
    assert fingerprint(world, routes[0], 3, 120) == first
    assert fingerprint(world, routes[0], 4, 120) != first


def test_first_state_is_the_route_start_with_traffic_on_its_way(world, routes):
    scene = world.start(routes[0], 0, WEATHERS[0])
    assert (scene.stamp_ns, scene.ego.speed_mps) == (0, 0.0)
    np.testing.assert_allclose([scene.ego.pose.x, scene.ego.pose.y], routes[0].points[0])
    vehicles = scene.actors[scene.actors["kind"] != ActorKind.PEDESTRIAN]
    assert len(vehicles) >= 20 and (np.hypot(vehicles["vx"], vehicles["vy"]) > 2.0).sum() > 5
    assert (np.diff(scene.actors["id"]) > 0).all()
    assert set(scene.signals["state"]) <= {LightState.RED, LightState.YELLOW, LightState.GREEN}
    assert world.tick(STAND).stamp_ns == 50_000_000


def test_traffic_queues_behind_a_standing_ego_and_never_touches_it(town, routes):
    world = World(town, SensorRig(), vehicles=40, walkers=10, scenarios=False)
    scene, nearest = world.start(routes[1], 2, WEATHERS[0]), np.inf
    for _ in range(900):
        scene = world.tick(STAND)
        assert not overlap_one(ego_box(scene.ego.pose), boxes(scene.actors)).any()
        away = np.hypot(scene.actors["x"] - scene.ego.pose.x, scene.actors["y"] - scene.ego.pose.y)
        still = np.hypot(scene.actors["vx"], scene.actors["vy"]) < 0.1
        cars = scene.actors["kind"] == ActorKind.CAR
        nearest = min(nearest, away[still & cars].min(initial=np.inf))
    world.close()
    assert nearest < 12.0  # someone came up behind and waits


def test_nobody_appears_near_the_ego_and_the_number_holds(world, routes):
    scene = world.start(routes[0], 1, WEATHERS[0])
    known = set(scene.actors["id"].tolist())
    for _ in range(300):
        scene = world.tick(STAND)
        fresh = scene.actors[~np.isin(scene.actors["id"], list(known))]
        fresh = fresh[fresh["kind"] != ActorKind.PEDESTRIAN]
        if len(fresh):
            assert np.hypot(fresh["x"] - scene.ego.pose.x, fresh["y"] - scene.ego.pose.y).min() > 55.0
        known |= set(scene.actors["id"].tolist())
    driving = ~np.isin(scene.actors["kind"], [ActorKind.PEDESTRIAN])
    assert 22 <= driving.sum() <= 26


def test_vehicles_move_as_fast_as_they_say_and_turn_smoothly(world, routes):
    before, jumps, turns = world.start(routes[2], 5, WEATHERS[0]).actors, [], []
    for _ in range(400):
        after = world.tick(STAND).actors
        _, a, b = np.intersect1d(before["id"], after["id"], return_indices=True)
        p, q = before[a], after[b]
        cars = q["kind"] != ActorKind.PEDESTRIAN
        moved = np.hypot(q["x"] - p["x"], q["y"] - p["y"]) - 0.05 * np.hypot(q["vx"], q["vy"])
        jumps += np.abs(moved[cars]).tolist()
        turns += np.abs(np.angle(np.exp(1j * (q["yaw"] - p["yaw"]).astype(float)))).tolist()
        before = after
    assert np.quantile(jumps, 0.999) < 0.15 and np.quantile(turns, 0.999) < 0.21


def test_a_scenario_starts_and_the_expert_gets_by(town, routes):
    world, left = World(town, SensorRig(), vehicles=10, walkers=0), 200
    scene, expert = world.start(routes[1], 0, WEATHERS[0]), Expert(town, routes[1])
    expert.reset()
    while not world.done and left:
        scene = world.tick(expert.step(scene).control)
        left -= bool(world.scenarios_met)
    world.close()
    assert world.scenarios_met and not world.monitor.result()["events"]


def test_indicators_follow_the_route(town, routes):
    world = World(town, SensorRig(), vehicles=0, walkers=0, scenarios=False)
    route = next(r for r in routes if (r.commands == 1).any())
    scene, expert, seen = world.start(route, 0, WEATHERS[0]), Expert(town, route), False
    expert.reset()
    while not world.done and not seen:
        scene = world.tick(expert.step(scene).control)
        seen = bool(scene.ego_lights & INDICATOR_LEFT)
    world.close()
    assert seen


class CountingRenderer:
    """Stands in for the ray caster: gives back which sensors were asked for."""

    def cameras(self, scene, specs, labels):
        return {spec.id: scene.stamp_ns for spec in specs}

    def lidar(self, scene, spec, tick):
        return np.zeros((0, 4), np.float32)


def test_only_sensors_that_are_due_measure(town, routes):
    rig = SensorRig((CameraSpec("fast", Pose(), 8, 8, 90.0), CameraSpec("slow", Pose(), 8, 8, 90.0, period_s=0.2)),
                    (LidarSpec("lidar", Pose(), period_s=0.1), LidarSpec("seldom", Pose(), period_s=0.1, every_s=0.2)))
    world = World(town, rig, vehicles=0, walkers=0, scenarios=False)
    world._renderer = CountingRenderer()
    world.start(routes[0], 0, WEATHERS[0])
    seen = []
    for _ in range(5):
        data = world.sense()
        seen.append((sorted(data.images), sorted(data.clouds), data.imu is not None and data.gnss is not None))
        world.tick(STAND)
    world.close()
    assert [s[0] for s in seen] == [["fast", "slow"], ["fast"], ["fast"], ["fast"], ["fast", "slow"]]
    assert [len(s[1]) for s in seen] == [2, 0, 1, 0, 2] and all(s[2] for s in seen)


def test_negative_numbers_of_actors_are_refused(town):
    with pytest.raises(ConfigError):
        World(town, SensorRig(), vehicles=-1, walkers=0)


@pytest.mark.skipif(not (SHARED / "maps").is_dir(), reason="needs CARLA's road networks: put them into ../shared/maps")
def test_towns_without_pavements_have_walkers_beside_the_road():
    from kd_planner_ros.world.lane_index import LaneIndex

    road = load_map(str(SHARED / "maps" / "Town01.net.xml"))
    world = World(road, SensorRig(), vehicles=5, walkers=12, scenarios=False)
    first = world.start(default_routes(road, 0, 1)[0], 0, WEATHERS[0]).actors
    for _ in range(40):
        last = world.tick(STAND).actors
    world.close()
    a, b = (table[table["kind"] == ActorKind.PEDESTRIAN] for table in (first, last))
    assert len(a) == len(b) == 12
    moved = np.hypot(b["x"] - a["x"], b["y"] - a["y"])
    assert (moved > 1.0).sum() >= 10 and moved.max() < 4.5
    index = LaneIndex(road)
    assert min(index.outside_by(float(x), float(y)) for x, y in zip(b["x"], b["y"])) > 0.3
