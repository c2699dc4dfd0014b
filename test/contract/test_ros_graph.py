"""The graph in lock-step with real nodes, real DDS and a fake world."""

import threading

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from conftest import wait_for
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.driving.driver import Driver
from kd_planner_ros.core.records import Frame
from kd_planner_ros.ros.carla_objects import write_objects
from kd_planner_ros.ros.lifecycle import StopFlag, autostart
from kd_planner_ros.ros.nodes import controller_node, planner_node, world_node
from ros_fakes import CAMERA, LIDAR, FakePlanner, FakeWorld, straight_route


class Loop:
    """World, planner and controller nodes around a FakeWorld and a FakePlanner."""

    def __init__(self, graph, monkeypatch, tmp_path, rig=SensorRig((CAMERA,)), ticks=60, **parameters):
        import rclpy.executors

        self.graph, self.planner, self.world = graph, FakePlanner(rig), FakeWorld(rig, ticks)
        monkeypatch.setattr(planner_node, "load", lambda *a, **k: self.planner)
        monkeypatch.setattr(world_node, "make_world", lambda params, rig: (
            self.world, straight_route(), self.world.state, Weather()))
        write_objects(tmp_path / "sensors.json", rig, "ego_vehicle")
        timed = {"use_sim_time": True}
        self.planner_node = graph.start(planner_node.PlannerNode, timed)
        self.controller_node = graph.start(controller_node.ControllerNode, {**timed, **parameters.pop("controller", {})})
        self.world_node = graph.start(world_node.WorldNode, {
            "objects_definition_file": str(tmp_path / "sensors.json"), "run_dir": str(tmp_path / "run"),
            "planner_name": "fake", **parameters})
        for node in (self.planner_node, self.controller_node):
            assert autostart(node)
            graph.spin_in_thread(node)
        self.stop, self.status = StopFlag(), None
        self._executor = rclpy.executors.SingleThreadedExecutor(context=graph.context)
        self._executor.add_node(self.world_node)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        self.status = self.world_node.run(self._executor, self.stop)

    def drive(self, seconds=30.0):
        self._thread.start()
        self._thread.join(seconds)
        alive = self._thread.is_alive()
        self.stop.requested = True
        self._thread.join(5.0)
        self.world_node.close()
        self._executor.shutdown()
        self.world_node.destroy_node()
        assert not alive, self.world_node.health.worst
        return self


def test_the_graph_gives_the_same_controls_as_the_driver(graph, monkeypatch, tmp_path):
    loop = Loop(graph, monkeypatch, tmp_path).drive()
    assert loop.status == 0
    direct_world, direct = FakeWorld(SensorRig((CAMERA,)), 60), FakePlanner()
    driver = Driver(direct, straight_route())
    while not direct_world.done:
        scene, sensed = direct_world.state, direct_world.sense()
        goal = driver.goal(scene.ego)
        frame = Frame(scene.stamp_ns, scene.ego, goal, {"front": sensed.images["front"].rgb}) if sensed.images else None
        direct_world.tick(driver.step(frame, scene.ego)[0])
    assert len(loop.planner.frames) == len(direct.frames) == 30
    for ours, theirs in zip(loop.world.controls, direct_world.controls, strict=True):
        assert (ours.throttle, ours.steer, ours.brake) == (theirs.throttle, theirs.steer, theirs.brake)
    assert loop.world.state.ego.speed_mps > 2.0
