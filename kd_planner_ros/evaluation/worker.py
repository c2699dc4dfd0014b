"""One process of the closed-loop evaluation: map, planner and world, made once for all its drives."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from dataclasses import asdict
from typing import Any

from kd_planner_ros.core.plugins import report
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.core.weather_course import weather_at
from kd_planner_ros.evaluation import one_route, score
from kd_planner_ros.evaluation.drives import ClosedLoopConfig, Drive, traffic
from kd_planner_ros.evaluation.latency import read_latency, settled
from kd_planner_ros.evaluation.run_folder import RunInfo, RunWriter

EXPERT_RATE_HZ = 10.0
_setup: Setup | None = None


class Setup:
    """Map, planner and (from the first drive on) world of one process. The planner computes on one thread, so that the
    number of processes changes no result. ``config`` comes back with a settled latency.

    Raises:
        MapError, PlannerError, CardError: from the map and the planner. ConfigError: from ``--latency``.
    """

    def __init__(self, config: ClosedLoopConfig):
        from kd_planner_ros.world.maps import load_map

        self.config, self._world = config, None
        self.notes: list[str] = []
        self.road = load_map(config.map, config.stations)
        self.planner = None if config.planner == "expert" else self._load_planner()
        card = getattr(self.planner, "card", None)  # the expert and planners without weights have none
        self.card = asdict(card) if card else {}
        self.rig = one_route.mounted(self.planner.rig if self.planner else SensorRig(), config.report)
        self.name = self.planner.name if self.planner else "expert"
        self.config = settled(config, self.planner)
        self.latency = read_latency(self.config.latency, self.name)
        self.weights = self.card.get("weights_sha256", "")
        self.sensors = [spec.id for spec in (*self.rig.cameras, *self.rig.lidars)]

    def _load_planner(self) -> Any:
        from kd_planner_ros.runtime.load import load_planner

        return load_planner(self.config.planner, self.config.device, self.config.engine, threads=1)

    def routes(self) -> list[Route]:
        """The routes to drive; those of a file that are left out, and key points that were moved, are reported and kept in ``notes``.

        Raises:
            RouteError: the route file is missing or broken, none of its routes lies on the map, or one of ``--route-ids`` does not.
        """
        from kd_planner_ros.world.route_files import read_route_file
        from kd_planner_ros.world.routes import default_routes, plan_routes

        if self.config.routes == "default":
            return default_routes(self.road, self.config.route_seed, self.config.routes_count)
        planned = plan_routes(self.road, read_route_file(self.config.routes), self.config.route_ids, self.config.snap)
        self.notes = planned.sentences()
        for sentence in self.notes:
            report(sentence)
        return list(planned.routes)

    def world(self) -> Any:
        """The world of this process; built at the first call."""
        if self._world is None:
            from kd_planner_ros.world.simulation import World

            vehicles, walkers = traffic(self.config, self.road.name)
            self._world = World(self.road, self.rig, vehicles=vehicles, walkers=walkers, scenarios=self.config.scenarios)
        return self._world

    def side(self, route: Route) -> one_route.DriverSide:
        """The driver of ``route``."""
        if self.planner is not None:
            return one_route.PlannerSide(self.planner, route, self.latency.longest_s, self.config.roll_forward)
        from kd_planner_ros.world.expert import Expert

        return one_route.ExpertSide(Expert(self.road, route))

    @property
    def rate_hz(self) -> float | None:
        """How often sensors are read; None: never."""
        return self.planner.rate_hz if self.planner else EXPERT_RATE_HZ if self.config.report else None

    def close(self) -> None:
        """End the world, if there is one."""
        if self._world is not None:
            self._world.close()
            self._world = None


def drive_one(setup: Setup, drive: Drive) -> dict[str, Any]:
    """Do one drive, write its run folder (and report), and give back its record in the leaderboard's form."""
    config, camera = setup.config, setup.rig.cameras[0] if setup.rig.cameras and setup.config.report else None
    vehicles, walkers = traffic(config, setup.road.name)
    info = RunInfo(setup.name, drive.route, weather_at(drive.weather, 0.0), drive.seed, camera, setup.card, {
        "engine": config.engine, "device": config.device, "vehicles": vehicles, "walkers": walkers,
        "scenarios": config.scenarios, "simulated latency": str(setup.latency)})
    with RunWriter(drive.folder, info, road=setup.road if config.report else None) as writer:
        facts = one_route.drive(setup.world(), setup.side(drive.route), drive.route, drive.seed, drive.weather,
                                setup.rate_hz, writer, camera.id if camera else None, setup.latency)
        notes = {"weather": drive.weather.name, "latency": setup.latency.facts()}
        if asked := setup.world().scenario_facts:
            notes["scenarios"] = asked
        record = score.route_record(facts, index=drive.index, seed=drive.seed, notes=notes)
        writer.finish(score.statistics([record], 1, setup.sensors))
    if config.report:
        from kd_planner_ros.evaluation import report

        report.write(drive.folder)
    return record.to_json()


def begin(config: ClosedLoopConfig) -> None:
    """Make this worker process ready; the parent process handles Ctrl-C, and this one ends with it, however it ends."""
    global _setup
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _setup = Setup(config)


def _end_with_parent() -> None:
    """Wait for the end of the parent process, and end this one: a killed parent tells nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def drive_in_worker(drive: Drive) -> dict[str, Any]:
    """``drive_one`` in a process that ``begin`` made ready."""
    assert _setup is not None
    return drive_one(_setup, drive)
