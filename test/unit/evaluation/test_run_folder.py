"""A run folder gives back what was written into it, and survives a killed writer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.evaluation.run_folder import RunInfo, RunWriter, lock_settings, read_run


def _info() -> RunInfo:
    route = Route("r0", "default", np.array([[0.0, 0.0], [1.0, 0.0]]), np.zeros(2), np.array([4, 4], np.int8),
                  np.array([[0.0, 0.0], [1.0, 0.0]]))
    camera = CameraSpec("rgb_front", Pose(x=-1.5, z=2.0), 900, 256, 100.0)
    return RunInfo("constant_velocity", route, Weather(), 7, camera, facts={"engine": "torch"})


def _write(folder) -> RunWriter:
    writer = RunWriter(folder, _info(), frame_period_s=0.2)
    ego = EgoState(50_000_000, Pose(x=1.25, y=-2.0, yaw=0.5), 3.0)
    writer.tick(ego, Control(throttle=0.5, steer=-0.25, reason="stale"), target_speed_mps=None)
    writer.plan(Plan(50_000_000, Trajectory(50_000_000, np.array([[2.0, 0.5]]), np.array([0.5])),
                     NavigationGoal(np.array([10.0, -1.0]), Command.LEFT), attention=np.full((2, 3), 1 / 6)))
    writer.event(50_000_000, "collisions_vehicle", 1.25, -2.0, "hit")
    return writer


def test_round_trip(tmp_path):
    writer = _write(tmp_path)
    writer.finish({"score": 1})
    run = read_run(tmp_path)
    assert run.info.camera == _info().camera and run.info.weather == Weather() and run.info.seed == 7
    np.testing.assert_array_equal(run.info.route.points, _info().route.points)
    assert run.telemetry["x"][0] == 1.25 and run.telemetry["steer"][0] == -0.25 and run.telemetry["reason"] == ["stale"]
    assert np.isnan(run.telemetry["target_speed_mps"][0])
    assert run.plans[0]["command"] == "LEFT" and run.plans[0]["goal"] == [10.0, -1.0]
    assert np.shape(run.plans[0]["attention"]) == (2, 3)
    assert run.events[0]["kind"] == "collisions_vehicle" and run.statistics == {"score": 1}


def test_pictures_closer_than_the_period_are_left_out(tmp_path):
    picture = np.zeros((4, 6, 3), np.uint8)
    with RunWriter(tmp_path, _info(), frame_period_s=0.2) as writer:
        kept = [writer.frame(round(step * 1e8), picture) for step in range(5)]
    assert kept == [True, False, True, False, True]
    assert sorted(read_run(tmp_path).frames) == [0, 200, 400]


def test_a_line_cut_short_is_left_out(tmp_path):
    _write(tmp_path).close()
    for name in ("telemetry.csv", "plans.jsonl"):
        with (tmp_path / name).open("a") as file:
            file.write('{"stamp_s": 0.1')
    run = read_run(tmp_path)
    assert len(run.plans) == 1 and len(run.telemetry["x"]) == 1 and run.statistics is None


@pytest.mark.parametrize("text", [None, "{", '{"format": 1}', '{"format": 99}'])
def test_a_broken_folder_is_named(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(ConfigError, match="run"):
        read_run(tmp_path)


def test_equal_runs_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        _write(tmp_path / name).finish({"score": 1})
    for file in ("run.json", "telemetry.csv", "plans.jsonl", "events.jsonl", "statistics.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert json.loads((tmp_path / "a" / "run.json").read_text())["format"] == 1


@pytest.mark.parametrize("name", ["frames/cat.jpg", "report.html", "statistics.json"])
def test_files_that_no_run_wrote_are_never_touched(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError, match=f"no run.json, but {name}"):
        RunWriter(tmp_path, _info())
    assert (tmp_path / name).read_text() == "mine" and not (tmp_path / "run.json").exists()


def test_settings_are_locked_in_a_folder_of_their_own_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="an empty folder, or one of an earlier sweep, at .*notes.txt"):
        lock_settings(tmp_path / "sweep.json", {"a": 1}, "sweep")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    for _ in range(2):  # the second call goes on in the first one's folder
        lock_settings(tmp_path / "new" / "sweep.json", {"a": 1}, "sweep")
        (tmp_path / "new" / "more.txt").write_text("of the sweep")
    with pytest.raises(ConfigError, match="a folder for the sweep at .*; got a file"):
        lock_settings(tmp_path / "notes.txt" / "sweep.json", {"a": 1}, "sweep")
