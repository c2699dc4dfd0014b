"""The launch files under the real launch and launch_ros: arguments, refusals, exit status, what the console says.

Both are on no package index: where they cannot be imported these tests skip; docs/notes/ros2_launch.md says how they were run.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from support.bags import copy_bag, write_bag
from support.graph import PROCESSES_DOMAIN, wait_for
from support.workspace import ROOT, install_space

LAUNCH_FILES = sorted((ROOT / "launch").glob("*.launch.py"))
DRIVE, REPLAY, TRAIN = (ROOT / "launch" / f"{name}.launch.py" for name in ("drive", "replay", "train"))


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory):
    """Skip where the real launch and launch_ros are absent. launch/ of this checkout is no package and is not them."""
    code = "import launch.actions, launch_ros.actions"
    if subprocess.run([sys.executable, "-c", code], cwd="/", capture_output=True).returncode:
        pytest.skip("launch and launch_ros are not installed: source ROS 2, or put both (ros2/launch, ros2/launch_ros, "
                    "osrf-pycommon) on PYTHONPATH")
    space, temporary = install_space(tmp_path_factory.mktemp("install")), tmp_path_factory.mktemp("temporary")
    ENVIRONMENT.update(os.environ, PYTHONPATH=f"{ROOT}:{os.environ.get('PYTHONPATH', '')}", ROS_DOMAIN_ID=str(PROCESSES_DOMAIN),
                       TMPDIR=str(temporary), AMENT_PREFIX_PATH=f"{space}:{os.environ.get('AMENT_PREFIX_PATH', '')}")


ENVIRONMENT: dict[str, str] = {}


def launch(script, *words, timeout=300):
    """Run ``script`` to its end."""
    return subprocess.run([sys.executable, "-c", script, *map(str, words)], cwd=tempfile.gettempdir(), capture_output=True, text=True,
                          timeout=timeout, env=ENVIRONMENT)


def launch_until(wanted, *words, seconds=150, act=lambda process: process.send_signal(signal.SIGINT), end_s=20.0):
    """Run a launch file until every text of ``wanted`` was printed, then ``act`` (Ctrl-C); gives back (output, status)."""
    process = subprocess.Popen([sys.executable, "-c", RUN, *map(str, words)], cwd="/", text=True, env=ENVIRONMENT,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    watchdog = threading.Timer(seconds, process.kill)
    watchdog.start()
    text = ""
    try:
        for line in process.stdout:
            text += line
            if all(one in text for one in wanted):
                act(process)
                break
        text += process.stdout.read()
        return text, process.wait(end_s)
    finally:
        watchdog.cancel()
        process.kill()


ARGUMENTS = """
import sys
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch import LaunchContext
description = PythonLaunchDescriptionSource(sys.argv[1]).get_launch_description(LaunchContext())
for argument in description.get_launch_arguments():
    print(argument.name, "|", argument.description)
"""
REPLAYED = """
import sys
from launch import LaunchContext
from kd_planner_ros.ros.graph.launching import replay_actions, replay_arguments
context, names = LaunchContext(), [argument.name for argument in replay_arguments()]
context.launch_configurations.update({name: sys.argv[1] and sys.argv[1] + name for name in names})
print(*(part.perform(context) for word in replay_actions(context)[-1].cmd for part in word))
"""
RUN = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=[tuple(w.split(":=", 1)) for w in sys.argv[2:]])]))
sys.exit(service.run())
"""


@pytest.mark.parametrize("path", LAUNCH_FILES, ids=lambda path: path.name)
def test_every_launch_argument_has_a_text(path):
    result = launch(ARGUMENTS, path)
    assert result.returncode == 0, result.stderr
    lines = dict(line.split(" | ", 1) for line in result.stdout.splitlines())
    assert all(len(text) > 10 for text in lines.values()) and lines
    if path.name == "drive.launch.py":
        assert {"world", "planner", "role_name", "carla_profile", "carla_version", "map", "route", "device",
                "engine"} <= set(lines)


def test_replay_launch_hands_on_what_was_given():
    words = launch(REPLAYED, "given_").stdout.split()
    assert words[0].endswith("/lib/kd_planner_ros/kd-planner") and words[1] == "replay" and words[-1] == "--json"
    options = dict(zip(words[2:-1:2], words[3:-1:2], strict=True))
    assert options and all(value == "given_" + option[2:].replace("-", "_") for option, value in options.items())
    assert {"--bag", "--params-file", "--log-level", "--device", "--camera", "--max-drops"} <= set(options)
    assert launch(REPLAYED.replace('+ name for', '+ "a=b c=d" for'), "x").stdout.count("--camera xa=b c=d --") == 1
    assert launch(REPLAYED, "").stdout.split()[1:] == ["replay", "--json"]


