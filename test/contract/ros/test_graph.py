"""The graph in lock-step with real nodes, real DDS and a fake world."""

import json
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from rclpy.executors import SingleThreadedExecutor
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from support.fakes import CAMERA, LIDAR, FakePlanner, FakeWorld, scene_at, straight_route
from support.graph import wait_for

from kd_planner_ros.core.records import Control, Frame, Trajectory
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.driving.driver import Driver
from kd_planner_ros.evaluation.run_folder import read_run
from kd_planner_ros.ros.carla_objects import write_objects
from kd_planner_ros.ros.diagnostics import ERROR
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes import controller_node, planner_node, world_node
from kd_planner_ros.ros.qos import LATCHED
from kd_planner_ros.ros.specs.fallback_planner import NODE
from kd_planner_ros.ros.stop import StopFlag

CAMERA_RIG, FULL_RIG = SensorRig((CAMERA,)), SensorRig((CAMERA,), (LIDAR,))


class Loop:
    """World, planner and controller nodes around a FakeWorld and a FakePlanner."""

    def __init__(self, graph, monkeypatch, tmp_path, rig=CAMERA_RIG, ticks=60, controller=None, world=None, fallback=None):
        self.graph, self.planner, self.world = graph, FakePlanner(rig), FakeWorld(rig, ticks)
        self.sentences, self.folder, self.fallback = [], tmp_path / "run", fallback
        monkeypatch.setattr(planner_node, "load", lambda name, *a, **k: fallback if name == "second" else self.planner)
        monkeypatch.setattr(world_node, "make_world", lambda params, rig: (
            self.world, straight_route(), self.world.state, Weather()))
        write_objects(tmp_path / "sensors.json", rig, "ego_vehicle")
        timed = {"use_sim_time": True}
        self.planner_node = graph.start(planner_node.PlannerNode, timed)
        self.controller_node = graph.start(controller_node.ControllerNode, {**timed, **(controller or {})})
        self.world_node = graph.start(world_node.WorldNode, {
            "objects_definition_file": str(tmp_path / "sensors.json"), "run_dir": str(self.folder),
            "planner_name": "fake", **(world or {})})
        self._listen()
        more = [graph.start(planner_node.PlannerNode, {**timed, "planner": "second"}, spec=NODE)] if fallback else []
        for node in (self.planner_node, self.controller_node, *more):
            assert autostart(node)
            graph.spin_in_thread(node)
        self.stop, self.status = StopFlag(), None
        self._executor = SingleThreadedExecutor(context=graph.context)
        self._executor.add_node(self.world_node)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _listen(self):
        """Remember every error sentence of planner and controller."""
        for node in (self.planner_node, self.controller_node):
            def remember(name, level, sentence, real=node.health.set):
                if level == ERROR:
                    self.sentences.append(sentence)
                real(name, level, sentence)

            node.health.set = remember

    def _run(self):
        self.status = self.world_node.run(self._executor, self.stop)

    def at(self, tick, action):
        """Have ``action()`` happen in that tick."""
        self.world.events[tick] = action
        return self

    def start(self):
        self._thread.start()
        return self

    def finish(self, seconds=40.0):
        self._thread.join(seconds)
        alive = self._thread.is_alive()
        self.stop.requested = True
        self._thread.join(5.0)
        self.world_node.close()
        self._executor.shutdown()
        self.world_node.destroy_node()
        assert not alive, (self.world_node.health.worst, self.sentences)
        return self

    def drive(self):
        return self.start().finish()

    @property
    def reasons(self):
        return {row for row in read_run(self.folder).telemetry["reason"] if row}


