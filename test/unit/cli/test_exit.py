"""The end of the command's process: at once, but not before exit handlers and threads."""

import subprocess
import sys

import pytest

START = """
import atexit, threading, time
from kd_planner_ros.cli import main as command

class Large:
    def __del__(self):
        time.sleep(300)  # as long as taking apart a large library may take on a busy machine

kept = Large()
atexit.register(print, "handlers")
"""


def run(code):
    return subprocess.run([sys.executable, "-c", START + code], capture_output=True, text=True, timeout=100, stdin=subprocess.DEVNULL)


def test_nothing_is_taken_apart_and_exit_handlers_run():
    done = run("command.main = lambda: print('result') or 3\ncommand.entry()")
    assert done.returncode == 3 and done.stdout.split() == ["result", "handlers"]


def test_a_thread_that_works_is_waited_for():
    done = run("del Large.__del__\n"
               "command.main = lambda: threading.Thread(target=lambda: (time.sleep(0.3), print('thread'))).start() or 2\ncommand.entry()")
    assert done.returncode == 2 and done.stdout.split() == ["thread", "handlers"]


@pytest.mark.slow
def test_an_error_keeps_its_status():
    words = [sys.executable, "-m", "kd_planner_ros.cli.main", "models", "nonsense"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100)
    assert done.returncode == 2 and "nonsense" in done.stderr
