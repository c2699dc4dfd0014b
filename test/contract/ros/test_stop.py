"""A node's process: Ctrl-C while it starts, transitions that raise, a disk that is full. Real processes, real signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from support.fakes import FakePlanner
from support.graph import wait_for

from kd_planner_ros.ros.diagnostics import ERROR
from kd_planner_ros.ros.lifecycle import autostart
from kd_planner_ros.ros.nodes import controller_node, planner_node

TESTS = Path(__file__).parents[2]
START = """
import sys, time
from kd_planner_ros.ros.lifecycle import leave, run
from kd_planner_ros.ros.nodes import planner_node

def load(*arguments, **options):
    print("loading", flush=True)
    WORK

planner_node.load = load
leave(run(planner_node.PlannerNode, ["x", "--ros-args", "-p", "autostart:=true"]))
"""
SLEEPS = "time.sleep(300)"
SWALLOWS = """while True:
        try:
            time.sleep(300)
        except KeyboardInterrupt:  # as a library does that lets no handler of Python run
            pass"""


def started(work):
    """A planner's process that runs ``work`` while it loads its model."""
    process = subprocess.Popen([sys.executable, "-c", START.replace("WORK", work)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "loading", process.stderr.read()
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("work", [SLEEPS, SWALLOWS], ids=["sleeps", "swallows"])
def test_a_signal_during_the_start_ends_the_process(work, number):
    process = started(work)
    try:
        process.send_signal(number)
        _, said = process.communicate(timeout=60.0)  # it would sleep five minutes
    finally:
        process.kill()
    assert process.returncode == 130 and "Traceback" not in said, said


def test_a_signal_while_it_runs_lets_the_node_say_goodbye(tmp_path):
    code = ("import sys; from kd_planner_ros.ros.lifecycle import leave, run; from kd_planner_ros.ros.nodes.controller_node import *\n"
            "class Told(ControllerNode):\n"
            "    def __init__(self):\n        super().__init__(); self.create_timer(0.1, lambda: print('spun', flush=True))\n"
            "    def stand_down(self):\n        print('down', flush=True); super().stand_down()\n"
            "leave(run(Told, ['x', '--ros-args', '-p', 'autostart:=true']))")
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().strip() == "spun"
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60.0)
    finally:
        process.kill()
    assert "down" in said and process.returncode == 0


def test_an_unexpected_exception_is_told_with_its_traceback(graph, monkeypatch, capfd):
    def load(*arguments, **options):
        raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(planner_node, "load", load)
    node = graph.start(planner_node.PlannerNode, {"use_sim_time": False})
    assert not autostart(node)
    level, sentence = node.health.worst
    assert level == ERROR and sentence == "configure failed: internal error, RuntimeError: CUDA error: out of memory"
    assert wait_for(lambda: "in load" in capfd.readouterr().err)
    assert node._state_machine.current_state[1] == "unconfigured"
    monkeypatch.setattr(planner_node, "load", lambda *a, **k: FakePlanner())
    assert autostart(node) and node.health.get("transition") is None
    graph.spin_in_thread(node)


@pytest.mark.parametrize("transition", ["activate", "deactivate", "cleanup", "shutdown"])
def test_no_transition_swallows_an_exception(graph, monkeypatch, transition):
    def fail(self, state):
        raise KeyError("lost")

    monkeypatch.setattr(controller_node.ControllerNode, f"on_{transition}", fail)
    node = graph.start(controller_node.ControllerNode, {"use_sim_time": False})
    for one in {"activate": ["configure"], "deactivate": ["configure", "activate"], "cleanup": ["configure"], "shutdown": []}[transition]:
        getattr(node, f"trigger_{one}")()
    getattr(node, f"trigger_{transition}")()
    assert node.health.get("transition") == f"{transition} failed: internal error, KeyError: 'lost'"
    graph.spin_in_thread(node)


FULL = """
import sys
from pathlib import Path
from kd_planner_ros.ros import world_setup
from kd_planner_ros.ros.lifecycle import leave, run
from kd_planner_ros.ros.nodes import world_node
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import SensorRig
from support.fakes import FakeWorld, straight_route

folder = Path(sys.argv[1])
folder.mkdir()
(folder / "telemetry.csv").symlink_to("/dev/full")
world = FakeWorld(SensorRig(), 20)
world_node.make_world = lambda params, rig: (world, straight_route(), world.state, Weather())
values = [f"run_dir:={folder}", "ready_timeout_s:=0.0", "control_timeout_s:=0.05"]
leave(run(world_node.WorldNode, ["x", "--ros-args", *(word for value in values for word in ("-p", value))]))
"""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is absent: run the test on Linux")
def test_a_world_whose_disk_is_full_says_so_in_its_last_line(tmp_path):
    there = [str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path / "run")], env={**os.environ, "PYTHONPATH": os.pathsep.join(there)},
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "No space left on device" in last and "telemetry.csv" in last, done.stderr
    assert "Traceback" not in done.stderr and (tmp_path / "run" / "run.json").is_file()
