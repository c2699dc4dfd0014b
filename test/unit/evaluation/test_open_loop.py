"""Open-loop evaluation of a recording, from the bag to the figures."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support.bags import HEIGHT, RIG, SPEED, WIDTH, write_bag
from support.networks import write_card
from support.plans import straight, users

from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.source import find_sources
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.cli import main as cli
from kd_planner_ros.core.errors import BagError, PlannerError, SensorError
from kd_planner_ros.core.records import Frame, Plan, Trajectory
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.evaluation import open_loop
from kd_planner_ros.evaluation.metrics import score_plans
from kd_planner_ros.evaluation.open_loop import OpenLoopConfig
from kd_planner_ros.evaluation.recorded_drives import by_drive
from kd_planner_ros.networks.planner import Planner

TIMES = np.array([0.5, 1.0, 1.5, 2.0])


class _Arc(Planner):
    """Knows the recorded arc, and errs to the left by ``offset_m``."""

    name, rig, rate_hz = "arc", RIG, 2.0

    def __init__(self, rate: float, offset_m: float = 0.0):
        self.rate, self.offset_m, self.resets = rate, offset_m, 0

    def reset(self) -> None:
        self.resets += 1

    def plan(self, frame: Frame) -> Plan:
        angle = self.rate * TIMES
        points = SPEED / self.rate * np.column_stack([np.sin(angle), 1 - np.cos(angle)]) + (0.0, self.offset_m)
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, TIMES), frame.goal)


class _Looking(_Arc):
    """Knows it only while it sees."""

    def plan(self, frame: Frame) -> Plan:
        assert frame.images["front"].shape == (HEIGHT, WIDTH, 3) and frame.ages_s == {"front": 0.0}
        return super().plan(frame)


@pytest.mark.parametrize("offset_m", [0.0, 0.75])
def test_the_known_way_is_off_by_what_it_is_off(tmp_path, offset_m):
    recording, planner = open_bag(write_bag(tmp_path / "b", rate=0.2)), _Arc(0.2, offset_m)
    plans, steers, actors = open_loop.plan_along(planner, recording, recording.samples())
    score = score_plans([plan.trajectory for plan in plans], steers, open_loop.recorded(recording, actors))
    assert planner.resets == 1 and score["plans"] == 16 and score["unmatched"] == 0
    assert list(score["l2_m"].values()) == pytest.approx([offset_m] * 4, abs=2e-3)
    assert score["counted"] == {"0.5": [15, 15], "1": [14, 14], "1.5": [13, 13], "2": [12, 12]}


class Slow(Planner):
    """Half a metre a second; finds a car 5.8 m ahead, 4 m long, which the built-in car's front stays 0.3 m away from."""

    name, rig, rate_hz = "slow", RIG, 2.0

    def reset(self) -> None:
        pass

    def plan(self, frame: Frame) -> Plan:
        way = straight(0.5)
        return replace(way, stamp_ns=frame.stamp_ns, trajectory=replace(way.trajectory, stamp_ns=frame.stamp_ns), scores=np.ones(1),
                       candidates=way.trajectory.points[None], detections=users((5.8, 0.0, 0.0, 0.0)))


def test_the_supervisor_counts_with_the_recorded_cars_box(tmp_path, monkeypatch):
    def refused(name: str, **notes: str) -> int:
        monkeypatch.setattr("support.bags.BagWriter", lambda path, rig, own, **more: BagWriter(path, rig, own | notes, **more))
        with open_bag(write_bag(tmp_path / name, rate=0.0, labels=False, actors=lambda tick: np.zeros(0, ACTOR_DTYPE))) as recording:
            return open_loop._score_one(recording, Slow())["refused"]

    assert refused("world") == 0 and refused("nuscenes", ego_box="4.084 1.85 1.44") == 16


def test_the_steering_is_compared_with_the_experts_wish_not_with_the_disturbed_one(tmp_path):
    recording = open_bag(write_bag(tmp_path / "b", rate=0.2, disturbed=(0, 100)))
    assert open_loop.recorded(recording, []).steers == pytest.approx(np.full(160, 0.1))


