"""The nodes of a graph as operating-system processes: started, watched, ended within two seconds."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from kd_planner_ros.ros.graph.describe import NodeProcess
from kd_planner_ros.ros.guard import die_with_parent

STOP_S, KILL_S = 1.4, 0.4
LAST_LINES = 2


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
                    env=dict(os.environ, **self._environment), start_new_session=True, preexec_fn=die_with_parent)

    def __exit__(self, *_: object) -> None:
        self.stop()

    def log(self, name: str) -> Path:
        """Where node ``name`` writes."""
        return self._folder / f"{name}.log"

    def last_line(self, name: str, count: int = 1) -> str:
        """The last line that node ``name`` wrote, or ""; with ``count`` the last lines, joined by " | "."""
        try:
            lines = self.log(name).read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return " | ".join(line.strip() for line in lines[-count:])

    def last_lines(self) -> dict[str, str]:
        """The last lines of every node's log, by its name."""
        return {node.name: self.last_line(node.name, LAST_LINES) for node in self._nodes}

    def begun(self) -> bool:
        """Whether any node has written a line."""
        return any(self.log(node.name).exists() and self.log(node.name).stat().st_size > 0 for node in self._nodes)

    def ended(self) -> dict[str, int]:
        """Exit status of every node that has ended, the first that ended first; negative: the signal that killed it."""
        ended = [name for name, process in self.running.items() if process.poll() is not None]
        return {name: self.running[name].returncode for name in sorted(ended, key=self._last_written_s)}

    def _last_written_s(self, name: str) -> float:
        """When node ``name`` wrote last: of two that have ended since the last look, the earlier one is the cause."""
        try:
            return self.log(name).stat().st_mtime
        except OSError:
            return 0.0

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
