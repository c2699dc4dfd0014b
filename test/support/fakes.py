"""A world of a straight road and a car without inertia: enough to close the loop around real nodes."""

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from support.towns import straight_road

from kd_planner_ros.core.ego import Command, EgoState, Pose
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, SceneState, Weather
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, LidarSpec, SensorRig
from kd_planner_ros.networks.planner import Perceiver, Planner

CAMERA = CameraSpec("front", Pose(x=-1.5, z=2.0), 64, 32, 100.0, period_s=0.1)
LIDAR = LidarSpec("lidar", Pose(z=2.5), points_per_second=2000)
TICK_NS = 50_000_000


def straight_route(length=200):
    """A route along +x, 1 m apart."""
    points = np.stack([np.arange(length, dtype=float), np.zeros(length)], 1)
    return Route("straight", "nowhere", points, np.zeros(length), np.full(length, Command.LANE_FOLLOW, np.int8),
                 points[[0, -1]])


def scene_at(stamp_ns, x=0.0, speed=0.0, yaw=0.0, y=0.0):
    """A scene with nobody but the ego."""
    ego = EgoState(stamp_ns, Pose(x=x, y=y, yaw=yaw), speed)
    return SceneState(stamp_ns, ego, np.zeros(0, ACTOR_DTYPE), np.zeros(0, SIGNAL_DTYPE), Weather())


class FakeMonitor:
    def __init__(self):
        self.events, self.completion, self.status, self.done = [], 0.0, "Started", False

    def result(self):
        return {"route": "straight", "town": "nowhere", "status": self.status, "completion": self.completion,
                "route_length_m": 199.0, "key_length_m": 199.0, "duration_game_s": 1.0, "outside_share": 0.0,
                "events": []}


class FakeWorld:
    """World's interface (docs/architecture.md). Pictures hold the tick's number, so a test can tell them apart."""

    def __init__(self, rig, ticks=60):
        self.rig, self.ticks, self.done, self.monitor = rig, ticks, False, FakeMonitor()
        self.road, self.scenario_facts = straight_road(), []
        self.route, self.controls, self.n = straight_route(), [], 0
        self.state = scene_at(0)
        self.events = {}  # tick: what happens in it, in the world's own thread, so that no test races with the loop

    def start(self, route=None, seed=0, weather=None):
        return self.state

    def tick(self, control: Control):
        self.controls.append(control)
        self.n += 1
        ego = self.state.ego
        speed = max(0.0, ego.speed_mps + 0.05 * (3.0 * control.throttle - 8.0 * control.brake))
        yaw = ego.pose.yaw + 0.05 * speed * math.tan(0.6 * control.steer) / 2.8
        x, y = ego.pose.x + 0.05 * speed * math.cos(yaw), ego.pose.y + 0.05 * speed * math.sin(yaw)
        self.state = scene_at(self.n * TICK_NS, x, speed, yaw, y)
        self.done = len(self.controls) >= self.ticks
        self.events.get(self.n, lambda: None)()
        return self.state

    def sense(self, labels=False):
        images, clouds = {}, {}
        for spec in self.rig.cameras:
            if self.n % round(spec.period_s / 0.05) == 0:
                rgb = np.full((spec.height, spec.width, 3), self.n % 256, np.uint8)
                images[spec.id] = CameraImage(self.state.stamp_ns, rgb)
        for spec in self.rig.lidars:
            clouds[spec.id] = np.array([[5.0, 0.0, -1.0, 0.5], [7.0, 1.0, -1.0, 0.2]], np.float32)
        return SimpleNamespace(images=images, clouds=clouds, imu=None, gnss=None, roadside=())

    def close(self):
        pass


class FakePlanner(Planner):
    """Drives straight on at 5 m/s; remembers the frames it was given."""

    name = "fake"
    rate_hz = 10.0

    def __init__(self, rig=SensorRig((CAMERA,))):
        self.rig, self.frames, self.resets, self.fail = rig, [], 0, None
        self.delay = None

    def reset(self):
        self.resets += 1

    def plan(self, frame):
        self.frames.append(frame)
        if self.fail is not None:
            raise self.fail
        if self.delay is not None:
            self.delay(frame)
        times = 0.5 * np.arange(1, 5)
        points = np.stack([5.0 * times, np.zeros(4)], 1)
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, times), frame.goal,
                    control=Control(frame.stamp_ns, 0.4, 0.1, 0.0), attention=np.full((2, 4), 0.125, np.float32))


def without_reason(control):
    """For comparing what reaches the actuators."""
    return replace(control, reason="")


class FakePerceiver(Perceiver):
    """Gives one output of every kind, 16x8 over the picture of ``front``; remembers the frames it was given."""

    name = "fake_eye"
    rate_hz = 10.0

    def __init__(self, rig=SensorRig((CAMERA,), history_s=(0.1, 0.2))):
        self.rig, self.frames, self.resets, self.fail, self.more = rig, [], 0, None, {}

    def reset(self):
        self.resets += 1

    def perceive(self, frame):
        self.frames.append(frame)
        if self.fail is not None:
            raise self.fail
        number = frame.images["front"][0, 0, 0]
        row = np.arange(8 * 16).reshape(8, 16)
        depth = row.astype(np.float32) + number
        depth[0, 0] = np.nan
        outputs = {
            "depth": DenseOutput("depth", depth),
            "classes": DenseOutput("classes", (row % 3).astype(np.uint8), ("road", "car", "sky")),
            "segments": DenseOutput("ids", (row * 70_000 - 5).astype(np.int32)),
            "moving": DenseOutput("mask", row % 2 == 0),
            "flow": DenseOutput("flow", np.stack([row, -row, 0.5 * row], axis=2).astype(np.float32)),
            "certain": DenseOutput("probability", (row / 128.0).astype(np.float32))}
        return Perception(frame.stamp_ns, "front", outputs | self.more, scalars={"steer": 0.25, "twist_x": 5.0})
