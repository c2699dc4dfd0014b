"""A model on its thread: newest set in, result or fault out, memory cleared when time was set back."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import KdPlannerError, PlannerError
from kd_planner_ros.core.frames import make_frame
from kd_planner_ros.core.notices import reported
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.planner import PERCEIVER, PLANNER, Model, require_model
from kd_planner_ros.networks.registry import build_weightless, folders, is_weightless
from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.latency import LatencyHealth
from kd_planner_ros.ros.worker import Worker
from kd_planner_ros.runtime.bench import noise_views
from kd_planner_ros.sync.aligner import AlignedSet


def load(name: str, role: str, device: str, engine: str, models_dir: str, threads: int) -> Model:
    """Model ``name`` of ``role``, run once on a blank frame, and reset.

    Raises:
        PlannerError: as ``runtime.load.load_model_runner``, or the model reads the scene itself, which no topic carries. CardError.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when torch is loaded; more would fight the executor thread
    if is_weightless(name):  # a start without torch takes a second
        model = require_model(build_weightless(name), role)
    else:
        from kd_planner_ros.runtime.load import load_model_runner

        model = load_model_runner(name, role, device=device, engine=engine, models_dir=models_dir or None, spare=True)
    if model.rig.scene:
        raise PlannerError(f"a {role} of sensors", f"'{name}', which reads the scene itself",
                           "measure it with 'kd-planner evaluate', or drive a student of it")
    work_of(model)(blank_frame(model))
    model.reset()
    return model


def tell_plugins(health: Health) -> None:
    """Report each plugin that cannot be used, whether or not it is the one that is asked for."""
    folders()
    if reported():
        health.set("plugins", WARN, "; ".join(reported()))


def work_of(model: Any) -> Callable[[Frame], Any]:
    """What ``model`` does with a frame: ``perceive`` of a perceiver, ``plan`` of a planner."""
    return model.perceive if getattr(model, "role", PLANNER) == PERCEIVER else model.plan


def needs_route(model: Model) -> bool:
    """Whether the frames of ``model`` have a goal: those of a planner do unless its rig says that it needs no route; those of a
    perceiver never do."""
    return model.role == PLANNER and model.rig.needs_route


def blank_frame(model: Model) -> Frame:
    """A frame of grey pictures and one point per cloud, with the history that ``model`` declares, for warming up."""
    rig = model.rig
    goal = NavigationGoal(np.array([20.0, 0.0]), Command.LANE_FOLLOW) if needs_route(model) else None
    images = {spec.id: np.full((spec.height, spec.width, 3), 128, np.uint8) for spec in rig.cameras}
    clouds = {spec.id: np.array([[10.0, 0.0, -1.0, 0.5]], np.float32) for spec in rig.lidars}
    frame = make_frame(rig.cameras, EgoState(0, Pose(), 0.0), goal, images, clouds, roadside=noise_views(rig.roadside))
    return replace(frame, history=tuple(replace(frame, stamp_ns=-round(1e9 * age_s)) for age_s in rig.history_s))


class Inference:
    """Runs ``model`` on sets of inputs. A result or fault whose time was set back under it is thrown away.

    Args:
        make_frame: unpacks a set; called on the worker thread.
        work: what is done with a frame; called on the worker thread.
        on_result, on_fault: called on the worker thread with (result, frame) and (stamp_ns, error's class name).
        on_reset: called on the worker thread when the model is reset.
        max_latency_s: processing time above which a result is late, 0: the model's period; ``max_late`` such results in a row are
            an error.
        on_time: called on the worker thread with the milliseconds from the set to its published result.
    """

    def __init__(self, model: Any, health: Health, make_frame: Callable[[AlignedSet], Frame], work: Callable[[Frame], Any],
                 on_result: Callable[[Any, Frame], None], on_fault: Callable[[int, str], None],
                 on_reset: Callable[[], None] = lambda: None, max_latency_s: float = 0.0, max_late: int = 10,
                 on_time: Callable[[float], None] = lambda took_ms: None):
        self.model, self._health, self._make_frame = model, health, make_frame
        self._run, self._role = work, getattr(model, "role", PLANNER)
        self._on_result, self._on_fault, self._on_reset, self._on_time = on_result, on_fault, on_reset, on_time
        self.results = self.faults = 0
        self._latencies_ms: deque[float] = deque(maxlen=200)
        self._overheads_ms: deque[float] = deque(maxlen=200)
        self._results = "perceptions" if self._role == PERCEIVER else "plans"
        self._latency = LatencyHealth(health, max_latency_s or 1.0 / getattr(model, "rate_hz", 10.0), max_late, self._results)
        self._epoch = self._done_epoch = 0
        self._lock = threading.Lock()
        self._worker = Worker(self._work, "inference")

    def put(self, inputs: AlignedSet) -> None:
        """Run on ``inputs`` next; a set that still waits is dropped."""
        self._worker.slot.put((self._epoch, inputs))

    def forget(self) -> None:
        """Throw away what waits or is under way, and reset the model before its next run."""
        with self._lock:
            self._epoch += 1
            self._latency.reset()
        self._worker.slot.clear()

    def _work(self, job: tuple[int, AlignedSet]) -> None:
        epoch, inputs = job
        started = time.perf_counter()
        try:
            if epoch != self._done_epoch:
                self.model.reset()
                self._on_reset()
                self._done_epoch = epoch
            frame = self._make_frame(inputs)
            unpacked = time.perf_counter()
            result = self._run(frame)
            done = time.perf_counter()
            self._latencies_ms.append((done - started) * 1e3)
            with self._lock:
                if epoch == self._epoch:
                    self._on_result(result, frame)
                    self.results += 1
                    self._latency.add(done - started)
                    published = time.perf_counter()
                    self._overheads_ms.append((unpacked - started + published - done) * 1e3)
                    self._on_time((published - started) * 1e3)
        except Exception as error:  # noqa: BLE001  whatever the model does, the car must be stopped and the node must live
            self._report(epoch, inputs.stamp_ns, error)
        else:
            self._health.clear(self._role)

    def _report(self, epoch: int, stamp_ns: int, error: Exception) -> None:
        known = isinstance(error, KdPlannerError)
        sentence = str(error) if known else f"the {self._role} failed: {type(error).__name__}: {error}"
        with self._lock:
            if epoch == self._epoch:
                self.faults += 1
                self._on_fault(stamp_ns, type(error).__name__)
                self._health.set(self._role, ERROR, " ".join(sentence.split()))

    def values(self) -> dict[str, Any]:
        """Counts, latencies and the warnings of this process so far, for the diagnostics."""
        values = {self._results: self.results, "faults": self.faults, "dropped frames": self._worker.slot.dropped,
                  f"late {self._results}": self._latency.late}
        if self._latencies_ms:
            p50, p95 = np.percentile(list(self._latencies_ms), [50, 95])
            values |= {"latency p50 ms": f"{p50:.1f}", "latency p95 ms": f"{p95:.1f}"}
        if self._overheads_ms:  # unpacking and publishing: what the node costs beside its model
            values["overhead p50 ms"] = f"{np.median(list(self._overheads_ms)):.2f}"
        if told := reported():
            values["warnings"] = "; ".join(told)
        return values

    def close(self) -> None:
        """End the thread; what is under way is thrown away, plan or fault."""
        self.forget()
        self._worker.close()
