"""InterFuser's sensors between two processes over real DDS: nothing is lost that would have to be sent anew."""

import os
import subprocess
import sys
import time

import pytest
from support.graph import DOMAIN

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig
from kd_planner_ros.networks.interfuser.config import SMALL_INPUTS, InterFuserConfig
from kd_planner_ros.ros.graph.environment import OLD_PROFILES_FILE, PROFILES_FILE, graph_environment

RIG = InterFuserConfig(**{**SMALL_INPUTS, "side_width": 400, "side_height": 300}).rig
TICKS, TICK_BYTES = 12, (480_000, 480_000, 480_000, 470_000)

ENDS = f"""
import sys, time
import rclpy
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Int32

SIZES = {TICK_BYTES}
rclpy.init()
node = rclpy.create_node(sys.argv[1])
keep = QoSProfile(depth=5)
latched = QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL)  # an early answer waits for its reader
here = []
if sys.argv[1] == "sender":
    ports = [node.create_publisher(PointCloud2, f"sensor{{k}}", keep) for k in range(len(SIZES))]
    node.create_subscription(Int32, "answer", lambda message: here.append(message.data), latched)
    clouds = [PointCloud2(data=bytes(size)) for size in SIZES]
    end = time.monotonic() + 30.0
    while time.monotonic() < end and not all(port.get_subscription_count() for port in ports):
        rclpy.spin_once(node, timeout_sec=0.1)
    time.sleep(1.0)
    began, took = time.monotonic(), []
    for tick in range({TICKS}):
        sent = time.monotonic()
        for port, cloud in zip(ports, clouds):
            cloud.header.stamp.sec = tick
            port.publish(cloud)
        while tick not in here and time.monotonic() < began + 60.0:
            rclpy.spin_once(node, timeout_sec=0.05)
        took.append(time.monotonic() - sent)
    print(f"{{sorted(took)[len(took) // 2]:.4f}} s a tick, {{len(here)}} answered", flush=True)
else:
    port, got = node.create_publisher(Int32, "answer", latched), {{}}
    def take(message):
        tick = message.header.stamp.sec
        got[tick] = got.get(tick, 0) + 1
        if got[tick] == len(SIZES):
            port.publish(Int32(data=tick))
    for k in range(len(SIZES)):
        node.create_subscription(PointCloud2, f"sensor{{k}}", take, keep)
    end = time.monotonic() + 120.0
    while time.monotonic() < end:
        rclpy.spin_once(node, timeout_sec=0.1)
"""


def clean(monkeypatch):
    for name in (PROFILES_FILE, OLD_PROFILES_FILE, "FASTDDS_BUILTIN_TRANSPORTS", "ROS_DISTRO"):
        monkeypatch.delenv(name, raising=False)


def test_large_sensors_get_the_larger_shared_memory(monkeypatch):
    clean(monkeypatch)
    small = SensorRig(cameras=(CameraSpec("front", Pose(), 224, 64, 100.0),))
    assert PROFILES_FILE not in graph_environment(small)
    assert os.path.isfile(graph_environment(SensorRig(roadside=RoadsideWish()))[PROFILES_FILE]), "a station's picture has 0.33 MB"
    assert os.path.isfile(graph_environment(RIG)[PROFILES_FILE])
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    assert PROFILES_FILE not in graph_environment(RIG) and os.path.isfile(graph_environment(RIG)[OLD_PROFILES_FILE])
    for name in (PROFILES_FILE, OLD_PROFILES_FILE, "FASTDDS_BUILTIN_TRANSPORTS"):  # the user's own choice stays
        clean(monkeypatch)
        monkeypatch.setenv(name, "mine")
        assert PROFILES_FILE not in graph_environment(RIG)


@pytest.mark.alone
def test_a_tick_of_all_sensors_arrives_at_once(monkeypatch, tmp_path):
    pytest.importorskip("rclpy", reason="rclpy is absent: run 'make setup', or source ROS 2")
    clean(monkeypatch)
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    (tmp_path / "ends.py").write_text(ENDS)
    environment = {**os.environ, **graph_environment(RIG)}
    words = [sys.executable, str(tmp_path / "ends.py")]
    receiver = subprocess.Popen([*words, "receiver"], env=environment)
    try:
        time.sleep(0.5)
        sender = subprocess.run([*words, "sender"], env=environment, capture_output=True, text=True, timeout=110)
    finally:
        receiver.terminate()  # a killed one leaves its shared memory behind
        receiver.wait()
    assert sender.returncode == 0, sender.stderr
    seconds, answered = float(sender.stdout.split()[0]), int(sender.stdout.split()[-2])
    assert answered == TICKS and seconds < 1.0, sender.stdout  # the median; with samples lost it is 2 to 3 s
