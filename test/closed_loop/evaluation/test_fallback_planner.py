"""A planner that dies in the built-in world: its fallback planner drives, then a comfortable stop, then the safe stop."""

from __future__ import annotations

import json
from itertools import groupby

import numpy as np
import pytest

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig
from kd_planner_ros.driving.supervisor import Reason
from kd_planner_ros.evaluation import closed_loop, one_route, worker
from kd_planner_ros.evaluation.drives import ClosedLoopConfig
from kd_planner_ros.evaluation.run_folder import read_run
from kd_planner_ros.world import events

DIES_S, SLOWER_DIES_S = 4.0, 8.0


class Ahead:
    """Four seconds along the route's direction at 5 m/s, until it dies."""

    role, rig, card = "planner", SensorRig(), None

    def __init__(self, name, rate_hz, dies_s):
        self.name, self.rate_hz, self._dies_ns = name, rate_hz, dies_s * 1e9

    def reset(self):
        pass

    def plan(self, frame):
        if frame.stamp_ns >= self._dies_ns:
            raise RuntimeError("out of memory")
        times = 0.5 * np.arange(1, 9)
        way = np.asarray(frame.goal.target_point) / max(1.0, np.hypot(*frame.goal.target_point))
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, 5.0 * times[:, None] * way, times), frame.goal)


@pytest.fixture
def planners(monkeypatch):
    monkeypatch.setattr(worker.Setup, "_load_planner", lambda self, name: {
        "main": Ahead("main", 10.0, DIES_S), "slow": Ahead("slow", 2.0, SLOWER_DIES_S)}[name])
    monkeypatch.setattr(events, "TIMEOUT_S_PER_M", 0.0)
    monkeypatch.setattr(events, "TIMEOUT_BASE_S", 14.0)


def config(out, **more):
    return ClosedLoopConfig("main", out, routes_count=1, route_seed=7, vehicles=0, walkers=0, scenarios=False, **more)


def reasons(out):
    """(reason, first stamp in s, ticks) of each stretch of the drive."""
    table = read_run(next(out.glob("seed_0/*/run.json")).parent).telemetry
    rows = zip(table["reason"], table["stamp_s"], strict=True)
    return [(name, stretch[0][1], len(stretch)) for name, stretch in
            ((name, list(rows)) for name, rows in groupby(rows, key=lambda row: row[0]))], table


def test_the_chain_in_its_order_when_both_planners_die(planners, tmp_path):
    """The last slower plan is of 7.5 s and begins to act at 7.8 s; its age limit is 2.5 periods and two latencies: 1.85 s, 9.35 s."""
    summary = closed_loop.run(config(tmp_path, fallback_planner="slow", fallback_latency="300"), progress=False)
    found, table = reasons(tmp_path)
    order = [name for name, _, _ in found if name != Reason.LIMITED]
    last = [index for index, name in enumerate(order) if name == Reason.LAST_PLAN][0]
    assert order[last:] == [Reason.LAST_PLAN, Reason.SLOWER_PLAN, Reason.COMFORTABLE_STOP, Reason.PLANNER_FAILED]
    starts = {name: start for name, start, _ in found}
    assert starts[Reason.LAST_PLAN] == pytest.approx(DIES_S)
    assert starts[Reason.SLOWER_PLAN] == pytest.approx(3.9 + 0.55), "its own plan of 3.9 s is fresh until 0.5 s"
    assert starts[Reason.COMFORTABLE_STOP] == pytest.approx(7.5 + 1.85 + 0.05)
    driving = (table["stamp_s"] > 5.0) & (table["stamp_s"] < 9.0)
    assert table["speed_mps"][driving].min() > 2.0 and table["speed_mps"][-1] == pytest.approx(0.0, abs=0.05)
    record = json.loads((tmp_path / "statistics.json").read_text())["_checkpoint"]["records"][0]
    assert record["meta"]["fallback"] == summary["fallback"] == {"planner": "slow", "latency": {"kind": "number", "ms": 300.0, "ticks": 6}}


def test_without_a_fallback_planner_the_car_stops(planners, tmp_path):
    closed_loop.run(config(tmp_path), progress=False)
    names = [name for name, _, _ in reasons(tmp_path)[0]]
    assert Reason.SLOWER_PLAN not in names and names[-3:] == [Reason.LAST_PLAN, Reason.COMFORTABLE_STOP, Reason.PLANNER_FAILED]


@pytest.mark.parametrize("more, words", [
    ({"fallback_latency": "100"}, "--fallback-planner beside --fallback-latency"),
    ({"planner": "expert", "fallback_planner": "slow"}, "got expert and slow"),
    ({"fallback_planner": "slow", "fallback_latency": "soon"}, "got 'soon', and no such file")])
def test_what_cannot_stand_by_is_refused(planners, tmp_path, more, words):
    from dataclasses import replace

    with pytest.raises(ConfigError, match=words):
        closed_loop.run(replace(config(tmp_path / "out"), **more), progress=False)


def test_the_world_carries_the_sensors_of_both():
    front = CameraSpec("front", Pose(z=2.0), 32, 16, 90.0)
    both = one_route.mounted(SensorRig((front,)), False, SensorRig(roadside=RoadsideWish(2)))
    assert both.cameras == (front,) and both.roadside == RoadsideWish(2)
    with pytest.raises(ConfigError, match="camera 'front' for planner and fallback planner"):
        one_route.mounted(SensorRig((front,)), False, SensorRig((CameraSpec("front", Pose(), 32, 16, 90.0),)))


def test_a_fallback_that_is_the_planner_itself_is_told(monkeypatch, tmp_path, told):
    from kd_planner_ros.cli.main import main

    def stop(*words, **more):
        raise ConfigError("nothing", "a drive", "end here")

    monkeypatch.setattr(closed_loop, "run", stop)
    words = ["evaluate", "closed-loop", "--planner", "constant_velocity", "--fallback-planner", "constant_velocity", "--out", str(tmp_path)]
    assert main(words) == 2
    assert any("the fallback planner is the planner itself, 'constant_velocity'" in one for one in told())
