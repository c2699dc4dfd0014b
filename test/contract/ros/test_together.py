"""Training in several processes: none of them outlives a launch, or torchrun, that was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from support.graph import wait_for

from kd_planner_ros.ros.guard import PARENT

TRAINER = """#!{python}
# As the installed executable begins; its training only waits.
import os, sys, time
from pathlib import Path

from kd_planner_ros.ros.together import share_out

share_out(sys.argv)
assert sys.argv[1:] == ["--ros-args", "-p", "x:=1"], sys.argv
Path({folder!r}, os.environ["RANK"]).write_text(str(os.getpid()))
time.sleep(600.0)
"""
LAUNCH = """
import os, subprocess, sys
started = subprocess.Popen([sys.argv[1], "--processes", "2", "--ros-args", "-p", "x:=1"], env={**os.environ, sys.argv[2]: str(os.getpid())})
print(started.pid, flush=True)
started.wait()
"""


def test_the_trainers_executable_shares_out_first(monkeypatch):
    from kd_planner_ros.ros.nodes import trainer_node

    done = []
    monkeypatch.setattr(trainer_node, "share_out", done.append)
    monkeypatch.setattr(trainer_node, "run", lambda kind: done.append("run") or 0)
    monkeypatch.setattr(trainer_node, "leave", lambda status: (_ for _ in ()).throw(SystemExit(status)))
    with pytest.raises(SystemExit):
        trainer_node.main()
    assert done == [sys.argv, "run"]


def alive(pid):
    """Whether the process runs; one that has ended and that nobody has asked for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["the launch", "torchrun"])
def test_no_trainer_outlives_what_started_it(tmp_path, killed):
    script = tmp_path / "trainer"
    script.write_text(TRAINER.format(python=sys.executable, folder=str(tmp_path)))
    script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3]), "OMP_NUM_THREADS": "1"}
    launch = subprocess.Popen([sys.executable, "-c", LAUNCH, str(script), PARENT], stdout=subprocess.PIPE, text=True, env=environment)
    pids = []
    try:
        pids.append(int(launch.stdout.readline()))
        assert wait_for(lambda: all((tmp_path / rank).is_file() and (tmp_path / rank).read_text() for rank in "01"), 120.0)
        pids += [int((tmp_path / rank).read_text()) for rank in "01"]
        assert all(map(alive, pids)) and len(set(pids)) == 3
        os.kill(launch.pid if killed == "the launch" else pids[0], signal.SIGKILL)
        assert wait_for(lambda: not any(map(alive, pids)), 30.0), "a process lives on"
    finally:
        for pid in (launch.pid, *pids):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        launch.wait()
