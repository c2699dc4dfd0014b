"""Workers of an evaluation end with their parent, however it ends."""

import os
import signal
import subprocess
import sys
import time

SCRIPT = """
import multiprocessing, os, threading, time
from concurrent.futures import ProcessPoolExecutor
from kd_planner_ros.evaluation.worker import _end_with_parent

def begin():
    threading.Thread(target=_end_with_parent, daemon=True).start()

def pid():
    time.sleep(1.0)  # so that each worker gets one
    return os.getpid()

if __name__ == "__main__":
    pool = ProcessPoolExecutor(2, multiprocessing.get_context("spawn"), initializer=begin)
    print(*{one.result() for one in [pool.submit(pid) for _ in range(4)]}, flush=True)
    pool.submit(time.sleep, 600.0)
    time.sleep(600.0)
"""


def alive(pid):
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_workers_of_a_killed_parent_end(tmp_path):
    path = tmp_path / "parent.py"
    path.write_text(SCRIPT)
    parent = subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, text=True)
    workers = [int(word) for word in parent.stdout.readline().split()]
    assert workers and all(map(alive, workers))
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    until = time.monotonic() + 60.0
    while any(map(alive, workers)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(alive, workers))
