"""Simulated latency: hand-computed ticks, what --latency takes and refuses, and that late plans act late."""

from __future__ import annotations

import json
from itertools import cycle, islice, repeat
from types import SimpleNamespace

import numpy as np
import pytest
from support.plans import make_route

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation import one_route
from kd_planner_ros.evaluation.drives import ClosedLoopConfig, claim_folder
from kd_planner_ros.evaluation.latency import Latency, Turns, read_latency, settled, ticks_of

TICK_NS = 50_000_000


@pytest.mark.parametrize("ms, ticks", [(0, 0), (0.1, 1), (10, 1), (40, 1), (50, 1), (50.1, 2), (100, 2), (101, 3), (200, 4), (400, 8)])
def test_ticks_by_hand(ms, ticks):
    assert ticks_of(ms) == ticks


def looks(period, ticks, count=12):
    """(picture, tick from which its plan acts) of the first ``count`` ticks."""
    turns = Turns(period, iter(ticks))
    return [(tick, tick + delay) for tick in range(count) if (delay := turns.looks(tick)) is not None]


@pytest.mark.parametrize("period, ticks, wanted", [
    (2, repeat(0), [(0, 0), (2, 2), (4, 4), (6, 6), (8, 8), (10, 10)]),
    (2, repeat(1), [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)]),
    (2, repeat(2), [(0, 2), (2, 4), (4, 6), (6, 8), (8, 10), (10, 12)]),  # never waits: it is free as the next comes
    (2, repeat(3), [(0, 3), (2, 6), (6, 9), (8, 12)]),  # 2 waits until 3; 4 gives way to 6
    (2, repeat(8), [(0, 8), (8, 16)]),
    (10, repeat(6), [(0, 6), (10, 16)]),
    (1, cycle((1, 4)), [(0, 1), (1, 5), (5, 6), (6, 10), (10, 11), (11, 15)]),
])
def test_turns_by_hand(period, ticks, wanted):
    assert looks(period, ticks) == wanted


def test_a_busy_planner_is_never_asked_twice_at_once():
    """Property: random latencies; plans become ready in order, each after its own time, from the newest picture."""
    rng = np.random.default_rng(1)
    for _ in range(100):
        period, drawn = int(rng.integers(1, 8)), rng.integers(0, 12, 400).tolist()
        found, free = looks(period, drawn, 150), 0
        for (picture, acts), cost in zip(found, drawn):
            start = max(picture, free)
            assert acts == start + cost and picture % period == 0
            assert start - picture < period, "a newer picture was waiting"
            free = acts


def test_one_number_and_a_file(tmp_path):
    assert read_latency("0", "p") == Latency("none", (0.0,)) and "none" in str(read_latency("0", "p"))
    assert read_latency("100", "p").facts() == {"kind": "number", "ms": 100.0, "ticks": 2}
    assert read_latency("measured:12.5", "p").facts() == {"kind": "measured", "ms": 12.5, "ticks": 1}
    file = tmp_path / "slow.json"
    file.write_text(json.dumps({"planner": "p", "latency_ms": [10, 60.0, 110]}))
    found = read_latency(str(file), "p")
    assert found.facts() == {"kind": "file", "source": "slow.json", "plans": 3, "ms": 60.0, "ms_most": 110.0, "ticks": 2.0,
                             "ticks_most": 3}
    assert found.longest_s == pytest.approx(0.15) and "slow.json" in str(found)
    first = list(islice(found.ticks(0), 7))
    assert first == list(islice(found.ticks(0), 7)) and first[:3] * 2 + first[:1] == first
    assert {tuple(islice(found.ticks(seed), 3)) for seed in range(20)} == {(1, 2, 3), (2, 3, 1), (3, 1, 2)}


@pytest.mark.parametrize("content, names", [
    ({"planner": "other", "latency_ms": [1]}, ("'p'", "other")),
    ({"planner": "p", "latency_ms": []}, ("at least one number",)),
    ({"planner": "p", "latency_ms": [1, -2]}, ("from 0 to 10000",)),
    ({"planner": "p", "latency_ms": [1, "2"]}, ("number",)),
    ({"planner": "p", "latency_ms": [float("nan")]}, ("number",)),
    ({"planner": "p", "latency_ms": [True]}, ("number",)),
    ({"latency_ms": [1]}, ("planner", "correct the file")),
    ([1, 2], ("latency_ms",)),
    ("{", ("correct the file",)),
])
def test_a_bad_file_is_refused_in_one_line(tmp_path, content, names):
    file = tmp_path / "slow.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ConfigError) as refused:
        read_latency(str(file), "p")
    assert "\n" not in str(refused.value) and all(name in str(refused.value) for name in names), str(refused.value)


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "20000", "fast", "nothing/here.json"])
def test_a_bad_text_is_refused_in_one_line(text):
    with pytest.raises(ConfigError, match="--latency"):
        read_latency(text, "p")


