"""OpenVINO as this process uses it: silent, sparing with memory, and one core that stays."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress
from functools import cache
from types import ModuleType
from typing import Any

import torch

TELEMETRY = "openvino_telemetry"
M_ARENA_MAX = -8
"""glibc's number of the setting, malloc.h."""


@cache
def load_openvino() -> tuple[ModuleType, Any]:
    """The ``openvino`` package and the ``openvino.Core`` that every engine of this process shares.

    The core is never let go: its CPU plugin lends an alternate signal stack to the thread that loads it, and takes back
    only that of the thread that unloads it. A planner made in one thread and collected in another would leave the first
    with a stack that is not mapped any more, and the next Ctrl-C would be a segmentation fault.

    Importing openvino reports the import and every conversion to a web analytics service, from a thread that forks. A
    car's computer does not ask for that, so the reporter is hidden first and openvino takes its own stand-in.

    Raises:
        ImportError: openvino is not installed.
    """
    if TELEMETRY not in sys.modules:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # the import system's word for "not there"
    import openvino
    _few_arenas()
    core = openvino.Core()
    if torch.backends.cpu.get_cpu_capability() == "AVX512":  # OpenVINO told to use AVX2 crashes without them on such a processor
        with suppress(RuntimeError):  # another version of OpenVINO may have no such property
            # Kernels made for each graph's chains of small operations: some 35 MB in a perceiver of ten parts, and no frame is faster.
            core.set_property("CPU", {"SNIPPETS_MODE": "DISABLE"})
    return openvino, core


def _few_arenas() -> None:
    """Let threads share two of glibc's heaps: those that compile graphs leave heaps of their own half empty, 20 MB of a perceiver."""
    with suppress(AttributeError, OSError):  # not glibc
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 2)
