"""Roadside views in closed loop: a planner without the graph is given what the stations near the car see."""

import hashlib

import numpy as np
import pytest

from kd_planner_ros.core.ego import NavigationGoal
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import RoadsideWish, SensorRig
from kd_planner_ros.evaluation.one_route import PlannerSide
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.simulation import World

WISH = RoadsideWish(views=2, range_m=120.0, objects=True)


class Witness:
    """Drives slowly ahead and keeps every Frame that it is given."""

    name, rig, rate_hz, role = "witness", SensorRig(roadside=WISH, history_s=(0.1,)), 10.0, "planner"

    def __init__(self):
        self.frames = []

    def reset(self):
        self.frames.clear()

    def plan(self, frame):
        self.frames.append(frame)
        times = np.arange(1, 5) * 0.5
        goal = frame.goal or NavigationGoal(np.zeros(2), 4)
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, np.stack([3.0 * times, 0.0 * times], 1), times), goal)


@pytest.fixture(scope="module")
def town():
    return load_map("default")


def test_the_planner_gets_pictures_and_object_lists_of_the_nearest_stations(town):
    planner = Witness()
    route = default_routes(town, 0, 1)[0]
    world = World(town, planner.rig, vehicles=30, walkers=5, scenarios=False)
    side, scene, seen = PlannerSide(planner, route), world.start(route, 0, Weather()), {}
    for tick in range(40):
        seen[scene.stamp_ns] = scene
        control, _ = side.step(scene, world.sense() if side.looks(tick) else None)
        scene = world.tick(control)
    world.close()
    assert len(planner.frames) == 20
    for frame in planner.frames:
        distances = sorted(np.hypot(one.pose.x - frame.ego.pose.x, one.pose.y - frame.ego.pose.y) for one in town.stations)
        assert len(frame.roadside) == min(2, sum(away < WISH.range_m for away in distances)) > 0
        for view in frame.roadside:
            assert view.image.shape == (view.camera.height, view.camera.width, 3) and view.image.std() > 5.0
            actors = seen[view.stamp_ns].actors
            reported = actors[np.isin(actors["id"], view.objects["id"])]
            assert view.objects.tobytes() == reported.tobytes() and len(reported) < len(actors), "cut, and exact"
            assert (view.stamp_ns, view.age_s) == (frame.stamp_ns, 0.0)
    assert any(len(view.objects) for frame in planner.frames for view in frame.roadside)
    assert planner.frames[0].history == (None,)
    assert [frame.history[0].stamp_ns for frame in planner.frames[1:]] == [frame.stamp_ns for frame in planner.frames[:-1]]


def test_a_planner_that_asks_for_nothing_gets_nothing_and_nothing_is_drawn(town):
    route = default_routes(town, 0, 1)[0]
    world = World(town, SensorRig(), vehicles=5, walkers=0, scenarios=False)
    world.start(route, 0, Weather())
    assert world.sense().roadside == () and world._renderer is None
    world.close()


def test_the_same_seed_gives_the_same_bytes_with_stations(town):
    route = default_routes(town, 0, 1)[0]
    world = World(town, SensorRig(roadside=WISH), vehicles=10, walkers=3, scenarios=False)

    def fingerprint(seed):
        digest = hashlib.sha256()
        world.start(route, seed, Weather())
        for _ in range(12):
            for view in world.sense().roadside:
                digest.update(view.station.encode() + view.image.tobytes() + view.objects.tobytes())
            world.tick(Control(throttle=0.4))
        return digest.hexdigest()

    first = fingerprint(3)
    assert fingerprint(4) != first and fingerprint(3) == first
    world.close()
