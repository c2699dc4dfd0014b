"""OpenVINO leaves signals as they were, reports to nobody, and is sparing where that is known to work."""

import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from kd_planner_ros.runtime.openvino_core import load_openvino

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


@pytest.mark.parametrize("capability, wanted", [("AVX512", [("CPU", {"SNIPPETS_MODE": "DISABLE"})]), ("AVX2", [])])
def test_fused_kernels_are_left_out_where_that_is_known_to_work(monkeypatch, capability, wanted):
    told = []
    core = SimpleNamespace(set_property=lambda *what: told.append(what))
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=lambda: core))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert load_openvino.__wrapped__()[1] is core and told == wanted


def test_an_openvino_without_that_property_is_taken_as_it_is(monkeypatch):
    def refuse(*what):
        raise RuntimeError("no such property")

    core = SimpleNamespace(set_property=refuse)
    monkeypatch.setitem(sys.modules, "openvino", SimpleNamespace(Core=lambda: core))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    assert load_openvino.__wrapped__()[1] is core
