"""A worker process of a recording: one world, route after route, until no route is left or the recording is stopped."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from kd_planner_ros.core.errors import KdPlannerError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.record.drive_route import Job, Stopped, drive_route
from kd_planner_ros.record.jobs import RecordConfig
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.simulation import World


def work(config: RecordConfig, rig: SensorRig, tasks: Any, news: Any, stop: Any) -> None:
    """Take jobs from ``tasks`` until None comes, and record them as ``config`` says with the sensors ``rig``. Tells ``news``:
    frames, done, failed, left."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets Ctrl-C and sets ``stop``
    sys.setswitchinterval(5e-4)  # the drawing thread takes Python's lock often and briefly
    parent, world = os.getppid(), None

    def over() -> bool:
        return stop.is_set() or os.getppid() != parent

    def beat(frames: int) -> bool:
        if frames:
            news.put(("frames", frames))
        return over()

    try:
        road = load_map(config.map, config.stations)
        world = World(road, rig, vehicles=config.vehicles, walkers=config.walkers)
        turns = _turns(config.student, road) if config.student else None
        while (job := _next(tasks, over)) is not None:
            try:
                news.put(("done", drive_route(world, road, job, rig, beat, turns)))
            except Stopped:
                break
            except KdPlannerError as error:
                news.put(("failed", f"route {job.route.name}: {error}"))
    except KdPlannerError as error:
        news.put(("failed", str(error)))
    finally:
        if world is not None:
            world.close()
    news.put(("left", time.process_time()))  # not where something unforeseen was raised: that is for the parent to tell


def _turns(student: str, road: RoadMap) -> Any:
    from kd_planner_ros.record.dagger_turns import DaggerTurns
    from kd_planner_ros.runtime.load import load_planner  # torch: seconds, and only a student needs it

    return DaggerTurns(load_planner(student, threads=1), road)


def _next(tasks: Any, over: Callable[[], bool]) -> Job | None:
    """The next job; None when there are no more, or it is ``over``. A queue may be empty for a while without being at its end."""
    while not over():
        try:
            return tasks.get(timeout=1.0)
        except queue.Empty:
            pass
    return None
