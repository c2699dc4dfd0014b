"""Writes the run folder of one drive out of the world node: what the world knows, and the plans it overhears."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sensor_msgs.msg import JointState
from std_msgs.msg import String

from kd_planner_ros.core.records import Control
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState, Weather
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation.one_route import wanted_speed
from kd_planner_ros.evaluation.run_folder import RunInfo, RunWriter
from kd_planner_ros.evaluation.score import route_record, statistics
from kd_planner_ros.ros.ports.plan_ports import PlanSubscription
from kd_planner_ros.ros.qos import LATCHED, subscribe
from kd_planner_ros.ros.specs.world import WorldParams
from kd_planner_ros.ros.stamps import CLOCK_START_NS

PART_WAIT_NS = 500_000_000
"""So long, by the world's clock, a plan waits for its parts before it is written without them: in lock-step the control comes back when the
controller has all of them, and the recorder, which has its own subscriptions, may not."""


class Recorder:
    """Everything the report needs, row by row, so that a killed drive can still be read."""

    def __init__(self, node: Any, params: WorldParams, rig: SensorRig, route: Route, weather: Weather,
                 road: RoadMap | None, guard: Any):
        self._camera = rig.cameras[0] if rig.cameras else None
        self._seed, self._rig = params.seed, rig
        self._reason, self._target_mps, self._row = "", None, None
        self._reason_in_control = node.adapter.control_type is JointState
        facts = {"device": params.planner_device, "engine": params.planner_engine, "vehicles": params.vehicles,
                 "walkers": params.walkers, "map": params.map}
        if params.planner_folder:
            facts["model"] = params.planner_folder
        if params.perceiver:
            facts["perceiver"] = params.perceiver
        info = RunInfo(params.planner_name, route, weather, params.seed, self._camera, facts=facts)
        self._writer = RunWriter(Path(params.run_dir), info, road=road)
        self._plans = PlanSubscription(node, guard, None, lambda stamp_ns, error: None, attention=True)
        self._reasons = subscribe(node, String, "control_reason", guard(self._take_reason, "control_reason"), LATCHED)

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics."""
        return {"plans written without a part": self._plans.incomplete}

    def _take_reason(self, message: String) -> None:
        self._reason = message.data

    def _write_plans(self, up_to_ns: int, wait_ns: int = PART_WAIT_NS) -> None:
        for plan in self._plans.take(up_to_ns + CLOCK_START_NS, wait_ns):
            self._target_mps = wanted_speed(plan)
            self._writer.plan(replace(plan, stamp_ns=plan.stamp_ns - CLOCK_START_NS))

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

    def _flush(self, wait_ns: int = PART_WAIT_NS) -> None:
        if self._row is None:
            return
        scene, control = self._row
        self._write_plans(scene.stamp_ns, wait_ns)
        self._writer.tick(scene.ego, control, self._target_mps)
        self._row = None

    def events(self, found: Any) -> None:
        """The infractions of one tick."""
        for event in found:
            self._writer.event(event.stamp_ns, event.kind.value, event.x, event.y, event.message)

    def finish(self, facts: Mapping[str, Any], scenarios: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
        """Write the statistics of what was driven and close the folder. They hold no wall time: two runs of one seed in
        lock-step give the same file. ``scenarios``: what became of those of the route's file."""
        sensors = [*(f"{spec.id}: camera" for spec in self._rig.cameras),
                   *(f"{spec.id}: lidar" for spec in self._rig.lidars)]
        self._flush(0)
        result = statistics([route_record(facts, seed=self._seed, notes={"scenarios": [*scenarios]} if scenarios else None)], 1, sensors)
        self._writer.finish(result)
        return result
