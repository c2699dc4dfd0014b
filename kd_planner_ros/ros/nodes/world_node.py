"""The built-in world as a node: it stands where CARLA and its ROS bridge stand. Wiring and the lock-step loop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from rclpy.node import Node

from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.ros.carla_objects import read_objects
from kd_planner_ros.ros.clock import require_only_clock
from kd_planner_ros.ros.diagnostics import OK, WARN, Health
from kd_planner_ros.ros.handshake import Handshake
from kd_planner_ros.ros.lifecycle import guarded, leave, run
from kd_planner_ros.ros.params import declare
from kd_planner_ros.ros.ports.readiness import Readiness
from kd_planner_ros.ros.ports.recorder import Recorder
from kd_planner_ros.ros.ports.world_outputs import WorldOutputs
from kd_planner_ros.ros.profiles import make_adapter
from kd_planner_ros.ros.qos import COMMAND, subscribe
from kd_planner_ros.ros.specs.world import WorldParams
from kd_planner_ros.ros.stages import Stages
from kd_planner_ros.ros.stamps import CLOCK_START_NS
from kd_planner_ros.ros.world_setup import begin_sentence, end_sentence, loading_sentence, make_world

TICK_S, SPIN_S, LAST_SPINS, LAST_SPIN_S = 0.05, 0.2, 10, 0.02


class WorldNode(Node):
    """Ticks the world: publish everything of a tick, wait for one control, apply it in the next tick."""

    def __init__(self, **options: Any) -> None:
        super().__init__("world", **options)
        self.params = p = declare(self, WorldParams)
        self.adapter = make_adapter(p.carla_profile, p.role_name, p.carla_version)
        self._scene, self._first_s, self._ticks = None, time.monotonic(), 0
        self.health = Health(self, self._values, lambda: self._scene and self._scene.stamp_ns + CLOCK_START_NS)
        self._rig = read_objects(Path(p.objects_definition_file), p.role_name) if p.objects_definition_file else SensorRig()
        self._world, self._recorder, self._stages = None, None, Stages()
        self._handshake, self._outputs = Handshake(self.get_logger().warning), WorldOutputs(self, self.adapter, self._rig)
        self._control = subscribe(self, self.adapter.control_type, "control", self._guard(self._take_control, "control"), COMMAND)
        self._readiness = Readiness(self, self.health, {"status": "agent", **({"perception_ready": "perceiver"} if p.await_perception
                                                                               else {})}, self._guard)
        self.health.set("state", WARN, loading_sentence(p))

    def _guard(self, work: Any, name: str) -> Any:
        return guarded(self.health, work, name=name)

    def _take_control(self, message: Any) -> None:
        self._handshake.take(self.adapter.control_from_msg(message))

    def run(self, executor: Any, stop: Any) -> int:
        """Drive one route. Gives back the exit status."""
        self._world, route, scene, weather = make_world(self.params, self._rig)
        require_only_clock(self)  # before an earlier run in the same folder is replaced
        if self.params.run_dir:
            self._recorder = Recorder(self, self.params, self._rig, route, weather, self._world.road, self._guard)
        self._outputs.begin(route, self._world.road.stations)
        sensed = self._world.sense()  # the first picture builds the renderer, which takes a while
        self._readiness.wait(executor, stop, self.params.ready_timeout_s)
        self.health.set("state", OK, begin_sentence(self.params))
        require_only_clock(self)
        self._first_s = time.monotonic()
        last_tick = round(self.params.max_time_s / TICK_S) or float("inf")
        while not (stop.requested or self._world.done or self._ticks >= last_tick):
            scene = self._tick(executor, stop, scene, sensed)
            sensed = self._stages.timed("sense", self._world.sense)
        self._finish(executor)
        return 0

    def _tick(self, executor: Any, stop: Any, scene: SceneState, sensed: Any) -> SceneState:
        self._scene = scene
        self._handshake.open(scene.stamp_ns + CLOCK_START_NS)
        self._stages.timed("publish", self._outputs.tick, scene, sensed)
        if self._recorder is not None:
            self._recorder.picture(scene.stamp_ns, sensed.images)
        self._stages.timed("wait", self._await_control, executor, stop)
        if self._recorder is not None:
            self._recorder.tick(scene, self._handshake.control)
        self._ticks += 1
        before = len(self._world.monitor.events)
        scene = self._stages.timed("simulate", self._world.tick, self._handshake.control)
        if self._recorder is not None:
            self._recorder.events(self._world.monitor.events[before:])
        return scene

    def _await_control(self, executor: Any, stop: Any) -> None:
        p = self.params
        waits = p.synchronous_mode_wait_for_vehicle_control_command
        until_s = time.monotonic() + p.control_timeout_s if waits else self._first_s + self._ticks * TICK_S
        while not (waits and self._handshake.answered) and not stop.requested:
            left_s = until_s - time.monotonic()
            if left_s <= 0.0:
                break
            # Always the same timeout: with another one the executor begins its round of ready callbacks anew.
            executor.spin_once(timeout_sec=SPIN_S if waits else min(left_s, SPIN_S))
        if waits and not self._handshake.answered and not stop.requested:
            self._handshake.give_up(p.control_timeout_s)

    def _finish(self, executor: Any) -> None:
        facts = self._world.monitor.result()
        self.health.set("state", OK, end_sentence(self.params, facts))
        self.health.publish()
        for _ in range(LAST_SPINS):  # for the last diagnostics to leave, and the last plan to come
            executor.spin_once(timeout_sec=LAST_SPIN_S)
        if self._recorder is not None:
            self._recorder.finish(facts, self._world.scenario_facts)

    def _values(self) -> dict[str, Any]:
        wall_s = max(time.monotonic() - self._first_s, 1e-6)
        shakes = self._handshake
        values = {"map": self.params.map, "ticks": self._ticks, "sim time s": round(self._ticks * TICK_S, 2),
                  "sim / wall": round(self._ticks * TICK_S / wall_s, 3), **shakes.values(),
                  **self._stages.values(self._ticks), **self.adapter.notes(), **(self._recorder.values() if self._recorder else {})}
        if self._scene is not None:
            monitor = self._world.monitor
            values |= {"speed m/s": round(self._scene.ego.speed_mps, 2), "completion": round(monitor.completion, 4),
                       "infractions": len(monitor.events), "route status": monitor.status}
        return values

    def close(self) -> None:
        """End the world."""
        if self._world is not None:
            self._world.close()
            self._world = None


def main() -> None:
    """Run the world node as a process."""
    leave(run(WorldNode))


if __name__ == "__main__":
    main()