def test_drive_launch_starts_planner_and_controller_beside_carla(tmp_path):
    text, status = launch_until(
        ["[carla.hero.planner]: waiting for the route on /carla/hero/global_plan",
         "[carla.hero.controller]: waiting for the planner", "no message on /carla/hero/odometry"],
        DRIVE, "world:=carla",
        "planner:=constant_velocity", "carla_profile:=carla_bridge_lb2", f"sensors_file:={tmp_path / 'objects.json'}")
    assert status == 0 and "Traceback" not in text, text
    assert text.count("process has finished cleanly") == 3 and (tmp_path / "objects.json").is_file()
    assert "[planner-1]" in text and "[controller-2]" in text and not leftovers()


def test_drive_launch_refuses_the_builtin_worlds_arguments_beside_carla(tmp_path):
    result = launch(RUN, DRIVE, "world:=carla", "planner:=constant_velocity",
                    f"run_dir:={tmp_path}", "seed:=3")
    assert result.returncode != 0 and "seed, run_dir with world:=builtin alone; got world:=carla" in result.stdout + result.stderr


def test_drive_launch_drives_the_builtin_world_to_its_end(tmp_path):
    result = launch(RUN, DRIVE, "planner:=constant_velocity", "time:=2",
                    "vehicles:=5", "walkers:=2", "scenarios:=false", "threads:=2", f"run_dir:={tmp_path}")
    text = result.stdout + result.stderr
    assert result.returncode == 0, text
    assert text.count("process has finished cleanly") == 4 and "Traceback" not in text
    assert len((tmp_path / "telemetry.csv").read_text().splitlines()) == 41
    begin = text.index("[carla.ego_vehicle.world]: driving: map default, route 6")
    end = text.index("[carla.ego_vehicle.world]: finished: stopped before the end, route ")
    assert begin < end and "driving score " in text[end:] and f"run folder {tmp_path}" in text[end:]
    warned = [line for line in text.splitlines() if "[WARN" in line and "no message yet on" not in line]  # the map takes a while to load
    assert not warned and not leftovers(), "a start in order is nothing to warn of"


def test_train_launch_trains_to_its_end(tmp_path):
    for number in range(2):
        copy_bag(tmp_path / "bags of mine" / f"b{number}", seconds=4.0, seed=number, labels=False)
    more = " ".join(f"{name}:={tmp_path / name}" for name in ("runs_dir", "cache"))
    result = launch(RUN, TRAIN, f"bags:={tmp_path / 'bags of mine'}", "name:=launched", f"models_dir:={tmp_path / 'models'}",
                    "args:=size:=3.1m tcp.input_height:=32 tcp.input_width:=64 batch:=2 epochs:=1 threads:=1 device:=cpu " + more)
    text = result.stdout + result.stderr
    assert result.returncode == 0 and "finished: step" in text and "Traceback" not in text, text
    assert (tmp_path / "models" / "launched" / "card.json").is_file() and "[trainer-1]" in text


@pytest.fixture(autouse=True)
def clean(environment):
    """What a launch that was killed has left behind is not the next test's fault."""
    for path in Path(ENVIRONMENT["TMPDIR"]).glob("kd_planner_ros_*"):
        shutil.rmtree(path)


def leftovers():
    """Folders that a launch has left behind in the temporary folder; launch_ros leaves parameter files of its own."""
    return [path.name for path in Path(ENVIRONMENT["TMPDIR"]).glob("kd_planner_ros_*")]


WRONG = {
    DRIVE: {
        "world:=sometimes": "valid options", "planner:=nobody": "got 'nobody'", "role_name:=Ego-1": "expected a role name",
        "device:=cuda:77": "expected a gpu for device cuda:77", "carla_profile:=nonsense": "got 'nonsense'",
        "engine:=tensorrt": "valid options", "models_dir:=/nowhere": "a folder of models at /nowhere", "perception:=maybe": "valid options",
        "threads:=0": "got 0", "sensors_file:=/proc/no/file": "expected to use /proc/no",
        "params_file:=/nowhere.yaml": "a parameter file at", "log_level:=loud": "valid options",
        "namespace:=a-b": "got 'a-b'", "use_sim_time:=perhaps": "valid options",
        "map:=nowhere": "got 'nowhere'", "route:=nowhere": "route file at nowhere", "snap:=perhaps": "valid options",
        "stations:=/nowhere": "expected a stations file", "seed:=x": "got 'x'", "vehicles:=501": "got 501", "walkers:=-1": "got -1",
        "scenarios:=some": "valid options", "weather:=Sunny": "got 'sunny'", "time:=long": "got 'long'",
        "run_dir:=/proc/no": "expected to use /proc/no", "vehicels:=3": "got vehicels; the nearest to 'vehicels' is 'vehicles'",
        "perceiver:=nobody perception:=true": "got 'nobody'",
        "fallback_planner:=nobody": "got 'nobody'",
    },
    REPLAY: {
        "bag:=/nowhere": "expected a rosbag2 folder or file", "rate:=fast": "invalid float value: 'fast'", "rate:=-1": "got -1.0 and",
        "planner:=nobody": "got 'nobody'", "role_name:=Ego-1": "expected a role name", "carla_profile:=nonsense": "got 'nonsense'",
        "device:=cuda:77": "expected a gpu for device cuda:77", "engine:=tensorrt": "valid options",
        "models_dir:=/nowhere": "a folder of models at /nowhere", "params_file:=/nowhere.yaml": "a parameter file at",
        "log_level:=loud": "valid options", "speed:=2": "got speed; correct the name",
        "perception:=nobody": "got 'nobody'", "out:=/proc": "no recording at /proc yet",
        "v2x_seed:=-1": "v2x-seed", "v2x_latency_ms:=-1": "v2x-latency-ms", "v2x_jitter_ms:=-1": "v2x-jitter-ms",
        "v2x_loss:=2": "v2x-loss", "v2x_burst:=0": "v2x-burst",
    },
    TRAIN: {
        "recipe:=/nowhere.yaml": "expected a recipe", "args:=bogus:=1": "got bogus", "args:=epoch:=2": "is 'epochs'",
        "args:=epochs:=many": "got 'many'", "args:=epochs": "name:=value", "processes:=0": "got 0", "processes:=two": "got 'two'",
        "params_file:=/nowhere.yaml": "a parameter file at", "autostart:=maybe": "valid options", "args:=init:='": "quotes in pairs",
        "log_level:=loud": "valid options", "namespace:=a-b": "got 'a-b'", "bags:=/nowhere": "expected recordings in",
        "name:=../up": "expected --name", "models_dir:=/proc/no": "expected to use /proc/no",
        "epochs:=2": "got epochs",
    },
}
"""Words of the refusal that stand in no argument: a launch prints the command line of a process that died."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A recording that ``constant_velocity`` can be played."""
    return write_bag(tmp_path_factory.mktemp("played") / "arc", seconds=1.0)


