"""Scripts in two processes, started as torchrun starts them; a training run of which each tells what it holds after every step."""

import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_SCRIPT = """
import hashlib, sys
from pathlib import Path, PosixPath

from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.train import TrainConfig, train


def telling(name):
    step = getattr(Learner, name)

    def told(self, *arguments):
        values = step(self, *arguments)
        held = [*self.model.parameters(), *self.distillation.method.parameters()]
        text = b"".join(p.detach().numpy().tobytes() for p in held)
        number = next(one for one in reversed(arguments) if isinstance(one, int))
        sys.stdout.write("after %s %d %s\\n" % (name, number, hashlib.sha256(text).hexdigest()))
        sys.stdout.flush()
        return values

    setattr(Learner, name, told)


telling("step")
telling("learn_alone")
train(CONFIG)
"""


def told_by_two(config, folder: Path) -> list[str]:
    """``after <step or learn_alone> <number> <hash of student and method>``, a line for each process and step."""
    return [line for line in run_by_two(_SCRIPT.replace("CONFIG", repr(config)), folder) if line.startswith("after")]


def run_by_torchrun(script: str, folder: Path) -> list[str]:
    """``run_by_two`` through torchrun itself, whose import takes some seconds more."""
    path, said = folder / "go.py", folder / "said"
    path.write_text(script)
    done = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
                           "--log-dir", str(said), "--redirects", "1", str(path)],  # one file each: lines of two would mix
                          stderr=subprocess.PIPE, text=True, timeout=600,
                          env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    files = sorted(said.rglob("stdout.log"))
    assert len(files) == 2, files
    return [line for file in files for line in file.read_text().splitlines()]


def run_by_two(script: str, folder: Path) -> list[str]:
    """The lines that the two processes print which run ``script`` at the same time; it is kept in ``folder``."""
    path = folder / "go.py"
    path.write_text(script)
    with socket.socket() as one:  # a port that is free now
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    shared = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", "WORLD_SIZE": "2",
              "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}  # what torchrun tells its processes
    started = [subprocess.Popen([sys.executable, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)}) for rank in range(2)]
    with ThreadPoolExecutor(2) as readers:
        try:
            ended = [one.result() for one in [readers.submit(process.communicate, timeout=600) for process in started]]
        finally:
            for process in started:
                process.kill()
    assert [process.returncode for process in started] == [0, 0], "".join(errors[-2000:] for _, errors in ended)
    return [line for text, _ in ended for line in text.splitlines()]
