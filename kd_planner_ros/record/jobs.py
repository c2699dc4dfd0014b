"""The settings of a recording, and its jobs: one route each."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError, RouteError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.record.drive_route import Job
from kd_planner_ros.record.shared_rig import FPS as SHARED_FPS
from kd_planner_ros.record.shared_rig import LABELLED, shared_rig
from kd_planner_ros.v2x.channel_settings import RecordedRadio, recorded_radio
from kd_planner_ros.wire.topics import LABELS, require_role_name
from kd_planner_ros.world.hidden_routes import HIDDEN, hidden_routes
from kd_planner_ros.world.route_files import LeftOut, of_another_town, read_route_file
from kd_planner_ros.world.routes import default_routes, plan_routes
from kd_planner_ros.world.weather import ROUTE_WEATHER, WEATHERS, route_weather, weather_by


def _field(default: Any, text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class RecordConfig(RecordedRadio):
    """What to record, and where to put it."""

    out: Path = field(metadata={"help": "folder for the recordings, one rosbag2 folder a route"})
    map: str = _field("default", "map: default, generated:SEED, or a .net.xml or .xodr file, also with .gz")
    routes: Path | None = _field(None, "leaderboard route file (.xml), or hidden: drawn routes with one hazard each that the car cannot "
                                 "see and a roadside station can; routes are drawn from the seed without one", metavar="FILE|hidden")
    nobody: float = _field(0.0, "with --routes hidden: share of the places, from 0 to 1, where the vehicles are parked and nobody "
                           "comes, so that what is parked does not foretell a hazard", low=0.0, high=1.0)
    count: int = _field(0, "number of routes; 0: all routes of the file, or 20 drawn ones", low=0)
    first: int = _field(0, "first route to drive, counted from 0 over the file's routes for this map, or over the drawn ones", low=0)
    snap: bool = _field(False, "take key points farther than 60 m from every lane to the nearest lane, as CARLA does")
    min_m: float = _field(150.0, "drawn routes are at least this long, metres", above=0.0)
    max_m: float = _field(450.0, "drawn routes are at most this long, metres", above=0.0)
    weather: tuple[str, ...] = _field(("all",), "weathers to cycle through: all, or names and ids 0 to 20; benchmark: that of each "
                                    "route's file, without one the leaderboard's")
    seed: int = _field(0, "seed of traffic, scenarios, disturbances and drawn routes", low=0, high=2**31 - 1)
    vehicles: int = _field(80, "background vehicles", low=0, high=500)
    walkers: int = _field(25, "walkers", low=0, high=500)
    fps: int = _field(0, "pictures a second: 2 to train on, 20 to replay; 0: 2, with --rig shared 10",
                      choices=(0, 1, 2, 4, 5, 10, 20))
    rig: str = _field("network", "sensors to record; network: those of --network; shared: three front cameras, labels of the front one, "
                      "the two nearest roadside stations and the map's lines, compressed, for training every network",
                      choices=("network", "shared"))
    network: str = _field("tcp", "with --rig network, record the sensors of this network")
    stations: str = _field("", "stations file (YAML or JSON) in place of the map's own roadside stations")
    width: int = _field(0, "width of the cameras in pixels; 0: the network's own", low=0, high=4096)
    height: int = _field(0, "height of the cameras in pixels; 0: the network's own", low=0, high=4096)
    labels: tuple[str, ...] = _field(LABELS, "labels of each camera: all, or any of depth, semantic and instance; --labels alone: none")
    legacy_light: bool = _field(False, "label a light red only within 8 m of its line, as PlanKD's collector did; otherwise its "
                                "true colour within 50 m")
    disturb: bool = _field(True, "disturb the steering now and then, so that the recordings contain recoveries")
    student: str = _field("", "model that drives for some seconds now and then, in place of the disturbances (DAgger): a folder of "
                          "models/ or a path to one; the expert's control stays the label")
    gap_s: float = _field(0.0, "seconds that the expert leaves between itself and whoever crosses its way, beside its margins in metres: "
                               "a network that learned from 1 s may be late by some of it", low=0.0, high=3.0)
    stand_s: float = _field(60.0, "end a route early when the car has stood for this many seconds", above=0.0)
    frames: int = _field(0, "start no further route after this many pictures; 0: no limit", low=0)
    workers: int = _field(2, "processes that drive at the same time", low=1, high=64)
    role_name: str = _field("ego_vehicle", "role name in the topics")
    progress: bool = _field(True, "show progress")

    def __post_init__(self):
        if tuple(self.labels) == ("all",):
            object.__setattr__(self, "labels", LABELS)
        bad = [kind for kind in self.labels if kind not in LABELS]
        if bad:
            raise ConfigError(f"labels out of all, {', '.join(LABELS)}", ", ".join(bad), "correct 'labels'")
        check_fields(self)
        require_role_name(self.role_name)
        if self.nobody and str(self.routes) != HIDDEN:
            raise ConfigError("--routes hidden with --nobody", f"routes {self.routes or 'drawn from the seed'}", "leave --nobody out")
        if self.shared and (self.width or self.height):
            raise ConfigError("--rig shared without --width and --height", f"{self.width} x {self.height}",
                              "leave them out: the shared recordings have one size")

    @property
    def shared(self) -> bool:
        """Whether the shared rig is recorded, in the compact form."""
        return self.rig == "shared"

    @property
    def pictures_per_s(self) -> int:
        """``fps``, or its default where it is 0."""
        return self.fps or (SHARED_FPS if self.shared else 2)


def recording_rig(config: RecordConfig) -> SensorRig:
    """The shared rig, or the network's sensors at the recording's rate, its cameras at the size asked for. A LiDAR's message
    covers what it covers when driving, however seldom it is recorded.

    Raises:
        PlannerError: no such network.
        ConfigError: only one of width and height is given.
    """
    if config.shared:
        return shared_rig(config.pictures_per_s)
    rig = find_network(config.network).configurations[0].rig
    if bool(config.width) != bool(config.height):
        raise ConfigError("width and height together", f"{config.width} x {config.height}", "give both or neither")

    def change(camera: Any) -> Any:
        size = {"width": config.width, "height": config.height} if config.width else {}
        return replace(camera, period_s=1.0 / config.pictures_per_s, **size)

    return replace(
        rig, cameras=tuple(map(change, rig.cameras)),
        lidars=tuple(replace(lidar, every_s=1.0 / config.pictures_per_s) for lidar in rig.lidars))


def plan_jobs(config: RecordConfig, road: RoadMap) -> tuple[list[Job], list[str]]:
    """One job a route, weathers in an order drawn from the seed, and a line for each route of the file that does not fit the map."""
    routes: list[Route] = []
    failed: list[str] = []
    drawn = config.first + (config.count or 20)
    if config.routes is None:
        routes = default_routes(road, config.seed, drawn, config.min_m, config.max_m)[config.first:]
    elif str(config.routes) == HIDDEN:
        routes = hidden_routes(road, config.seed, drawn, nobody=config.nobody)[config.first:]
    else:
        file = read_route_file(config.routes)
        foreign = tuple(LeftOut(spec.name, "", town) for spec in file.routes if (town := of_another_town(spec, road.name)))
        here = [spec for spec in file.routes if not of_another_town(spec, road.name)][config.first:][: config.count or None]
        if not here:
            raise RouteError(f"routes of {file.path} for {road.name} from number {config.first}",
                             f"none; {len(foreign)} of {len(file.routes)} are for other towns", "give their map, or another --first")
        planned = plan_routes(road, replace(file, routes=tuple(here)), snap=config.snap)
        planned = replace(planned, left_out=foreign + planned.left_out)
        routes, failed = list(planned.routes), [f"route {one.name}: {one.reason}" for one in planned.left_out if not one.town]
        for sentence in planned.sentences():
            report(sentence)
    source = config.routes.stem if config.routes else "drawn"
    own, weathers = tuple(config.weather) == ("benchmark",), _weathers(config)
    jobs = []
    for number, route in enumerate(routes):
        seed = zlib.crc32(f"{config.seed}/{road.name}/{source}/{route.name}".encode())
        weather = route_weather(route) if own else weathers[(number + config.first) % len(weathers)]
        name = f"{road.name}_{source}_{route.name}_{weather.name}_s{config.seed}".replace(":", "-").replace("/", "-")
        named = replace(route, name=f"{source}/{route.name}", town=road.name)
        jobs.append(Job(Path(config.out) / name, named, seed, weather, config.labels, config.disturb, config.role_name,
                        str(config.map), config.stand_s, config.legacy_light, config.gap_s, config.student, vehicles=config.vehicles,
                        walkers=config.walkers, shared=config.shared, labelled=LABELLED if config.shared else (),
                        radio=recorded_radio(config)))
    return jobs, failed


def _weathers(config: RecordConfig) -> list[Weather]:
    if tuple(config.weather) == ("benchmark",):
        return [ROUTE_WEATHER]
    every = tuple(config.weather) == ("all",) or not config.weather
    weathers = list(WEATHERS) if every else [weather_by(name) for name in config.weather]
    return [weathers[i] for i in np.random.default_rng([config.seed, 0x77656174]).permutation(len(weathers))]