@pytest.mark.parametrize("path, given, words", [
    pytest.param(path, given, words, id=f"{path.name.split('.')[0]}-{given}")
    for path, table in WRONG.items() for given, words in table.items()])
def test_a_wrong_argument_ends_the_launch_with_one_line_and_status_1(path, given, words, tmp_path, recording):
    right = {REPLAY: [f"bag:={recording}", "planner:=constant_velocity"], TRAIN: [f"bags:={tmp_path}"]}.get(path, [])
    result = launch(RUN, path, *right, *given.replace(" perception", "\nperception").splitlines())
    text = result.stdout + result.stderr
    assert result.returncode == 1 and words in text.lower() and "Traceback" not in text, text
    assert not leftovers()


@pytest.mark.parametrize(("sent", "status_of_node"), [(signal.SIGKILL, "-9"), (signal.SIGTERM, "0 before the launch was asked to end")])
def test_a_node_that_dies_or_is_ended_ends_the_launch_with_status_1(sent, status_of_node):
    def kill(process):
        planner = subprocess.run(["pgrep", "-P", str(process.pid), "-f", "planner"], capture_output=True, text=True).stdout.split()
        os.kill(int(planner[0]), sent)

    text, status = launch_until(["[carla.ego_vehicle.planner]: waiting for the route"], DRIVE, "world:=none",
                                "planner:=constant_velocity", act=kill)
    assert status == 1 and f"planner ended with status {status_of_node}" in text, text


def test_a_planner_that_dies_beside_a_fallback_planner_does_not_end_the_launch(tmp_path):
    """The world drives on to its end; the exit status is 1 then."""
    def kill(process):
        planner = subprocess.run(["pgrep", "-P", str(process.pid), "-f", "lib/kd_planner_ros/planner.*__node:=planner"],
                                 capture_output=True, text=True).stdout.split()
        os.kill(int(planner[0]), signal.SIGKILL)

    text, status = launch_until(["[carla.ego_vehicle.controller]: driving"], DRIVE, "planner:=constant_velocity",
                                "fallback_planner:=constant_velocity", "time:=6", "vehicles:=0", "walkers:=0", "scenarios:=false",
                                f"run_dir:={tmp_path}", act=kill, end_s=120.0)
    assert status == 1 and "fallback_planner drives on" in text and "fallback_planner drove to the end" in text, text
    rows = (tmp_path / "telemetry.csv").read_text().splitlines()
    assert len(rows) == 121 and "slower_plan" in rows[-1]


def test_no_node_outlives_a_launch_that_was_killed():
    nodes = []

    def kill(process):
        nodes.extend(map(int, subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout.split()))
        process.kill()

    launch_until(["[carla.ego_vehicle.planner]: waiting for the route", "[carla.ego_vehicle.controller]: waiting for the planner"], DRIVE,
                 "world:=none", "planner:=constant_velocity", act=kill)
    assert len(nodes) >= 2 and wait_for(lambda: not any(Path(f"/proc/{one}").exists() for one in nodes))


def test_drive_launch_gives_the_nodes_what_was_asked_for(tmp_path):
    (tmp_path / "mine.yaml").write_text("/**: {ros__parameters: {unseen_after_s: 1.0}}")
    text, status = launch_until(["no message on /car/odometry for 1 s", "[DEBUG]", "[car.planner]"], DRIVE, "world:=none",
                                "planner:=constant_velocity", "namespace:=car", "log_level:=debug", "use_sim_time:=false",
                                f"params_file:={tmp_path / 'mine.yaml'}")
    assert status == 0 and "[car.planner]" in text, text[-3000:]