def test_the_graph_gives_the_same_controls_as_the_driver(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path, FULL_RIG).drive()
    assert loop.status == 0
    direct_world, direct = FakeWorld(FULL_RIG, 60), FakePlanner(FULL_RIG)
    driver = Driver(direct, straight_route())
    while not direct_world.done:
        scene, sensed = direct_world.state, direct_world.sense()
        goal = driver.goal(scene.ego)
        frame = Frame(scene.stamp_ns, scene.ego, goal, {"front": sensed.images["front"].rgb},
                      sensed.clouds) if sensed.images else None
        direct_world.tick(driver.step(frame, scene.ego)[0])
    assert len(loop.planner.frames) == len(direct.frames) == 30
    # The attitude travels as a quaternion, whose last bit may differ; carla_msgs' control has 32 bits, JointState has 64.
    near = 1e-9 if loop.controller_node.adapter.control_type is JointState else 1e-5
    for ours, theirs in zip(loop.planner.frames, direct.frames, strict=True):
        assert (ours.images["front"] == theirs.images["front"]).all()
        assert (ours.clouds["lidar"] == theirs.clouds["lidar"]).all()
        assert np.allclose(ours.goal.target_point, theirs.goal.target_point, rtol=0.0, atol=near)
    for ours, theirs in zip(loop.world.controls, direct_world.controls, strict=True):
        ours, theirs = ((one.throttle, one.steer, one.brake) for one in (ours, theirs))
        assert ours == pytest.approx(theirs, abs=near)
    assert loop.world.state.ego.speed_mps > 2.0


def test_one_control_per_tick_stamped_with_the_tick(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path).drive()
    stamps = [control.stamp_ns for control in loop.world.controls]
    assert stamps == [1_000_000_000 + 50_000_000 * n for n in range(60)]
    shakes = loop.world_node._handshake
    assert (shakes.second, shakes.late, shakes.unanswered) == (0, 0, 0)


def test_the_run_folder_can_be_read(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path).drive()
    run = read_run(loop.folder)
    assert len(run.telemetry["x"]) == 60 and len(run.plans) == 30
    assert run.plans[0]["stamp_s"] == 0.0 and np.allclose(run.plans[0]["attention"], 0.125)
    assert sorted(run.frames)[:3] == [0, 200, 400]
    assert json.loads((loop.folder / "statistics.json").read_text())["_checkpoint"]["records"][0]["status"] == "Started"


