"""The planner on its thread: newest set in, plan or fault out, memory cleared when time was set back."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import KdPlannerError
from kd_planner_ros.core.records import EgoState, Frame, Plan
from kd_planner_ros.networks.planner import require_planner
from kd_planner_ros.networks.registry import build_weightless, is_weightless
from kd_planner_ros.ros.diagnostics import ERROR, Health
from kd_planner_ros.ros.worker import Worker
from kd_planner_ros.sync.aligner import AlignedSet


def load(name: str, device: str, engine: str, models_dir: str, threads: int, warm_up: Callable[[Any], Frame]) -> Any:
    """Planner ``name``, run once on the frame that ``warm_up(rig)`` gives, and reset.

    Raises:
        PlannerError, CardError: as ``runtime.load.load_planner``.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is loaded; more would fight the executor thread
    if is_weightless(name):  # a start without torch takes a second
        planner = require_planner(build_weightless(name))
    else:
        from kd_planner_ros.runtime.load import load_planner

        planner = load_planner(name, device=device, engine=engine, models_dir=models_dir or None)
    planner.plan(warm_up(planner.rig))
    planner.reset()
    return planner


class Inference:
    """Runs ``planner`` on sets of inputs. A plan or fault whose time was set back under it is thrown away.

    Args:
        make_frame: unpacks a set; called on the worker thread.
        on_plan, on_fault: called on the worker thread with (plan, ego) and (stamp_ns, error's class name).
    """

    def __init__(self, planner: Any, health: Health, make_frame: Callable[[AlignedSet], Frame],
                 on_plan: Callable[[Plan, EgoState], None], on_fault: Callable[[int, str], None]):
        self.planner, self._health, self._make_frame = planner, health, make_frame
        self._on_plan, self._on_fault = on_plan, on_fault
        self.plans = self.faults = 0
        self._latencies_ms: deque[float] = deque(maxlen=200)
        self._epoch = self._planned_epoch = 0
        self._lock = threading.Lock()
        self._worker = Worker(self._work, "inference")

    def put(self, inputs: AlignedSet) -> None:
        """Plan on ``inputs`` next; a set that still waits is dropped."""
        self._worker.slot.put((self._epoch, inputs))

    def forget(self) -> None:
        """Throw away what waits or is under way, and reset the planner before its next plan."""
        with self._lock:
            self._epoch += 1
        self._worker.slot.clear()

    def _work(self, job: tuple[int, AlignedSet]) -> None:
        epoch, inputs = job
        started = time.perf_counter()
        try:
            if epoch != self._planned_epoch:
                self.planner.reset()
                self._planned_epoch = epoch
            frame = self._make_frame(inputs)
            plan = self.planner.plan(frame)
            self._latencies_ms.append((time.perf_counter() - started) * 1e3)
            with self._lock:
                if epoch == self._epoch:
                    self.plans += 1
                    self._on_plan(plan, frame.ego)
        except Exception as error:  # noqa: BLE001  whatever the planner does, the car must be stopped and the node must live
            self._report(epoch, inputs.stamp_ns, error)
        else:
            self._health.clear("planner")

    def _report(self, epoch: int, stamp_ns: int, error: Exception) -> None:
        known = isinstance(error, KdPlannerError)
        sentence = str(error) if known else f"the planner failed: {type(error).__name__}: {error}"
        with self._lock:
            if epoch == self._epoch:
                self.faults += 1
                self._on_fault(stamp_ns, type(error).__name__)
                self._health.set("planner", ERROR, " ".join(sentence.split()))

    def values(self) -> dict[str, Any]:
        """Counts and latencies for the diagnostics."""
        values = {"plans": self.plans, "faults": self.faults, "dropped frames": self._worker.slot.dropped}
        if self._latencies_ms:
            p50, p95 = np.percentile(list(self._latencies_ms), [50, 95])
            values |= {"latency p50 ms": f"{p50:.1f}", "latency p95 ms": f"{p95:.1f}"}
        return values

    def close(self) -> None:
        """End the thread; what is under way is thrown away, plan or fault."""
        self.forget()
        self._worker.close()
