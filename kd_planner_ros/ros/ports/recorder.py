"""Writes the run folder of one drive out of the world node: what the world knows, and the plans it overhears."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import Image, JointState
from std_msgs.msg import String

from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState, Weather
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation.one_route import wanted_speed
from kd_planner_ros.evaluation.run_folder import RunInfo, RunWriter
from kd_planner_ros.evaluation.score import route_record, statistics
from kd_planner_ros.ros.ports.plan_ports import PlanSubscription
from kd_planner_ros.ros.ports.world_outputs import CLOCK_START_NS
from kd_planner_ros.ros.qos import COMMAND, LATCHED, subscribe
from kd_planner_ros.ros.specs.world import WorldParams
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.wire.codec.plans import attention_of


class Recorder:
    """Everything the report needs, row by row, so that a killed drive can still be read."""

    def __init__(self, node: Any, params: WorldParams, rig: SensorRig, route: Route, weather: Weather,
                 road: RoadMap | None, guard: Any):
        facts = json.loads(params.planner_facts)
        self._camera = rig.cameras[0] if rig.cameras else None
        self._seed, self._rig = params.seed, rig
        self._reason, self._target_mps, self._row = "", None, None
        self._reason_in_control = node.adapter.control_type is JointState
        self._waiting: list[Plan] = []
        self._attention: dict[int, np.ndarray] = {}
        info = RunInfo(params.planner_name, route, weather, params.seed, self._camera, facts.pop("card", {}),
                       {**facts, "vehicles": params.vehicles, "walkers": params.walkers, "map": params.map})
        self._writer = RunWriter(Path(params.run_dir), info, road=road)
        self._ports = [PlanSubscription(node, guard, self._take_plan, lambda stamp_ns, error: None),
                       subscribe(node, Image, "attention", guard(self._take_attention, "attention"), COMMAND),
                       subscribe(node, String, "control_reason", guard(self._take_reason, "control_reason"), LATCHED)]

    def _take_attention(self, message: Image) -> None:
        self._attention[from_stamp(message.header.stamp)] = attention_of(message)

    def _take_reason(self, message: String) -> None:
        self._reason = message.data

    def _take_plan(self, plan: Plan) -> None:
        self._waiting.append(plan)  # its attention is a message of its own and may come after it

    def _write_plans(self, up_to_ns: int) -> None:
        while self._waiting and self._waiting[0].stamp_ns - CLOCK_START_NS <= up_to_ns:
            plan = self._waiting.pop(0)
            attention = self._attention.pop(plan.stamp_ns, None)
            self._target_mps = wanted_speed(plan)
            self._writer.plan(replace(plan, stamp_ns=plan.stamp_ns - CLOCK_START_NS, attention=attention))

    def picture(self, stamp_ns: int, images: Mapping[str, Any]) -> None:
        """Keep the first camera's picture, if it was taken in this tick."""
        if self._camera is not None and self._camera.id in images:
            self._writer.frame(stamp_ns, images[self._camera.id].rgb)

    def tick(self, scene: SceneState, control: Control) -> None:
        """One row: the state before the tick and the control it is answered with. It is written one tick later, when
        the plan that led to it has come in by every way."""
        self._flush()
        known = control.reason or self._reason_in_control
        self._row = (scene, control if known else replace(control, reason=self._reason))

    def _flush(self) -> None:
        if self._row is None:
            return
        scene, control = self._row
        self._write_plans(scene.stamp_ns)
        self._writer.tick(scene.ego, control, self._target_mps)
        self._row = None

    def events(self, found: Any) -> None:
        """The infractions of one tick."""
        for event in found:
            self._writer.event(event.stamp_ns, event.kind.value, event.x, event.y, event.message)

    def finish(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Write the statistics of what was driven and close the folder. They hold no wall time: two runs of one seed in
        lock-step give the same file."""
        sensors = [*(f"{spec.id}: camera" for spec in self._rig.cameras),
                   *(f"{spec.id}: lidar" for spec in self._rig.lidars)]
        self._flush()
        result = statistics([route_record(facts, seed=self._seed)], 1, sensors)
        self._writer.finish(result)
        return result
