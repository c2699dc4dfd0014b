"""OpenVINO leaves signals as they were, and reports to nobody."""

import importlib.util
import subprocess
import sys

import pytest

if importlib.util.find_spec("openvino") is None:
    pytest.skip("openvino is not installed: pip install openvino", allow_module_level=True)

DROPPED_ELSEWHERE = """
import gc, os, signal, sys, threading, torch
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.engines import OpenVinoEngine

network = find_network("tcp")
config = network.config({"size": "3.1m", "input_height": 64, "input_width": 96})
example = {"image": torch.zeros(1, 3, 64, 96), "state": torch.zeros(1, 9)}
held = [OpenVinoEngine(network.build_model(config).eval(), network, example)]

def drop():
    held.clear()
    gc.collect()

worker = threading.Thread(target=drop)
worker.start()
worker.join()
signal.signal(signal.SIGINT, lambda *_: print("interrupted", flush=True))
os.kill(os.getpid(), signal.SIGINT)
threads = [t.name for t in threading.enumerate()]
print("alive; telemetry", sys.modules.get("openvino_telemetry"), threads, os.listdir(os.environ["HOME"]))
"""


@pytest.mark.slow
def test_ctrl_c_after_an_engine_was_dropped_in_another_thread(tmp_path):
    """It was a segmentation fault: the plugin's alternate signal stack was unmapped by a thread that did not own it."""
    done = subprocess.run([sys.executable, "-c", DROPPED_ELSEWHERE], capture_output=True, text=True, timeout=120,
                          env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)})
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:2] == ["interrupted", "alive; telemetry None ['MainThread'] []"]
