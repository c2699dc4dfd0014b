"""Records the expert over many routes: plans the jobs, shares them out to worker processes, counts frames.

A route that is complete is never driven again, so an interrupted recording goes on where it stopped and loses at most
the routes that were being driven.
"""

from __future__ import annotations

import json
import multiprocessing
import queue
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from kd_planner_ros.bags.facts import custom_data
from kd_planner_ros.bags.roadside import require_hearer
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.folders import require_no_drive
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.registry import is_weightless
from kd_planner_ros.record.drive_route import Job, RouteReport, recording_facts
from kd_planner_ros.record.jobs import RecordConfig, plan_jobs, recording_rig
from kd_planner_ros.record.shared_rig import LEFT_OUT
from kd_planner_ros.record.worker import work
from kd_planner_ros.v2x.channel_settings import recorded_radio
from kd_planner_ros.world.maps import load_map

MIN_FREE_BYTES = 2 * 10**9


@dataclass(frozen=True)
class RecordReport:
    """What was recorded by this call. ``frames_per_s`` counts from the start of the workers, when the routes are planned;
    ``steady_frames_per_s`` from the first picture on, when every worker has built its town; ``cpu_s`` is the workers'
    processor time. ``failed`` holds one line for each route that could not be driven, ``left_out`` one for each kind of data that the
    rig does not record."""

    out: str
    routes: int
    skipped: int
    frames: int
    seconds: float
    frames_per_s: float
    steady_frames_per_s: float
    megabytes: float
    completed: int
    failed: tuple[str, ...] = ()
    finished: bool = True
    cpu_s: float = 0.0
    left_out: tuple[str, ...] = ()


def record(config: RecordConfig) -> RecordReport:
    """Drive every route that ``config`` asks for and that ``out`` does not hold yet.

    Ctrl-C stops within a tick and gives back what was done, with ``finished`` False.

    Raises:
        MapError, RouteError, PlannerError: the map, the route file or the student cannot be used.
        ConfigError: a setting cannot be used, or ``out`` holds a drive, or recordings of these routes with other settings.
        BagError: no route could be recorded, a worker died, or the disk is nearly full.
    """
    require_no_drive(Path(config.out), "recordings")
    rig = recording_rig(config)
    require_hearer(recorded_radio(config), rig, config.network)
    weights = _student_weights(config.student)
    road = load_map(config.map, config.stations)
    jobs, failed = plan_jobs(config, road)
    jobs = [replace(job, student_weights=weights) for job in jobs]
    todo = [job for job in jobs if not job.path.exists()]
    _require_same_settings([job for job in jobs if job.path.exists()], rig)
    Path(config.out).mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(config.out).free
    if todo and free < MIN_FREE_BYTES:
        raise BagError(f"{MIN_FREE_BYTES / 1e9:.0f} GB free for {config.out}", f"{free / 1e9:.1f} GB",
                       "free some disk space, or give another --out")
    began = time.perf_counter()
    tally = _share_out(config, todo, rig) if todo else _Tally()
    reports, failed = tally.reports, failed + tally.failed
    if failed and not reports and len(jobs) == len(todo):
        raise BagError("a route that can be recorded", f"{len(failed)} failed, first: {failed[0]}",
                       "check the map, the routes and the settings")
    seconds, frames = time.perf_counter() - began, sum(report.frames for report in reports)
    return RecordReport(
        out=str(config.out), routes=len(reports), skipped=len(jobs) - len(todo), frames=frames, seconds=seconds,
        frames_per_s=frames / max(seconds, 1e-9), steady_frames_per_s=tally.steady_rate,
        megabytes=sum(report.bytes for report in reports) / 1e6, cpu_s=tally.cpu_s,
        completed=sum(report.status == "Completed" for report in reports), failed=tuple(failed), finished=tally.finished,
        left_out=LEFT_OUT if config.shared else ())


def _student_weights(name: str) -> str:
    """The hash of the student's weights; empty for none, or one without weights."""
    if not name or is_weightless(name):
        return ""
    from kd_planner_ros.runtime.find import find_model

    return read_card(find_model(name)).weights_sha256