def test_run_over_a_folder_of_recordings(tmp_path):
    for seed in range(2):
        write_bag(tmp_path / f"b{seed}", rate=0.2, seed=seed, seconds=6.0)
    result = open_loop.run(OpenLoopConfig(tmp_path), progress=False)
    assert result["planner"] == "constant_velocity" and result["bags"] == 2 and result["plans"] == 24
    assert result["l2_m"]["2"] > result["l2_m"]["0.5"] > 0.0 and 0.0 < result["steer_mae"] < 1.0
    assert result["counted"]["2"][0] == 16


class _Bright(_Arc):
    """Made for the bright pictures of another camera."""

    def plan(self, frame: Frame) -> Plan:
        if frame.images["front"].mean() < 150.0:
            raise SensorError("a bright picture", "a dark one", "take another camera")
        return super().plan(frame)


def test_each_planner_gets_the_recording_of_a_drive_that_has_its_sensors(tmp_path, monkeypatch, capsys):
    """Three recordings of one drive: the last two have bright pictures."""
    write_bag(tmp_path / "a", rate=0.2, seconds=4.0, every=20)
    monkeypatch.setattr("support.bags.picture", lambda rate, rng: np.full((HEIGHT, WIDTH, 3), 200, np.uint8))
    for name, every in (("b", 10), ("c", 20)):
        write_bag(tmp_path / name, rate=0.2, seconds=4.0, every=every)
    for kind, plans in ((_Arc, 4), (_Bright, 8)):
        monkeypatch.setattr("kd_planner_ros.runtime.load.load_planner", lambda *words, kind=kind: kind(0.2, 0.75))
        result = open_loop.run(OpenLoopConfig(tmp_path), progress=False)
        assert (result["bags"], result["same_drive"], result["plans"]) == (1, 2, plans)
        assert result["l2_m"]["1"] == pytest.approx(0.75, abs=2e-3)
    assert cli.main(["evaluate", "open-loop", "--bag", str(tmp_path)]) == 0
    assert "2 recordings show a drive that another one shows too" in capsys.readouterr().out


def test_a_drive_without_a_recording_of_the_sensors_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_planner", lambda *words: _Bright(0.2))
    for name in "ab":
        write_bag(tmp_path / name, rate=0.2, seconds=2.0)
    with pytest.raises(BagError, match="with the sensors of 'arc'; got none of 2: expected a bright picture"):
        open_loop.run(OpenLoopConfig(tmp_path), progress=False)


def test_drives_of_one_name_on_other_ways_are_two(tmp_path):
    sources = find_sources([write_bag(tmp_path / name, rate=rate, seconds=2.0) for name, rate in (("a", 0.2), ("b", 0.21), ("c", -0.9))])
    assert by_drive(sources) == [sources[:2], sources[2:]], "1 m apart at most"


def test_the_only_camera_may_have_another_name(tmp_path):
    write_bag(tmp_path / "same" / "b", seconds=4.0)
    write_bag(tmp_path / "other" / "b", seconds=4.0, camera="rgb_front")
    own, other = (open_loop._score_one(open_bag(tmp_path / name / "b"), _Looking(0.2)) for name in ("same", "other"))
    np.testing.assert_array_equal(own.pop("nuscenes").errors, other.pop("nuscenes").errors)
    assert own.pop("detected") == other.pop("detected")
    assert own == other and own["plans"] == 8


def test_merging_weighs_by_the_plans_behind_each_figure():
    def part(value, count):
        return {"plans": count, "unmatched": 0, "refused": 1, "incomplete": 0, "counted": {"1": [count, 0]},
                "l2_m": {"1": value}, "collision_rate": {"1": None}, "steered": count, "steer_mae": value, "min_ade_m": value,
                "min_ade_plans": count}

    merged = open_loop.merge([part(1.0, 3), part(5.0, 1), part(None, 0)])
    assert merged["l2_m"]["1"] == merged["min_ade_m"] == 2.0 and merged["min_ade_plans"] == 4
    assert merged["l2_mean_m"] == 2.0 and merged["steer_mae"] == 2.0
    assert merged["collision_rate"]["1"] is None and merged["refused"] == 3 and merged["plans"] == 4


