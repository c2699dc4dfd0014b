"""The expert drives in the built-in world, is recorded, and a student learns from the recordings."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kd_planner_ros.bags.facts import custom_data
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import BagError, ConfigError, MapError, PlannerError
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.distill.train import TrainConfig, train
from kd_planner_ros.networks.constant_velocity.planner import ConstantVelocityPlanner
from kd_planner_ros.record.dagger_turns import DaggerTurns
from kd_planner_ros.record.jobs import RecordConfig
from kd_planner_ros.record.record import record
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.samples.rows import label
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.weather import WEATHERS


def config(out, **changes):
    values = {"out": out, "map": "default", "count": 2, "min_m": 60.0, "max_m": 130.0, "width": 64, "height": 32,
              "vehicles": 10, "walkers": 4, "seed": 4, "progress": False, "workers": 1}
    return RecordConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    out = tmp_path_factory.mktemp("recorded")
    return out, record(config(out))


def test_the_expert_is_recorded_with_truth(recorded):
    out, report = recorded
    assert report.routes == 2 and report.finished and not report.failed and report.frames > 20
    folders = sorted(p for p in out.iterdir() if not p.name.endswith(".partial"))
    assert len(folders) == 2
    with open_bag(folders[0]) as recording:
        facts = recording.custom_data
        assert facts["map"] == "default" and facts["weather"] and facts["seed"] and facts["route"] == "drawn/4-0"
        samples = list(recording.samples(labels=("depth", "semantic", "instance")))
        stamps = np.array([s.frame.stamp_ns for s in samples])
        np.testing.assert_array_equal(np.diff(stamps), 500_000_000)
        assert recording.incomplete == 0 and len(recording.timeline.ego.stamps) >= 10 * (len(samples) - 1)
        moved = np.hypot(*(recording.timeline.ego.values[-1, :2] - recording.timeline.ego.values[0, :2]))
        assert moved > 30.0
        label = samples[5].truth.labels["front"]
        assert label.depth.shape == (32, 64) and (label.semantic == 1).any() and label.depth.max() > 20.0
        assert samples[5].truth.signals is not None and 0.0 <= samples[5].truth.states["expert_throttle"] <= 1.0


def test_complete_routes_are_not_driven_again(recorded):
    out, _ = recorded
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.mcap")}
    again = record(config(out))
    assert again.routes == 0 and again.skipped == 2 and again.frames == 0
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*.mcap")} == before


def test_a_student_takes_turns_at_the_wheel(tmp_path):
    """The expert's wish stays the label, waypoints into a student's turn are masked, and other settings are refused."""
    turns = config(tmp_path, count=1, student="constant_velocity", vehicles=0, walkers=0, labels=())
    assert record(turns).routes == 1
    folder = next(tmp_path.iterdir())
    with open_bag(folder) as recording:
        timeline, facts = recording.timeline, recording.custom_data
    assert (facts["student"], facts["disturbed"], facts["driver"]) == ("constant_velocity", "false", "expert")
    student = timeline.state.values[:, timeline.state_names.index("disturbance")] > 0
    edges = np.flatnonzero(np.diff(student)) + 1
    assert not student[0] and len(edges) >= 2
    for start, end in zip([0, *edges], edges):
        low, high = (0.0, 4.5) if student[start] else (4.0, 9.0)  # a turn ends early where the student leaves the line
        assert low - 0.05 <= (end - start) / 20 <= high
    wish = np.stack([timeline.states(f"expert_{name}", timeline.state.stamps) for name in ("throttle", "steer", "brake")], 1)
    executed = timeline.control.take(timeline.state.stamps)
    np.testing.assert_allclose(executed[~student], wish[~student], atol=1e-6)
    assert np.abs(executed[student] - wish[student]).max() > 0.05
    stamps = timeline.state.stamps[::10]
    rows, keep, left_out = label(timeline, stamps)
    inside = keep & student[::10]
    assert inside.any() and np.isnan(rows["future"][inside]).all() and np.isfinite(rows["actions"][inside, 0]).all()
    assert 0 < left_out["waypoints masked"] < keep.sum()
    with pytest.raises(ConfigError, match="student ''.*kept and not recorded again.*'constant_velocity'.*another --out"):
        record(replace(turns, student="", disturb=False))
    with pytest.raises(ConfigError, match="vehicles '3'.*got '0'"):
        record(replace(turns, vehicles=3))
    assert custom_data(folder) == facts


class _Failing(ConstantVelocityPlanner):
    def plan(self, frame):
        raise ValueError("no idea")


@pytest.fixture
def standing():
    """A road, a route on it and the scene at its beginning."""
    road = load_map("default")
    route = default_routes(road, 4, 1, 60.0, 130.0)[0]
    world = World(road, SensorRig(), vehicles=0, walkers=0, scenarios=False)
    try:
        yield road, route, world.start(route, 0, WEATHERS[0])
    finally:
        world.close()


def test_a_student_that_cannot_plan_is_told(standing):
    """Its safe stops would pass for its driving."""
    road, route, scene = standing
    turns = DaggerTurns(_Failing(), road)
    turns.start(route, 0)
    with pytest.raises(PlannerError, match="student 'constant_velocity' that plans.*no idea.*--student"):
        for _ in range(200):
            turns.step(Control(), scene)


def test_a_student_gets_the_wheel_on_the_line_only(standing):
    road, route, scene = standing
    pose = scene.ego.pose
    beside = replace(pose, x=pose.x - 2.0 * np.sin(pose.yaw), y=pose.y + 2.0 * np.cos(pose.yaw))
    off = replace(scene, ego=replace(scene.ego, pose=beside))
    turns = DaggerTurns(ConstantVelocityPlanner(), road)
    turns.start(route, 0)
    assert not any(turns.step(Control(), off)[1] for _ in range(200))  # the expert's turn is 180 ticks at most
    assert turns.step(Control(), scene)[1]
    assert not turns.step(Control(), off)[1]
    assert not turns.step(Control(), scene)[1]


def test_a_slow_student_gets_the_history_that_it_declares(standing):
    """Two plans a second, a picture 0.1 s before each: drawn in the tick in which no plan is made."""
    road, route, scene = standing

    class Slow(ConstantVelocityPlanner):
        rate_hz = 2.0
        rig = SensorRig((CameraSpec("front", Pose(z=2.0), 16, 8, 90.0),), history_s=(0.1,))

        def plan(self, frame):
            frames.append(frame)
            return super().plan(frame)

    frames, turns = [], DaggerTurns(Slow(), road, student_s=(3.0, 3.1))
    turns.start(route, 0)
    for tick in range(260):
        stamp_ns = tick * 50_000_000
        turns.step(Control(), replace(scene, stamp_ns=stamp_ns, ego=replace(scene.ego, stamp_ns=stamp_ns)))
        if len(frames) == 3:
            break
    assert frames[0].history == (None,), "a turn begins as a drive does"
    assert [frame.stamp_ns - frame.history[0].stamp_ns for frame in frames[1:3]] == [100_000_000] * 2


def test_an_unknown_student_is_refused_before_anything_is_driven(tmp_path):
    with pytest.raises(PlannerError, match="tcp64_7m6"):
        record(config(tmp_path / "x", student="nobody"))
    assert not (tmp_path / "x").exists()


def test_a_student_learns_from_recordings(recorded, tmp_path):
    out, _ = recorded
    report = train(TrainConfig(bags=(out,), name="student", size="3.1m", batch=8, epochs=2,
                               sections={"tcp": {"input_height": 32, "input_width": 64}}, models_dir=tmp_path / "models",
                               runs_dir=tmp_path / "runs", threads=1, device="cpu",
                               cache=tmp_path / "cache", progress=False, validation_share=0.5))
    assert report.finished and report.validation_samples > 0 and np.isfinite(report.validation["l2_m"])
    planner = load_planner(str(tmp_path / "models" / "student"))
    with open_bag(next(p for p in sorted(out.iterdir()))) as recording:
        frame = next(recording.samples()).frame
    plan = planner.plan(frame)
    assert planner.rig.cameras[0].width == 64  # the planner mounts the camera that it learnt with
    assert plan.trajectory.points.shape == (4, 2) and np.isfinite(plan.trajectory.points).all()


def test_interrupting_loses_only_the_route_being_driven(tmp_path):
    root = Path(__file__).parents[3]
    command = [sys.executable, "-m", "kd_planner_ros.cli.main", "record", "--out", str(tmp_path / "out"), "--width", "64",
               "--height", "32", "--vehicles", "0", "--walkers", "0", "--workers", "1", "--labels", "--no-progress"]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    try:
        until = time.monotonic() + 150
        while not list((tmp_path / "out").glob("*.partial/*/*.mcap")) and time.monotonic() < until:
            time.sleep(0.2)
        assert process.poll() is None, process.communicate()
        assert list((tmp_path / "out").glob("*.partial/*/*.mcap")), "nothing was recorded in 150 s"
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert "Traceback" not in errors, errors
    assert [p for p in (tmp_path / "out").iterdir() if not p.name.endswith(".partial")] == []


def test_a_worker_that_dies_is_told(tmp_path, monkeypatch):
    """Its other routes must not pass for recorded."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nreal = os.rename\n"
        "def rename(a, b):\n    if 'recordings' in str(b): raise OSError(28, 'No space left on device')\n    real(a, b)\n"
        "os.rename = rename\n")
    with pytest.raises(BagError, match="workers that run to the end.*exit code 1"):
        record(config(tmp_path / "recordings", max_m=70.0, vehicles=0, walkers=0, labels=()))


def test_bad_settings_are_refused(tmp_path):
    with pytest.raises(MapError):
        record(config(tmp_path / "x", map="atlantis"))
    with pytest.raises(ConfigError, match="width and height"):
        record(config(tmp_path / "x", height=0))
    for wrong in ({"labels": ("smell",)}, {"fps": 3}, {"workers": 0}):
        with pytest.raises(ConfigError):
            config(tmp_path / "x", **wrong)
