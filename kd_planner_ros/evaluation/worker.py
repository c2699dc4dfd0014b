"""One process of the closed-loop evaluation: map, planner and world, made once for all its drives."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.core.weather_course import weather_at
from kd_planner_ros.evaluation import one_route, score
from kd_planner_ros.evaluation.drives import DIRECT, ON, ClosedLoopConfig, Drive, traffic
from kd_planner_ros.evaluation.latency import read_latency, settled
from kd_planner_ros.evaluation.run_folder import RunInfo, RunWriter
from kd_planner_ros.evaluation.scene_teller import SceneTeller
from kd_planner_ros.evaluation.v2x_setup import radio_settings, require_radio

if TYPE_CHECKING:
    from kd_planner_ros.evaluation.v2x_link import RadioLink

EXPERT_RATE_HZ = 10.0
_setup: Setup | None = None


class Setup:
    """Map, planner and (from the first drive on) world of one process. The planner computes on one thread, so that the
    number of processes changes no result. ``config`` comes back with a settled latency.

    Raises:
        MapError, PlannerError, CardError: from the map and the planners. ConfigError: from ``--latency`` and ``--fallback-latency``, or two
    planners that cannot share a car.
    """

    def __init__(self, config: ClosedLoopConfig):
        from kd_planner_ros.world.maps import load_map

        self.config, self._world = config, None
        self.notes: list[str] = []
        self.road = load_map(config.map, config.stations)
        _check_fallback(config)
        require_radio(config, self.road)
        self.planner = None if config.planner == "expert" else self._load_planner(config.planner)
        self.fallback = self._load_planner(config.fallback_planner) if config.fallback_planner else None
        self.card = _card(self.planner)
        self.rig = one_route.mounted(self.planner.rig if self.planner else SensorRig(), config.report,
                                     self.fallback.rig if self.fallback else None)
        self.name = self.planner.name if self.planner else "expert"
        self.config = settled(config, self.planner, self.fallback)
        self.latency = read_latency(self.config.latency, self.name)
        self.fallback_latency = read_latency(self.config.fallback_latency, self.fallback.name if self.fallback else "")
        self.weights, self.fallback_weights = (one.get("weights_sha256", "") for one in (self.card, _card(self.fallback)))
        self.sensors = [spec.id for spec in (*self.rig.cameras, *self.rig.lidars)]

    def _load_planner(self, name: str) -> Any:
        from kd_planner_ros.runtime.load import load_planner

        return load_planner(name, self.config.device, self.config.engine, threads=1)

    @property
    def fallback_facts(self) -> dict[str, Any]:
        """For reports: the fallback planner and its latency; empty where there is none."""
        return {} if self.fallback is None else {"planner": self.fallback.name, "latency": self.fallback_latency.facts()}

    def routes(self) -> list[Route]:
        """The routes to drive; those of a file that are left out, and key points that were moved, are reported and kept in ``notes``.

        Raises:
            RouteError: the route file is missing or broken, none of its routes lies on the map, or one of ``--route-ids`` does not.
        """
        from kd_planner_ros.world.hidden_routes import HIDDEN, hidden_routes
        from kd_planner_ros.world.route_files import read_route_file
        from kd_planner_ros.world.routes import default_routes, plan_routes

        if self.config.routes == "default":
            return default_routes(self.road, self.config.route_seed, self.config.routes_count)
        if self.config.routes == HIDDEN:
            return hidden_routes(self.road, self.config.route_seed, self.config.routes_count)
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
            rig = self.rig if self.config.v2x == DIRECT else replace(self.rig, roadside=None)
            self._world = World(self.road, rig, vehicles=vehicles, walkers=walkers, scenarios=self.config.scenarios)
        return self._world

    def side(self, route: Route, seed: int) -> one_route.DriverSide:
        """The driver of ``route`` in the traffic of ``seed``."""
        if self.planner is not None:
            return one_route.PlannerSide(self.planner, route, self.latency, self.config.roll_forward, seed, self.fallback,
                                         self.fallback_latency, self._link(seed), self._teller(route), self.config.v2x_supervisor)
        from kd_planner_ros.world.expert import Expert

        return one_route.ExpertSide(Expert(self.road, route), EXPERT_RATE_HZ if self.config.report else None)

    def _teller(self, route: Route) -> SceneTeller | None:
        if self.planner is None or not self.planner.rig.scene:
            return None
        from kd_planner_ros.world.map_lines import map_lines

        return SceneTeller(map_lines(self.road, route.points))

    def _link(self, seed: int) -> RadioLink | None:
        if self.config.v2x != ON:
            return None
        from kd_planner_ros.evaluation.v2x_link import RadioLink

        return RadioLink(self.road.stations, self.world().broadcast, radio_settings(self.config, seed), self.config.v2x_attack,
                         self.rig.roadside, next(iter(self.rig.lidars), None), self.config.v2x_signals, self.config.v2x_cap_unheard)

    def close(self) -> None:
        """End the world, if there is one."""
        if self._world is not None:
            self._world.close()
            self._world = None


def _check_fallback(config: ClosedLoopConfig) -> None:
    if not config.fallback_planner:
        if config.fallback_latency != "0":
            raise ConfigError("--fallback-planner beside --fallback-latency", "none", "name one, or leave --fallback-latency out")
        return
    if "expert" in (config.planner, config.fallback_planner):
        raise ConfigError("a planner with another planner as its fallback", f"{config.planner} and {config.fallback_planner}",
                          "choose models, or leave --fallback-planner out")


def _card(planner: Any) -> dict[str, Any]:
    """The card of ``planner``; the expert and planners without weights have none."""
    card = getattr(planner, "card", None)
    return asdict(card) if card else {}


def _told(setup: Setup) -> dict[str, Any]:
    if setup.fallback is None:
        return {}
    return {"fallback planner": setup.fallback.name, "simulated latency of the fallback planner": str(setup.fallback_latency)}


def drive_one(setup: Setup, drive: Drive) -> dict[str, Any]:
    """Do one drive, write its run folder (and report), and give back its record in the leaderboard's form."""
    config, camera = setup.config, setup.rig.cameras[0] if setup.rig.cameras and setup.config.report else None
    vehicles, walkers = traffic(config, setup.road.name)
    info = RunInfo(setup.name, drive.route, weather_at(drive.weather, 0.0), drive.seed, camera, setup.card, {
        "engine": config.engine, "device": config.device, "vehicles": vehicles, "walkers": walkers,
        "scenarios": config.scenarios, "v2x": config.v2x, "simulated latency": str(setup.latency), **_told(setup)})
    with RunWriter(drive.folder, info, road=setup.road if config.report else None) as writer:
        side = setup.side(drive.route, drive.seed)
        hearer = side if isinstance(side, one_route.PlannerSide) else None
        link = hearer.link if hearer is not None else None
        if link is not None:
            link.log_to(drive.folder, config.report)
        facts = one_route.drive(setup.world(), side, drive.route, drive.seed, drive.weather, writer, camera.id if camera else None)
        notes = {"weather": drive.weather.name, "latency": setup.latency.facts()}
        if setup.fallback is not None:
            notes["fallback"] = setup.fallback_facts
        if hearer is not None and link is not None:
            notes["v2x"] = hearer.radio_facts()
            link.close(drive.folder)
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
