"""A node's heartbeat while it is busy, a second clock in one domain, and what ends a graph in which nobody is heard."""

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Bool
from support.fakes import FakeWorld, straight_route
from support.graph import DOMAIN, PROCESSES_DOMAIN, wait_for

from kd_planner_ros.core.errors import ConfigError, PlannerError
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.ros import clock, diagnostics
from kd_planner_ros.ros.diagnostics import ERROR, OK, WARN, Health
from kd_planner_ros.ros.graph import drive as drive_module
from kd_planner_ros.ros.graph.describe import NodeProcess
from kd_planner_ros.ros.graph.drive import DriveConfig, drive
from kd_planner_ros.ros.graph.monitor import Monitor
from kd_planner_ros.ros.graph.watch import AWAY_S, SILENCE_S, START_S, HeartbeatWatch
from kd_planner_ros.ros.nodes import world_node
from kd_planner_ros.ros.nodes.controller_node import ControllerNode
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.ros.stop import StopFlag


def test_a_node_that_nobody_spins_is_heard_and_its_thread_ends_with_it(graph, monkeypatch):
    import rclpy

    monkeypatch.setattr(diagnostics, "HEARTBEAT_LATE_S", 0.1)
    found, beating = [], lambda: {one for one in threading.enumerate() if one.name == "heartbeat"}
    of_others = beating()  # of nodes of earlier tests: they may end meanwhile
    node = rclpy.create_node("busy", context=graph.context)
    health = Health(node, lambda: {"a": 1}, lambda: 7)
    health.set("state", WARN, "loading")
    graph.node.create_subscription(DiagnosticArray, "/diagnostics", found.append, 10)
    own = beating() - of_others
    assert len(own) == 1
    try:
        assert wait_for(lambda: len(found) >= 3), "the executor of the node never runs: its thread must send"
        status = found[-1].status[0]
        values = {one.key: one.value for one in status.values}
        assert status.name == "/busy" and status.message == "loading" and values["a"] == "1" and "busy" in values["heartbeat"]
        assert from_stamp(found[-1].header.stamp) == 7
    finally:
        node.destroy_node()
    assert wait_for(lambda: not own & beating())


def make_world(graph, monkeypatch, **values):
    rig = SensorRig()
    world = FakeWorld(rig, 3)
    monkeypatch.setattr(world_node, "make_world", lambda params, rig: (world, straight_route(), world.state, Weather()))
    return graph.start(world_node.WorldNode, {"ready_timeout_s": 0.0, "control_timeout_s": 0.05, **values})


def run(node, graph):
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=graph.context)
    executor.add_node(node)
    try:
        return node.run(executor, StopFlag())
    finally:
        executor.shutdown()
        node.destroy_node()


def test_a_world_refuses_to_tick_beside_another_clock(graph, monkeypatch):
    graph.node.create_publisher(Clock, "/clock", 10)
    node, ticks = make_world(graph, monkeypatch), []
    graph.node.create_subscription(Clock, "/clock", ticks.append, 10)
    assert wait_for(lambda: node.count_publishers("/clock") == 2)
    with pytest.raises(ConfigError) as refused:
        run(node, graph)
    assert "/carla/ego_vehicle/tester" in str(refused.value) and "ROS_DOMAIN_ID" in str(refused.value) and not ticks


def test_a_world_of_the_same_name_is_another_clock_too(graph, monkeypatch):
    first, second = make_world(graph, monkeypatch), make_world(graph, monkeypatch)
    assert wait_for(lambda: second.count_publishers("/clock") == 2)
    with pytest.raises(ConfigError, match="/carla/ego_vehicle/world"):
        run(second, graph)
    assert wait_for(lambda: first.count_publishers("/clock") == 1)
    assert run(first, graph) == 0  # alone again


def test_an_agent_that_comes_late_is_no_error_any_more(graph, monkeypatch):
    node = make_world(graph, monkeypatch)
    node.health.set("agent", ERROR, "no agent was ready within 0 s")
    node._readiness.take("status", "agent", Bool(data=False))
    assert node.health.get("agent") is not None
    node._readiness.take("status", "agent", Bool(data=True))
    assert node.health.get("agent") is None
    node.destroy_node()


