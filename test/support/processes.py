"""Scripts in two processes through torchrun; a training run of which each tells what it holds after every step."""

import os
import subprocess
import sys
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


def run_by_two(script: str, folder: Path) -> list[str]:
    """The lines that the two processes print which run ``script`` at the same time; it is kept in ``folder``."""
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