def _require_same_settings(done: list[Job], rig: SensorRig) -> None:
    """Refuse to pass for these jobs what was recorded otherwise."""
    for job in done:
        facts = custom_data(job.path)
        for name, wanted in recording_facts(job, rig).items():
            if not _same(name, facts.get(name, wanted), wanted):  # older recordings lack some
                raise ConfigError(f"{name} {wanted[:40]!r} in {job.path}, which is kept and not recorded again",
                                  repr(facts[name][:40]), "give another --out, or the earlier settings")


def _same(name: str, noted: str, wanted: str) -> bool:
    """Whether two values of one fact mean the same: a rig's entries that are empty or left out ask for nothing."""
    if name != "rig" or noted == wanted:
        return noted == wanted
    try:
        ours, theirs = ({key: value for key, value in json.loads(text).items() if value not in ([], None, True)}
                        for text in (noted, wanted))
    except (json.JSONDecodeError, AttributeError):
        return False
    return ours == theirs


@dataclass
class _Tally:
    """What the workers have reported so far."""

    reports: list[RouteReport] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    finished: bool = True
    frames: int = 0
    first_s: float = 0.0
    last_s: float = 0.0
    cpu_s: float = 0.0

    def count(self, frames: int) -> None:
        self.last_s = time.perf_counter()
        self.first_s = self.first_s or self.last_s
        self.frames += frames

    @property
    def steady_rate(self) -> float:
        return (self.frames - 1) / (self.last_s - self.first_s) if self.last_s > self.first_s else 0.0


def _share_out(config: RecordConfig, jobs: list[Job], rig: SensorRig) -> _Tally:
    """Drive ``jobs`` in worker processes.

    Spawned, not forked: libsumo holds one simulation a process, and torch's threads do not survive a fork.
    """
    context = multiprocessing.get_context("spawn")
    tasks, news, stop = context.Queue(), context.Queue(), context.Event()
    count = min(config.workers, len(jobs))
    for job in jobs:
        tasks.put(job)
    for _ in range(count):
        tasks.put(None)
    workers = [context.Process(target=work, args=(config, rig, tasks, news, stop), daemon=True) for _ in range(count)]
    for worker in workers:
        worker.start()
    try:
        return _listen(config, len(jobs), workers, tasks, news, stop)
    finally:
        stop.set()
        tasks.cancel_join_thread()
        for worker in workers:
            worker.join(10.0)
            if worker.is_alive():
                worker.terminate()


def _listen(config: RecordConfig, total: int, workers: list, tasks: Any, news: Any, stop: Any) -> _Tally:
    tally, left = _Tally(), len(workers)
    with tqdm(total=total, desc="record", unit="route", disable=not config.progress, dynamic_ncols=True) as bar:
        while left:
            try:
                kind, value = news.get(timeout=0.5)
            except queue.Empty:
                dead = [w for w in workers if w.exitcode not in (None, 0)]
                if dead and not tally.finished and news.empty():  # the signal went to them too
                    left = sum(w.exitcode is None for w in workers)
                elif dead and news.empty():
                    raise BagError("recording workers that run to the end", f"one ended with exit code {dead[0].exitcode}",
                                   "see its message above; complete recordings are kept, and the same command goes on") from None
                continue
            except KeyboardInterrupt:
                stop.set()
                tally.finished = False
                continue
            if kind == "frames":
                tally.count(value)
                bar.set_postfix(refresh=False, frames=tally.frames, fps=f"{tally.steady_rate:.1f}")
            elif kind == "left":
                left, tally.cpu_s = left - 1, tally.cpu_s + value
            else:
                (tally.reports if kind == "done" else tally.failed).append(value)
                bar.update()
            if kind == "done" and 0 < config.frames <= sum(report.frames for report in tally.reports):
                _withdraw(tasks, len(workers))
    return tally


def _withdraw(tasks: Any, workers: int) -> None:
    """Take back what no worker has begun."""
    with suppress(queue.Empty):
        while True:
            tasks.get(timeout=0.2)
    for _ in range(workers):
        tasks.put(None)