def test_a_drive_with_a_perceiver_begins_when_it_is_ready(graph, monkeypatch):
    node = make_world(graph, monkeypatch, ready_timeout_s=60.0, await_perception=True)
    for name in ("status", "perception_ready"):
        subscribed = f"/carla/ego_vehicle/{'status' if name == 'status' else 'perception/ready'}"
        assert node.count_subscribers(subscribed) == 1, subscribed
    node._readiness.take("status", "agent", Bool(data=True))
    assert node._readiness.take("perception_ready", "perceiver", Bool(data=True)) is None and run(node, graph) == 0
    late = make_world(graph, monkeypatch, ready_timeout_s=0.05, await_perception=True)
    late._readiness.take("status", "agent", Bool(data=True))
    said = []
    monkeypatch.setattr(late.health, "clear", lambda name: None)
    monkeypatch.setattr(late.health, "set", lambda name, level, text: said.append((name, level, text)))
    assert run(late, graph) == 0
    assert any(name == "state" and text == "waiting for the perceiver on /carla/ego_vehicle/perception/ready" for name, _, text in said)
    assert ("perceiver", ERROR, "no perceiver was ready within 0.05 s: is the perception node running, and is the role_name right?") in said
    assert not [text for name, _, text in said if name == "agent"]


def test_the_jump_is_shown_for_a_while(graph, monkeypatch):
    monkeypatch.setattr(clock, "JUMP_SHOWN_S", 1.0)
    node = graph.start(ControllerNode, {"use_sim_time": True})
    graph.spin_in_thread(node)
    node._watch._jumped(None)
    assert "set back" in node.health.get("jump")
    assert wait_for(lambda: node.health.get("jump") is None)


class Time:
    now = 100.0

    def __call__(self):
        return self.now


def test_silence_counts_from_the_last_heartbeat_of_any_node():
    time_s = Time()
    watch = HeartbeatWatch(["/carla/hero/planner", "/carla/hero/world"], time_s)

    def after(seconds):
        """Look every second, as the loops of drive and replay do."""
        found = False
        for _ in range(round(seconds)):
            time_s.now += 1.0
            found = watch.silent()
        return found

    assert not after(SILENCE_S) and after(1.0)
    assert watch.take("/carla/hero/world")
    assert not after(SILENCE_S - 1.0)
    for other in ("/carla/hero/camera_driver", "/carla/mule/world", "world", "/world", "/carla/hero/world: camera"):
        assert not watch.take(other)
    assert after(2.0)
    time_s.now += AWAY_S + 1.0  # this process was stopped itself: the messages that wait are yet to be read
    assert not watch.silent()


def test_the_status_line_is_of_this_graph_alone(graph):
    """Another graph's world in the same domain, and another system's statuses in the same message."""
    watch = HeartbeatWatch(["/carla/hero/world"])
    monitor = Monitor(DOMAIN, on_heartbeat=watch.take)
    publisher = graph.node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def heard():
        publisher.publish(DiagnosticArray(status=[
            DiagnosticStatus(name="/carla/mule/world", level=ERROR, message="stuck", values=[KeyValue(key="ticks", value="9")]),
            DiagnosticStatus(name="/carla/hero/world", level=OK, message="driving", values=[KeyValue(key="ticks", value="3")])]))
        publisher.publish(DiagnosticArray())  # a message without any status is allowed
        monitor.spin(0.05)
        return monitor.states

    try:
        assert wait_for(heard)
        assert monitor.value("world", "ticks") == "3" and not monitor.troubles and "stuck" not in monitor.line()
    finally:
        monitor.close()


def test_nodes_that_have_not_begun_have_longer():
    time_s = Time()
    watch = HeartbeatWatch(["planner"], time_s)
    silent = []
    for _ in range(round(START_S) + 1):
        time_s.now += 1.0
        silent.append(watch.silent(begun=False))
    assert silent.index(True) == START_S


def test_the_sentence_holds_last_lines_and_variables():
    error = HeartbeatWatch(["planner", "world"]).error({"planner": "loading | 50 %"}, {"ROS_DOMAIN_ID": "3", "RMW_IMPLEMENTATION": "rmw_x"})
    for part in ("planner, world", "planner wrote 'loading | 50 %'", "RMW_IMPLEMENTATION=rmw_x ROS_DOMAIN_ID=3"):
        assert part in str(error)


