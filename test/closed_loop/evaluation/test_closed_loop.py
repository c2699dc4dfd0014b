"""The evaluation in the real world: goes on where it was stopped, and gives the same bytes whatever the number of jobs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation import closed_loop, worker
from kd_planner_ros.evaluation.drives import ClosedLoopConfig
from kd_planner_ros.world import events

FILES = ("statistics.json", "summary.json")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> ClosedLoopConfig:
    return ClosedLoopConfig("constant_velocity", tmp_path_factory.mktemp("straight"), routes_count=2, route_seed=7,
                            vehicles=6, walkers=0)


@pytest.fixture(scope="module")
def straight(config):
    """An evaluation in one go, in this process."""
    return closed_loop.run(config, progress=False)


def test_the_summary_is_that_of_the_leaderboards_file(config, straight):
    file = json.loads((config.out / "statistics.json").read_text())["_checkpoint"]
    assert file["progress"] == [2, 2] and [record["index"] for record in file["records"]] == [0, 1]
    scores = [record["scores"]["score_composed"] for record in file["records"]]
    assert straight["mean"]["driving_score"] == pytest.approx(sum(scores) / 2)
    assert all(record["scores"]["score_route"] > 5.0 for record in file["records"]), "it does not move"


def test_each_drive_left_a_run_folder_with_plans(config, straight):
    from kd_planner_ros.evaluation.run_folder import read_run

    runs = [read_run(path.parent) for path in sorted(config.out.glob("seed_0/*/run.json"))]
    assert len(runs) == 2
    for run in runs:
        ticks, plans = run.telemetry["stamp_s"], [plan["stamp_s"] for plan in run.plans]
        assert ticks[1] - ticks[0] == pytest.approx(0.05) and plans[1] - plans[0] == pytest.approx(0.1)
        assert run.telemetry["speed_mps"].max() > 2.0


def test_stopped_and_gone_on_in_two_processes_gives_the_same_bytes(config, straight, tmp_path, monkeypatch):
    other = replace(config, out=tmp_path / "other")
    original, done = worker.drive_one, []

    def stop_at_the_second(setup, drive):
        if done:
            raise KeyboardInterrupt
        done.append(drive)
        return original(setup, drive)

    monkeypatch.setattr(worker, "drive_one", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        closed_loop.run(other, progress=False)
    monkeypatch.undo()
    first = done[0].folder / "statistics.json"
    kept = first.stat().st_mtime_ns
    closed_loop.run(replace(other, jobs=2, seeds=2), progress=False)
    assert first.stat().st_mtime_ns == kept, "a finished drive was driven again"
    closed_loop.run(other, progress=False)
    for name in FILES:
        assert (other.out / name).read_bytes() == (config.out / name).read_bytes()
    telemetry = [sorted(out.glob("seed_0/*/telemetry.csv")) for out in (config.out, other.out)]
    assert [path.read_bytes() for path in telemetry[0]] == [path.read_bytes() for path in telemetry[1]]


def test_late_plans_act_late_and_two_drives_are_alike(config, straight, tmp_path):
    """300 ms are 6 ticks: the car stands for 6 ticks without a plan, a plan comes every 0.3 s, and nothing is ever stale."""
    from kd_planner_ros.evaluation.run_folder import read_run

    late = replace(config, out=tmp_path / "late", latency="300", routes_count=1)
    summary = closed_loop.run(late, progress=False)
    closed_loop.run(replace(late, out=tmp_path / "again"), progress=False)
    for name in FILES:
        assert (late.out / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    assert summary["latency"] == {"kind": "number", "ms": 300.0, "ticks": 6}
    record = json.loads((late.out / "statistics.json").read_text())["_checkpoint"]["records"][0]
    assert record["meta"]["latency"]["ticks"] == 6 and "300 ms a plan" in (late.out / "report.html").read_text()
    run = read_run(next(late.out.glob("seed_0/*/run.json")).parent)
    assert run.telemetry["reason"][:6] == ["no_plan"] * 6 and set(run.telemetry["reason"][6:]) == {""}
    stamps = [round(20 * plan["stamp_s"]) for plan in run.plans[:5]]
    assert stamps == [0, 6, 12, 18, 24] and run.telemetry["speed_mps"].max() > 2.0
    assert run.telemetry["x"].tolist() != read_run(next(config.out.glob("seed_0/*/run.json")).parent).telemetry["x"].tolist()


def test_another_evaluation_in_the_same_folder_is_refused(config, straight):
    with pytest.raises(ConfigError, match="vehicles 6.*vehicles 7"):
        closed_loop.run(replace(config, vehicles=7), progress=False)


def test_a_report_with_pictures(tmp_path, monkeypatch):
    """Pictures are taken although the planner has no camera, and the page over all drives links the drive's own."""
    monkeypatch.setattr(events, "TIMEOUT_S_PER_M", 0.0)
    monkeypatch.setattr(events, "TIMEOUT_BASE_S", 3.0)  # rendering is most of the work: a few seconds are enough
    config = ClosedLoopConfig("constant_velocity", tmp_path, routes_count=1, route_seed=7, vehicles=4, walkers=0,
                              report=True)
    closed_loop.run(config, progress=False)
    page = next(tmp_path.glob("seed_0/*/report.html"))
    assert len(list((page.parent / "frames").glob("*.jpg"))) == 16 and (page.parent / "drive.webp").stat().st_size > 1000
    assert page.relative_to(tmp_path).as_posix() in (tmp_path / "report.html").read_text()


def test_ctrl_c_ends_every_process_and_keeps_what_was_finished(tmp_path):
    command = [sys.executable, "-m", "kd_planner_ros.cli.main", "evaluate", "closed-loop", "--planner", "expert",
               "--routes-count", "3", "--route-seed", "7", "--vehicles", "4", "--jobs", "2", "--out", str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        deadline = time.monotonic() + 200.0
        while not list(tmp_path.glob("seed_0/*/statistics.json")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGINT)
        text = process.communicate(timeout=60)[1]
    assert process.returncode == 130 and "stopped" in text and "Traceback" not in text
    deadline = time.monotonic() + 5.0
    while _alive(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert _alive(process.pid) == []
    assert 1 <= len(list(tmp_path.glob("seed_0/*/statistics.json"))) < 3


def _alive(group: int) -> list[str]:
    """State lines of the group's processes; those that ended but were not waited for (Z) do not count."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        if int(of) == group and state != "Z":
            found.append(path.read_text())
    return found