class _Several(_Arc):
    """Six steps of half a second, and three candidates: the arc, and one on each side of it."""

    def plan(self, frame: Frame) -> Plan:
        times = np.arange(1, 7) * 0.5
        points = SPEED / self.rate * np.column_stack([np.sin(self.rate * times), 1 - np.cos(self.rate * times)])
        candidates = np.stack([points + (0.0, aside) for aside in (2.0, 0.5, -3.0)])
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, candidates[0], times), frame.goal, candidates=candidates)


def test_horizons_and_candidates_are_scored_as_far_as_they_reach(tmp_path):
    recording = open_bag(write_bag(tmp_path / "b", rate=0.2))
    score = open_loop._score_one(recording, _Several(0.2), (0.25, 3.0, 4.0))
    assert score["l2_m"]["3"] == pytest.approx(2.0, abs=5e-3) and score["l2_m"]["4"] is None
    assert score["counted"] == {"0.25": [16, 0], "3": [10, 10], "4": [0, 0]}
    assert score["min_ade_m"] == pytest.approx(0.5, abs=5e-3) and score["min_ade_plans"] == 15  # none is known after the last
    assert open_loop._score_one(recording, _Arc(0.2))["min_ade_m"] is None


def test_horizons_are_read_from_one_word_and_refused_in_one_line(tmp_path, capsys):
    from kd_planner_ros.cli.main import main

    write_bag(tmp_path / "b", seconds=4.0)
    words = ["evaluate", "open-loop", "--bag", str(tmp_path / "b"), "--json", "--horizons"]
    assert main([*words, "0.5,1.75"]) == 0
    assert list(json.loads(capsys.readouterr().out.splitlines()[-1])["l2_m"]) == ["0.5", "1.75"]
    for wrong in ("1,0.5", "0,1", "soon", "nan"):
        assert main([*words, wrong]) == 2 and "--horizons" in capsys.readouterr().err


def test_bad_input_is_named(tmp_path):
    with pytest.raises(BagError):
        open_loop.run(OpenLoopConfig(tmp_path / "none"), progress=False)
    write_bag(tmp_path / "b", seconds=3.0)
    with pytest.raises(PlannerError):
        open_loop.run(OpenLoopConfig(tmp_path / "b", planner="nobody"), progress=False)
    write_bag(tmp_path / "c", seconds=3.0, leave_out="camera")
    with pytest.raises(BagError, match="image"):
        open_loop.run(OpenLoopConfig(tmp_path / "c"), progress=False)


def test_the_nuscenes_figures_stand_beside_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_planner", lambda *words: _Arc(0.2, 0.75))
    write_bag(tmp_path / "b", rate=0.2)
    found = open_loop.run(OpenLoopConfig(tmp_path), progress=False)["nuscenes"]
    assert found["vad"]["l2_m"] == pytest.approx({"1": 0.75, "2": 0.75, "3": None, "avg": None}, abs=2e-3, nan_ok=False)
    assert found["plans"] == {"1": 10, "2": 10, "3": 0} and found["skipped"] == 6


def test_figures_on_the_map_of_the_training_say_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("kd_planner_ros.runtime.load.load_planner", lambda *words: _Arc(0.2))
    write_bag(tmp_path / "b", rate=0.2, seconds=4.0)
    for name, towns in (("leaked", ["Town03", "Town01"]), ("held", ["Town03"])):
        place = write_card(tmp_path / "models" / name, maps=towns)
        assert cli.main(["evaluate", "open-loop", "--bag", str(tmp_path / "b"), "--planner", str(place), "--json"]) == 0
        *shown, figures = capsys.readouterr().out.splitlines()
        assert json.loads(figures)["trained_on"] == ["Town01"] * (name == "leaked")
        assert any("was trained on Town01, as these recordings" in line for line in shown) == (name == "leaked")