@pytest.fixture
def deaf(monkeypatch):
    """Every node of a drive lives in another ROS domain than the command; the longest silence is short."""
    from kd_planner_ros.ros.graph import watch

    monkeypatch.setattr(watch, "SILENCE_S", 4.0)
    real = NodeProcess.command
    monkeypatch.setattr(NodeProcess, "command", lambda self, folder: ["env", f"ROS_DOMAIN_ID={DOMAIN}", *real(self, folder)])


def test_a_drive_in_which_nobody_is_heard_ends_with_the_logs_and_the_variables(tmp_path, deaf):
    with pytest.raises(PlannerError) as ended:
        drive(DriveConfig(planner="constant_velocity", vehicles=2, walkers=0, report=False, out=str(tmp_path / "run")))
    said = str(ended.value)
    assert "a heartbeat of planner, controller, world" in said and f"ROS_DOMAIN_ID={PROCESSES_DOMAIN}" in said and "\n" not in said


def test_the_watch_beside_a_launch_ends_when_nobody_is_heard():
    code = "from kd_planner_ros.ros.graph import watch; watch.SILENCE_S = watch.START_S = 1.0; raise SystemExit(watch.main(['planner']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "a heartbeat of planner within 1 s" in done.stderr and "Traceback" not in done.stderr


def test_a_failed_report_hides_neither_the_first_cause_nor_the_results(tmp_path, monkeypatch):
    from kd_planner_ros.evaluation import report, score

    def fail(folder):
        raise OSError(28, "No space left on device", str(folder / "report.html"))

    monkeypatch.setattr(report, "write", fail)
    (tmp_path / "run.json").write_text("{}")
    first = PlannerError("every node of the graph to run", "world ended", "see its log")
    with pytest.raises(PlannerError) as ended:
        drive_module._conclude(DriveConfig(), tmp_path, drive_module._Outcome(failure=first))
    assert ended.value is first
    record = score.RouteRecord("0", 0, "Completed", 100.0, 1.0, {}, 50.0, 50.0, 10.0, 5.0)
    (tmp_path / "statistics.json").write_text(json.dumps(score.statistics([record], 1, [])))
    with pytest.raises(OSError, match="No space left"):
        drive_module._conclude(DriveConfig(), tmp_path, drive_module._Outcome())
    assert json.loads((tmp_path / "drive.json").read_text())["report"] == ""


def test_a_drive_that_was_ended_early_says_so_and_keeps_its_folder(tmp_path, monkeypatch):
    """A second drive into the folder is refused before a process starts; without ``--out`` each has a folder of its own."""
    from kd_planner_ros.evaluation import score

    def run(nodes, run_dir, *_):
        assert not (run_dir / "run.json").exists(), "nothing may start in the folder of a drive"
        record = score.RouteRecord("0", 0, "Started", 20.0, 1.0, {}, 50.0, 50.0, 10.0, 5.0)
        (run_dir / "statistics.json").write_text(json.dumps(score.statistics([record], 1, [])))
        (run_dir / "run.json").write_text("{}")
        return drive_module._Outcome()

    monkeypatch.setattr(drive_module, "_run", run)
    config = DriveConfig(planner="constant_velocity", report=False, out=str(tmp_path / "run"))
    assert drive(config)["status"] == "stopped before the end"
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    assert json.loads(before["drive.json"])["status"] == "stopped before the end"
    with pytest.raises(ConfigError, match="that of an earlier drive; give another --out, or delete the folder"):
        drive(config)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == before
    monkeypatch.chdir(tmp_path)
    assert Path(drive(replace(config, out=""))["run_dir"]).parent == tmp_path / "runs"


@pytest.mark.parametrize("begun, words", [(True, "stopped at once: drive.json, report.html left out; what was driven is in"),
                                          (False, "stopped before the car could move: nothing was driven; logs are in")])
def test_a_second_ctrl_c_says_what_is_left_out_and_where_the_rest_lies(tmp_path, monkeypatch, capsys, begun, words):
    from kd_planner_ros.cli.main import main
    from kd_planner_ros.evaluation import report

    def run(nodes, run_dir, *_):
        if begun:
            (run_dir / "run.json").write_text("{}")
            (run_dir / "statistics.json").write_text("{}")
        return drive_module._Outcome(interrupted=True)

    def again(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(drive_module, "_run", run)
    monkeypatch.setattr(report, "write", again)
    assert main(["drive", "--planner", "constant_velocity", "--out", str(tmp_path / "run")]) == 130
    said = capsys.readouterr().err
    assert words in said and str(tmp_path / "run") in said