def test_the_expert_has_no_latency():
    assert read_latency("0", "expert").kind == "none"
    with pytest.raises(ConfigError, match="expert"):
        read_latency("100", "expert")
    with pytest.raises(ConfigError, match="expert"):
        settled(ClosedLoopConfig("expert", "out", latency="measured"), None)


def test_measured_is_measured_once_a_folder(tmp_path, monkeypatch):
    numbers = iter((0.0171, 99.0))
    monkeypatch.setattr("kd_planner_ros.runtime.bench.bench_latency", lambda planner, n: {"p50_ms": next(numbers)})
    planner = SimpleNamespace(reset=lambda: None)
    config = ClosedLoopConfig("p", tmp_path, latency="measured")
    first = settled(config, planner)
    assert first.latency == "measured:0.017" and settled(ClosedLoopConfig("p", tmp_path), planner).latency == "0"
    claim_folder(first, "")
    assert settled(config, planner).latency == "measured:0.017"
    found = read_latency(first.latency, "p")
    assert "measured on this machine" in str(found) and found.facts()["ticks"] == 1, "less than a tick is a tick"


def test_another_latency_is_another_evaluation(tmp_path):
    claim_folder(ClosedLoopConfig("p", tmp_path, latency="100"), "")
    claim_folder(ClosedLoopConfig("p", tmp_path, latency="100", jobs=2), "")
    with pytest.raises(ConfigError, match="latency"):
        claim_folder(ClosedLoopConfig("p", tmp_path, latency="50"), "")


def test_a_changed_latency_file_is_another_evaluation(tmp_path):
    file = tmp_path / "slow.json"
    file.write_text("one")
    config = ClosedLoopConfig("p", tmp_path / "out", latency=str(file))
    claim_folder(config, "")
    file.write_text("two")
    with pytest.raises(ConfigError, match="latency_sha256"):
        claim_folder(config, "")


class Line:
    """A world of one straight road: the car has the speed that it is told, the pictures are the ticks' numbers."""

    def __init__(self, ticks):
        self.ticks, self.monitor = ticks, SimpleNamespace(events=(), result=lambda: {"x": self.x})

    def start(self, route, seed, weather):
        self.n, self.x, self.speed, self.controls, self.pictures = 0, 0.0, 4.0, [], []
        return self._scene()

    def _scene(self):
        return SimpleNamespace(stamp_ns=self.n * TICK_NS, ego=EgoState(self.n * TICK_NS, Pose(x=self.x), self.speed))

    @property
    def done(self):
        return self.n >= self.ticks

    def sense(self):
        self.pictures.append(self.n)
        return SimpleNamespace(images={}, frame=lambda rig, ego, goal, frames: SimpleNamespace(
            stamp_ns=ego.stamp_ns, ego=ego, goal=goal, ages_s={}))

    def tick(self, control):
        self.controls.append(control)
        self.speed = max(0.0, self.speed + (3.0 * control.throttle - 8.0 * control.brake) * 0.05)
        self.x, self.n = self.x + self.speed * 0.05, self.n + 1
        return self._scene()


class Planner:
    """Steers to the left from the picture of tick 40 on."""

    name, rig, rate_hz = "p", SensorRig(), 10.0

    def reset(self):
        pass

    def plan(self, frame):
        times = 0.5 * np.arange(1, 5)
        bend = 1.0 if frame.stamp_ns >= 40 * TICK_NS else 0.0
        points = np.stack([4.0 * times, bend * times], 1)
        goal = NavigationGoal(np.array([30.0, 0.0]), Command.LANE_FOLLOW)
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, times), goal, Control(0, 0.3, 0.6 * bend, 0.0))


def drive(ms, ticks=100, roll_forward=True):
    route = make_route((0, 0), (99, 0))
    found = read_latency(str(ms), "p")
    world, planner = Line(ticks), Planner()
    side = one_route.PlannerSide(planner, route, found, roll_forward)
    one_route.drive(world, side, route, 0, None)
    return world


@pytest.mark.parametrize("ms, ticks", [(0, 0), (10, 1), (100, 2), (200, 4), (400, 8)])
def test_a_late_plan_acts_later(ms, ticks):
    world = drive(ms)
    turned = next(index for index, control in enumerate(world.controls) if control.steer > 0.1)
    assert turned == 40 + ticks
    assert {control.reason for control in world.controls[ticks:]} == {""}
    assert {control.reason for control in world.controls[:ticks]} <= {"no_plan"}
    assert world.pictures == list(range(0, 100, 2 if ticks <= 2 else ticks))


def test_the_same_latency_gives_the_same_drive_and_equal_ticks_are_equal():
    assert drive(10).controls == drive(40).controls == drive(50).controls
    assert drive(130).controls == drive(130).controls != drive(0).controls


def test_without_rolling_the_controls_of_each_plans_own_tick_are_the_same():
    """Only the ticks between two pictures differ where a plan is rolled forward, and by little on a straight road."""
    rolled, held = drive(0, 30), drive(0, 30, roll_forward=False)
    assert rolled.controls[0] == held.controls[0]
    assert max(abs(a.steer - b.steer) for a, b in zip(rolled.controls, held.controls)) < 1e-9
