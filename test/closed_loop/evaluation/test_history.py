"""A Frame knows its declared history in closed loop, however slow the planner and however late its plans: as in training."""

from __future__ import annotations

import numpy as np
import pytest

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.frames import history_phases
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, LidarSpec, SensorRig
from kd_planner_ros.evaluation import one_route
from kd_planner_ros.evaluation.latency import read_latency
from kd_planner_ros.evaluation.seat import Seat
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.sensor_data import SensorData
from kd_planner_ros.world.simulation import World

CAMERA = CameraSpec("front", Pose(x=1.3, z=2.3), 16, 8, 90.0)


class Witness:
    """Drives slowly ahead and keeps every Frame that it is given."""

    name, role = "witness", "planner"

    def __init__(self, rate_hz, history_s, camera=CAMERA):
        self.rate_hz, self.rig, self.frames = rate_hz, SensorRig((camera,), history_s=history_s), []

    def reset(self):
        self.frames.clear()

    def plan(self, frame):
        self.frames.append(frame)
        times = np.arange(1, 9) * 0.5
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, np.stack([3.0 * times, 0.0 * times], 1), times), frame.goal)


@pytest.fixture(scope="module")
def town():
    return load_map("default")


class Few(World):
    """Ends after 40 ticks and counts at which of them the sensors were read."""

    def start(self, *arguments):
        self.read, self.ticks = [], 0
        return super().start(*arguments)

    def tick(self, control):
        self.ticks += 1
        return super().tick(control)

    def sense(self, labels=False):
        self.read.append(self.ticks)
        return super().sense(labels)

    @property
    def done(self):
        return self.ticks >= 40


@pytest.mark.parametrize("rate_hz, ms, history_s, planned, read", [
    (10.0, 0, (0.1,), range(0, 40, 2), range(0, 40, 2)),
    (10.0, 150, (0.1,), (0, 2, 6, 8, 12, 14, 18, 20, 24, 26, 30, 32, 36, 38), range(0, 40, 2)),
    (2.0, 0, (0.1, 0.05), range(0, 40, 10), (0, 8, 9, 10, 18, 19, 20, 28, 29, 30, 38, 39))])
def test_every_frame_has_its_history(town, rate_hz, ms, history_s, planned, read):
    """3 ticks of latency and 2 plans a second: the pictures between are remembered too, and no others are drawn."""
    route, planner = default_routes(town, 0, 1)[0], Witness(rate_hz, history_s)
    world = Few(town, planner.rig, vehicles=0, walkers=0, scenarios=False)
    one_route.drive(world, one_route.PlannerSide(planner, route, read_latency(str(ms), "witness")), route, 0, Weather())
    world.close()
    stamps = [frame.stamp_ns for frame in planner.frames]
    assert stamps == [tick * 50_000_000 for tick in planned] and world.read == list(read)
    assert planner.frames[0].history == (None,) * len(history_s)
    for frame in planner.frames[1:]:
        assert [round((frame.stamp_ns - one.stamp_ns) / 1e9, 9) for one in frame.history] == list(history_s)
        assert all(one.images["front"].shape == (8, 16, 3) and one.goal is not None for one in frame.history)
        assert frame.history[0].ego.pose != frame.ego.pose or frame.ego.speed_mps < 0.1


@pytest.mark.parametrize("history_s, period, phases", [
    ((), 2, ()), ((0.1,), 2, (0,)), ((0.1,), 10, (8,)), ((0.5,), 10, (0,)), ((0.12,), 10, (8,)), ((0.01,), 10, ()),
    ((0.125,), 10, (7, 8))])
def test_the_ticks_within_reach_of_an_offset(history_s, period, phases):
    assert history_phases(SensorRig(history_s=history_s), period, 0.05) == frozenset(phases)


def test_a_half_measured_instant_is_not_remembered():
    """The LiDAR sends every second tick, the history asks for the ticks between: a picture without its cloud is no frame."""
    planner = Witness(10.0, (0.05,))
    planner.rig = SensorRig((CAMERA,), (LidarSpec("lidar", Pose(z=2.5)),), (0.05,))
    seat, history = Seat(planner), []
    for tick in range(9):
        ego = EgoState(tick * 50_000_000, Pose(), 0.0)
        picture = CameraImage(ego.stamp_ns, np.zeros((8, 16, 3), np.uint8))
        cloud = {"lidar": np.zeros((1, 4), np.float32)} if tick % 2 == 0 or tick > 4 else {}
        assert seat.looks(tick), "the history is a tick old: every tick counts"
        frame = seat.frame(ego, None, SensorData(ego.stamp_ns, {"front": picture}, cloud))
        assert (frame is not None) == (tick % 2 == 0)
        history += [] if frame is None else [frame.history[0] and frame.history[0].stamp_ns // 50_000_000]
    assert history == [None, None, None, 5, 7]
