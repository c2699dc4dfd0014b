"""A node must not outlive the process that started it: a car that is driven while nobody can stop it."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

PARENT = "KD_PLANNER_ROS_PARENT"
"""Environment variable: process id of the launch process, as it writes it for its nodes."""
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
