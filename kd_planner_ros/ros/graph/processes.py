"""The nodes of a graph as operating-system processes: started, watched, ended within two seconds."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from kd_planner_ros.ros.graph.describe import NodeProcess

_PR_SET_PDEATHSIG = 1
STOP_S, KILL_S = 1.4, 0.4


def _die_with_parent() -> None:
    """A node must not outlive the command that started it, however that ended (Linux only; elsewhere nothing)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


class Processes:
    """The running nodes. A context manager: leaving it ends them all.

    Args:
        folder: receives parameter files and one log per node.
    """

    def __init__(self, nodes: Sequence[NodeProcess], folder: Path, environment: Mapping[str, str]):
        self._folder, self._nodes, self._environment = folder, nodes, environment
        self.running: dict[str, subprocess.Popen] = {}
        self.stop_s = 0.0

    def __enter__(self) -> Processes:
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def _start(self) -> None:
        for node in self._nodes:
            with self.log(node.name).open("wb") as log:
                # Own session: Ctrl-C goes to us alone, and we decide in which order they end.
                self.running[node.name] = subprocess.Popen(
                    node.command(self._folder), stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                    env=dict(os.environ, **self._environment), start_new_session=True, preexec_fn=_die_with_parent)

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self, name: str) -> Path:
        """Where node ``name`` writes."""
        return self._folder / f"{name}.log"

    def last_line(self, name: str) -> str:
        """The last line that node ``name`` wrote, or ""."""
        lines = self.log(name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def ended(self) -> dict[str, int]:
        """Exit status of every node that has ended; negative: the signal that killed it."""
        return {name: process.returncode for name, process in self.running.items() if process.poll() is not None}

    def stop(self) -> None:
        """Ask all to end, at once; kill those that do not. Takes at most ``STOP_S + KILL_S`` seconds."""
        started_s = time.monotonic()
        alive = [process for process in self.running.values() if process.poll() is None]
        for process in alive:
            process.send_signal(signal.SIGINT)
        if not self._wait(alive, started_s + STOP_S):
            for process in alive:
                if process.poll() is None:
                    process.kill()
            self._wait(alive, started_s + STOP_S + KILL_S)
        if alive:
            self.stop_s = time.monotonic() - started_s

    @staticmethod
    def _wait(processes: list[subprocess.Popen], until_s: float) -> bool:
        while any(process.poll() is None for process in processes):
            if time.monotonic() > until_s:
                return False
            time.sleep(0.02)
        return True
