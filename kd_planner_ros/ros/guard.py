"""A node must not outlive the process that started it: a car that is driven while nobody can stop it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import threading
import time

PARENT = "KD_PLANNER_ROS_PARENT"
"""Environment variable: process id of the launch process, as it writes it for its nodes."""
TORCHRUN = "TORCHELASTIC_RUN_ID"
"""Environment variable that torchrun sets for its processes."""
_PR_SET_PDEATHSIG = 1


def die_with_parent(number: int = signal.SIGINT) -> None:
    """Let the kernel send this process ``number`` when its parent ends, however that ended (Linux only; elsewhere nothing)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)


def follow_launch() -> None:
    """``die_with_parent`` where a launch process started this one. A child of such a process inherits the variable: it is none of
    the launch process's own."""
    if os.environ.get(PARENT) == str(os.getppid()):
        die_with_parent()
        if os.environ[PARENT] != str(os.getppid()):  # it has ended in between
            os.kill(os.getpid(), signal.SIGINT)


def follow_torchrun(patience_s: float = 40.0) -> None:
    """``die_with_parent`` where torchrun started this process. One that waits for another inside a library does not see the signal: it
    ends ``patience_s`` later, which is longer than a checkpoint takes."""
    if TORCHRUN in os.environ:
        threading.Thread(target=_outlast, args=(os.getppid(), patience_s), name="outlast", daemon=True).start()
        die_with_parent()


def _outlast(parent: int, patience_s: float) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    time.sleep(patience_s)
    os._exit(1)