def test_two_runs_of_one_seed_write_the_same_statistics_and_telemetry(graph, monkeypatch, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = Loop(graph, monkeypatch, tmp_path / "a", ticks=30).drive()
    graph.clear()  # or the first controller's latched word that it is not ready may come last
    second = Loop(graph, monkeypatch, tmp_path / "b", ticks=30).drive()
    for name in ("statistics.json", "telemetry.csv"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_a_planner_that_raises_stops_the_car_and_lives(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path, ticks=160)
    loop.at(40, lambda: setattr(loop.planner, "fail", RuntimeError("weights on fire"))).drive()
    assert "planner_failed" in loop.reasons
    assert any("weights on fire" in sentence for sentence in loop.sentences)
    assert loop.world.state.ego.speed_mps == 0.0 and loop.world.controls[-1].brake > 0.5
    assert loop.planner_node._inference.faults > 10


def test_a_planner_that_recovers_drives_on(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path, ticks=160)
    loop.at(30, lambda: setattr(loop.planner, "fail", ValueError("a hiccup")))
    loop.at(60, lambda: setattr(loop.planner, "fail", None)).drive()
    assert loop.planner_node._inference.faults > 3
    assert "last_plan" in loop.reasons and loop.world.controls[-1].throttle > 0.0
    assert loop.controller_node._gate.pilot.supervisor.counts["planner_failed"] > 20  # 1.5 s, and never a safe stop's end
    assert loop.planner_node.health.get("planner") is None


def test_a_planner_that_hangs_costs_one_wait_and_stops_the_car(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path, ticks=160, controller={"plan_timeout_s": 0.3})
    release = threading.Event()
    started = time.monotonic()
    loop.at(40, lambda: setattr(loop.planner, "delay", lambda frame: release.wait(30.0))).drive()
    release.set()
    assert time.monotonic() - started < 25.0  # one wait each tick would take longer than the planner hangs
    assert "plan_late" in loop.reasons and loop.controller_node._gate.waits_missed == 1
    assert loop.world.state.ego.speed_mps == 0.0


class SlowPlanner(FakePlanner):
    """Two plans a second, each four seconds long."""

    rate_hz = 2.0

    def plan(self, frame):
        times = 0.5 * np.arange(1, 9)
        return replace(super().plan(frame), trajectory=Trajectory(frame.stamp_ns, np.stack([5.0 * times, 0.0 * times], 1), times))


def test_a_planner_that_hangs_has_its_fallback_planner_followed(graph, monkeypatch, tmp_path):
    """Two planner nodes. The first hangs at tick 40, the second (2 Hz) at tick 100: each step of the chain in its order."""
    second, release = SlowPlanner(), threading.Event()
    loop = Loop(graph, monkeypatch, tmp_path, ticks=220, fallback=second, controller={"plan_timeout_s": 1.0, "fallback_period_s": 0.5})
    loop.at(40, lambda: setattr(loop.planner, "delay", lambda frame: release.wait(60.0)))
    loop.at(100, lambda: setattr(second, "delay", lambda frame: release.wait(60.0))).drive()
    looked_at = list(second.frames)  # once released it may still take the newest frame, whose stamp is any
    release.set()
    reasons = [row for row in read_run(loop.folder).telemetry["reason"] if row not in ("", "limited")]
    order = [reason for reason, before in zip(reasons, [None, *reasons]) if reason != before]
    assert order == ["last_plan", "slower_plan", "comfortable_stop", "plan_late"], order
    assert 40 <= reasons.count("slower_plan") <= 80 and loop.world.state.ego.speed_mps == 0.0
    gate, node = loop.controller_node._gate, loop.controller_node
    assert (gate.waits_missed, gate.slower_missed) == (1, 1) and node._plans.faults == 0
    assert {(frame.stamp_ns - second.frames[0].stamp_ns) % 500_000_000 for frame in looked_at} == {0}


def test_driving_begins_when_both_planners_are_ready(graph, monkeypatch, tmp_path):
    node = graph.start(controller_node.ControllerNode, {"fallback_period_s": 0.5})
    assert autostart(node)
    graph.spin_in_thread(node)
    first, second = (graph.node.create_publisher(Bool, topic, LATCHED) for topic in ("planner/ready", "fallback_planner/ready"))
    first.publish(Bool(data=True))
    assert wait_for(lambda: node.health.get("state") == "waiting for the fallback planner")
    second.publish(Bool(data=True))
    assert wait_for(lambda: node.health.get("state") == "driving")
    second.publish(Bool(data=False))
    assert wait_for(lambda: node.health.get("fallback") == "no fallback planner is ready") and node.health.get("state") == "driving"


def test_a_camera_that_stops_stops_the_car(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path, ticks=160, controller={"plan_timeout_s": 0.3})
    sense = loop.world.sense

    def blind(labels=False):
        data = sense()
        data.images = {}
        return data

    loop.at(40, lambda: setattr(loop.world, "sense", blind)).drive()
    assert "plan_late" in loop.reasons and loop.world.state.ego.speed_mps == 0.0
    assert any("front/image" in sentence and "stopped" in sentence for sentence in loop.sentences), loop.sentences


def test_camera_and_lidar_out_of_step_are_named(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path, FULL_RIG, ticks=160, controller={"plan_timeout_s": 0.3})
    sense = loop.world.sense

    def odd_ticks_only(labels=False):
        data = sense()
        data.clouds = data.clouds if loop.world.n % 2 else {}
        return data

    loop.at(40, lambda: setattr(loop.world, "sense", odd_ticks_only)).drive()
    assert "plan_late" in loop.reasons and loop.world.state.ego.speed_mps == 0.0
    assert any("lidar" in sentence and "out of step" in sentence for sentence in loop.sentences), loop.sentences


@pytest.mark.parametrize("cloud", [np.full((5, 4), np.nan, np.float32), np.zeros((0, 4), np.float32)],
                         ids=["nan", "empty"])
def test_a_cloud_without_points_stops_the_car(graph, monkeypatch, tmp_path, cloud):
    loop = Loop(graph, monkeypatch, tmp_path, FULL_RIG, ticks=160)
    sense = loop.world.sense

    def bad(labels=False):
        data = sense()
        data.clouds = {"lidar": cloud}
        return data

    loop.at(40, lambda: setattr(loop.world, "sense", bad)).drive()
    assert "input_failed" in loop.reasons and loop.world.state.ego.speed_mps == 0.0
    assert any("none of them finite" in sentence for sentence in loop.sentences)


def test_an_image_of_the_wrong_size_or_encoding_stops_the_car(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path, ticks=100)
    adapter = loop.world_node._outputs._adapter
    real = adapter.image_to_msg

    def grey_depth(rgb, stamp, sensor):
        message = real(rgb, stamp, sensor)
        message.encoding, message.step = "32FC1", 4 * message.width
        return message

    def small(rgb, stamp, sensor):
        return real(rgb[:16], stamp, sensor)

    loop.at(20, lambda: setattr(adapter, "image_to_msg", small))
    loop.at(60, lambda: setattr(adapter, "image_to_msg", grey_depth)).drive()
    assert "input_failed" in loop.reasons
    assert any("64x32 pixels" in sentence for sentence in loop.sentences), loop.sentences
    assert any("32FC1" in sentence for sentence in loop.sentences), loop.sentences


def test_a_second_controller_is_noticed(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path, ticks=400)
    adapter, shakes = loop.controller_node.adapter, loop.world_node._handshake
    rogue = graph.node.create_publisher(adapter.control_type, "vehicle_control_cmd", 1)
    assert wait_for(lambda: rogue.get_subscription_count() == 1)
    command = adapter.control_to_msg(Control(10**18, throttle=1.0))
    loop.start()

    def noticed():
        rogue.publish(command)
        return shakes.second + shakes.late > 0

    assert wait_for(noticed, seconds=30.0)
    loop.finish()


def test_deactivated_nodes_are_silent_and_the_car_stops(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path, ticks=160, controller={"plan_timeout_s": 0.3})
    plans = []

    def deactivate():
        loop.planner_node.trigger_deactivate()
        plans.append(len(loop.planner.frames))

    loop.at(40, deactivate).drive()
    assert len(loop.planner.frames) <= plans[0] + 1
    assert loop.world.state.ego.speed_mps == 0.0 and "plan_late" in loop.reasons


def test_a_planner_that_is_restarted_in_mid_drive_aims_ahead_and_drives_on(graph, monkeypatch, tmp_path):
    """83 % of the way done: a follower that began at the route's start would aim 150 m behind the car for ever."""
    loop = Loop(graph, monkeypatch, tmp_path, ticks=200, controller={"plan_timeout_s": 5.0})
    loop.world.state = scene_at(0, x=120.0, speed=5.0)
    restarted = []

    def restart():
        restarted.append((len(loop.planner.frames), loop.world.state.ego.pose.x))
        for step in ("deactivate", "cleanup", "configure", "activate"):
            getattr(loop.planner_node, f"trigger_{step}")()
        assert wait_for(lambda: loop.planner_node._inputs.ready), "the latched route came again"

    loop.at(80, restart).drive()
    (before, x), frames = restarted[0], loop.planner.frames
    assert len(frames) > before + 20 and all(0.0 <= frame.goal.target_point[0] <= 60.0 for frame in frames), \
        [frame.goal.target_point[0] for frame in frames]
    assert loop.world.state.ego.pose.x > x + 10.0 and "off_route" not in loop.reasons
