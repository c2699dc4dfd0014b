"""`kd-planner drive`: three processes, real DDS, the built-in world; and the same drive without the graph."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from support.perception import install_network, save_tiny

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.evaluation import report_facts
from kd_planner_ros.evaluation.one_route import PlannerSide
from kd_planner_ros.evaluation.run_folder import read_run
from kd_planner_ros.networks.constant_velocity.planner import build_planner
from kd_planner_ros.ros.graph import drive as drive_module
from kd_planner_ros.ros.graph.drive import DriveConfig, drive
from kd_planner_ros.ros.specs.world import WorldParams
from kd_planner_ros.ros.world_setup import make_world

SECONDS = 10.0
SETTINGS = {"vehicles": 20, "walkers": 5, "seed": 3}


def telemetry(folder):
    with (Path(folder) / "telemetry.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def driven(tmp_path_factory):
    """One drive of ten simulated seconds through the graph."""
    folder = tmp_path_factory.mktemp("drive")
    return drive(DriveConfig(planner="constant_velocity", time=SECONDS, out=str(folder), **SETTINGS))


def test_it_drives_and_reports(driven):
    folder = Path(driven["run_dir"])
    rows = telemetry(folder)
    assert len(rows) == 200 and driven["sim_s"] == pytest.approx(SECONDS)
    travelled = np.hypot(float(rows[-1]["x"]) - float(rows[0]["x"]), float(rows[-1]["y"]) - float(rows[0]["y"]))
    assert travelled > 10.0 and driven["route_completion"] > 1.0
    assert driven["unanswered_ticks"] == 0 and driven["troubles"] == []
    assert len((folder / "plans.jsonl").read_text().splitlines()) == 100
    assert len(list((folder / "frames").glob("*.jpg"))) >= 40
    assert Path(driven["report"]).is_file() and (folder / "sensors.json").is_file()
    assert json.loads((folder / "drive.json").read_text()) == driven


def test_the_graph_stops_within_two_seconds(driven):
    assert driven["stop_s"] < 2.0


def test_the_same_drive_without_the_graph_gives_the_same_controls(driven):
    world, route, scene, _ = make_world(WorldParams(**SETTINGS), SensorRig())
    planner, rows = build_planner(), telemetry(driven["run_dir"])
    side = PlannerSide(planner, route)
    try:
        for tick, row in enumerate(rows):
            control, _ = side.step(scene, world.sense() if side.looks(tick) else None)
            ours = [float(row[name]) for name in ("x", "y", "yaw", "speed_mps", "throttle", "brake", "steer")]
            ego = scene.ego
            theirs = [ego.pose.x, ego.pose.y, ego.pose.yaw, ego.speed_mps,
                      control.throttle, control.brake, control.steer]
            assert ours == pytest.approx(theirs, abs=1e-4), tick
            scene = world.tick(control)
    finally:
        world.close()


def test_a_killed_planner_stops_the_car_and_is_reported(tmp_path, monkeypatch):
    from kd_planner_ros.ros.graph.processes import Processes

    real, killed = drive_module._status, []
    started = {}
    enter = Processes.__enter__
    monkeypatch.setattr(Processes, "__enter__", lambda self: started.setdefault("p", enter(self)))

    def kill_when_moving(line):
        real(line)
        if "m/s" in line and float(line.split("m/s")[0].split()[-1]) > 2.0 and not killed:
            killed.append(line)
            started["p"].running["planner"].kill()

    monkeypatch.setattr(drive_module, "_status", kill_when_moving)
    with pytest.raises(PlannerError) as reported:
        drive(DriveConfig(planner="constant_velocity", out=str(tmp_path), report=False, **SETTINGS))
    assert killed and "planner was killed by signal 9" in str(reported.value) and "\n" not in str(reported.value)
    rows = telemetry(tmp_path)
    reasons = [row["reason"] for row in rows]
    fallen = reasons[reasons.index("last_plan"):]
    order = [reason for reason, before in zip(fallen, [None, *fallen], strict=False) if reason != before]
    chain = ["last_plan", "comfortable_stop", "plan_late", "deactivated"]  # the world may tick on while the controller leaves
    assert order in (chain, chain[:3]), order
    assert float(rows[-1]["speed_mps"]) < 0.5
    assert max(float(row["speed_mps"]) for row in rows) > 2.0
    assert (tmp_path / "statistics.json").is_file()


@pytest.mark.long
def test_a_killed_planner_leaves_the_car_to_the_fallback_planner(tmp_path, monkeypatch):
    """Four seconds later that one is killed too: the end of the chain, and of the drive."""
    from kd_planner_ros.ros.graph.processes import Processes

    real, killed, started, enter = drive_module._status, {}, {}, Processes.__enter__
    monkeypatch.setattr(Processes, "__enter__", lambda self: started.setdefault("p", enter(self)))
    monkeypatch.setattr(drive_module, "QUIET_S", 0.2)

    def kill(line):
        real(line)
        if "m/s" not in line:
            return
        sim_s, speed_mps = float(line.split(" s ")[0]), float(line.split("m/s")[0].split()[-1])
        if "planner" not in killed and speed_mps > 2.0 or "planner" in killed and sim_s > killed["planner"] + 4.0 and len(killed) == 1:
            name = "fallback_planner" if killed else "planner"
            killed[name] = sim_s
            started["p"].running[name].kill()

    monkeypatch.setattr(drive_module, "_status", kill)
    with pytest.raises(PlannerError, match="planner was killed by signal 9"):
        drive(DriveConfig(planner="constant_velocity", fallback_planner="constant_velocity", out=str(tmp_path), report=False, **SETTINGS))
    rows = telemetry(tmp_path)
    reasons = [row["reason"] for row in rows]
    fallen = reasons[reasons.index("last_plan"):]
    order = [reason for reason, before in zip(fallen, [None, *fallen], strict=False) if reason != before and reason != "limited"]
    chain = ["last_plan", "slower_plan", "comfortable_stop", "plan_late", "deactivated"]
    assert order in (chain, chain[:4]), order
    assert set(killed) == {"planner", "fallback_planner"} and fallen.count("slower_plan") >= 60
    assert float(rows[-1]["speed_mps"]) < 0.5
    assert (tmp_path / "graph" / "fallback_planner.log").is_file()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is absent: run the test on Linux")
def test_a_disk_that_runs_full_is_the_one_sentence(tmp_path, monkeypatch):
    """The file of the telemetry lies on a full disk: the world ends in its first tick. No report: whoever reads /dev/full never ends."""
    from kd_planner_ros.ros.graph.describe import NodeProcess

    run, real = tmp_path / "run", NodeProcess.command
    link = ["sh", "-c", f"ln -s /dev/full '{run}/telemetry.csv'; exec \"$@\"", "sh"]
    monkeypatch.setattr(NodeProcess, "command", lambda self, folder: [*(link if self.name == "world" else []), *real(self, folder)])
    with pytest.raises(PlannerError) as reported:
        drive(DriveConfig(planner="constant_velocity", out=str(run), time=5.0, report=False, **SETTINGS))
    said = str(reported.value)
    assert "world ended with status 2" in said and "No space left on device" in said and "telemetry.csv" in said and "\n" not in said
    assert (run / "run.json").is_file() and (run / "lanes.json").is_file()


@pytest.mark.alone
def test_ctrl_c_stops_all_processes_and_keeps_the_folder(tmp_path):
    code = ("from kd_planner_ros.cli.main import main; import sys; sys.exit(main(['drive', '--planner', "
            f"'constant_velocity', '--no-report', '--vehicles', '5', '--walkers', '0', '--out', {str(tmp_path)!r}]))")
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "m/s" in line and float(line.split()[0]) > 1.0:
                break
        process.send_signal(signal.SIGINT)
        started = time.monotonic()
        rest = process.stderr.read()
        status = process.wait(20.0)
        took = time.monotonic() - started
    finally:
        process.kill()
    assert status == 130 and "Traceback" not in rest, rest
    assert took < 8.0, "on an idle machine processes end within two seconds, the interpreter that started them soon after"
    assert (tmp_path / "statistics.json").is_file()
    assert not [pid for pid in os.listdir("/proc") if pid.isdigit() and str(tmp_path).encode() in _command(pid)]


def test_weights_that_do_not_fit_their_card_end_the_drive_with_the_planners_own_words(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "small")
    weights = tmp_path / "small" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-64] + bytes(64))
    with pytest.raises(PlannerError) as reported:
        drive(DriveConfig(planner="small", models_dir=str(tmp_path), out=str(tmp_path / "run"), report=False, **SETTINGS))
    assert "planner ended with status 2" in str(reported.value) and "weights" in str(reported.value)
    assert "\n" not in str(reported.value)


def _command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize("change, text", [
    ({"planner": "nobody"}, "nobody"), ({"map": "/no/such.net.xml"}, "/no/such.net.xml"),
    ({"route": "/no/routes.xml"}, "routes.xml"), ({"seed": -1}, "--seed a whole number from 0"), ({"map": "moon"}, "'moon'"),
    ({"weather": "Hailstorm"}, "Hailstorm"), ({"carla_profile": "apollo"}, "apollo")])
def test_bad_input_is_one_line(tmp_path, change, text):
    from kd_planner_ros.core.errors import KdPlannerError

    config = DriveConfig(**{"planner": "constant_velocity", "out": str(tmp_path / "run"), "report": False, **change})
    with pytest.raises(KdPlannerError) as refused:
        drive(config)
    assert text in str(refused.value) and "\n" not in str(refused.value)
    assert not (tmp_path / "run").exists()  # refused before any process starts


@pytest.mark.long
def test_a_perception_node_runs_beside_the_planner(tmp_path, monkeypatch):
    """A perceiver of another package, in a process of its own, on the camera that it declares."""
    package = install_network(monkeypatch, tmp_path, "drive_eye_package")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH", "")))))
    models = save_tiny(tmp_path / "models", "eye")
    found = drive(DriveConfig(planner="constant_velocity", perception="eye", models_dir=str(models), time=3.0, report=False,
                              out=str(tmp_path / "run"), **SETTINGS))
    assert found["troubles"] == [] and found["unanswered_ticks"] == 0 and found["sim_s"] == pytest.approx(3.0)
    sensors = json.loads((tmp_path / "run" / "sensors.json").read_text())["objects"][0]["sensors"]
    assert [one["id"] for one in sensors if one["type"] == "sensor.camera.rgb"] == ["front"]
    said = yaml.safe_load((tmp_path / "run" / "graph" / "perception.yaml").read_text())["/**"]["ros__parameters"]
    assert said["perceiver"] == "eye" and (tmp_path / "run" / "graph" / "perception.log").is_file()
    assert (tmp_path / "run" / "perception" / "00000000.png").is_file(), "the drive waits for the perceiver: the first picture is seen"


def test_a_drive_with_v2x_hears_the_stations_and_is_stopped_for_a_walker_that_no_camera_shows(tmp_path):
    """The planner keeps 4 m/s and has no camera: nobody but the stations knows of the walker behind the parked vans."""
    config = DriveConfig(planner="constant_velocity", route="hidden:0", vehicles=0, walkers=0, report=False)
    alone = drive(replace(config, out=str(tmp_path / "alone")))
    heard = drive(replace(config, out=str(tmp_path / "heard"), asked={"v2x": "true"}))
    assert heard["troubles"] == [] and heard["unanswered_ticks"] == 0
    lines = [json.loads(one) for one in (tmp_path / "heard" / "v2x.jsonl").read_text().splitlines()]
    assert {"COOP_FULL", "COOP_OBJECTS"} & {one.get("state") for one in lines}
    counts = [one for one in lines if "accepted" in one][-1]
    assert counts["accepted"] > 100
    busy = {"stale", "unsigned"}  # a busy machine hands some on late, or loses one of message and signature: best effort
    assert set(counts["rejected"]) - busy <= {"out_of_range", "facing_away"}, "of other stations alone"
    records = [json.loads((tmp_path / name / "statistics.json").read_text())["_checkpoint"]["global_record"] for name in ("alone", "heard")]
    hit = [one["infractions"]["collisions_pedestrian"] for one in records]
    assert hit[0] > 0.0 == hit[1], "without V2X the car runs into the walker"
    assert alone["infraction_score"] < heard["infraction_score"]
    assert not (tmp_path / "alone" / "v2x.jsonl").exists()


def test_the_shipped_defaults_drive_and_see_though_both_call_their_camera_front(tmp_path):
    """As the README writes it. Each model gets the camera that it declares; the report's pictures stay the planner's."""
    run = tmp_path / "run"
    found = drive(DriveConfig(perception="unified_nano", engine="torch", time=1.5, report=False, out=str(run), **SETTINGS))
    assert found["troubles"] == [] and found["unanswered_ticks"] == 0 and found["sim_s"] == pytest.approx(1.5)
    sensors = json.loads((run / "sensors.json").read_text())["objects"][0]["sensors"]
    sizes = {one["id"]: (one["image_size_x"], one["image_size_y"]) for one in sensors if one["type"] == "sensor.camera.rgb"}
    assert sizes == {"front": (448, 128), "perception_front": (448, 336)}
    told = dict(report_facts.facts_of(read_run(run), {}))["perceiver"]
    assert told.startswith("unified_nano, network unified_encoder, 4 ") and told.endswith(" parameters, engine torch")
    assert (run / "perception" / "00000000.png").is_file() and (run / "plans.jsonl").read_text()
