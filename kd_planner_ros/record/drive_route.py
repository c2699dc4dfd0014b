"""The expert drives one route and everything goes into one recording. Runs in a worker process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState, Weather
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.core.weather_course import WeatherCourse, weather_at
from kd_planner_ros.geometry.captions import captions_of
from kd_planner_ros.record.in_order import InOrder
from kd_planner_ros.record.late_views import LateViews
from kd_planner_ros.record.shared_rig import LEFT_OUT
from kd_planner_ros.v2x.channel_settings import ChannelSettings
from kd_planner_ros.world.disturbance import SteeringDisturbance
from kd_planner_ros.world.events import EventKind
from kd_planner_ros.world.expert import Expert, ExpertDecision
from kd_planner_ros.world.map_lines import map_lines
from kd_planner_ros.world.sensor_data import SensorData
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.traffic import TICK_S

if TYPE_CHECKING:
    from kd_planner_ros.record.dagger_turns import DaggerTurns

STANDING_MPS = 0.1
AHEAD_TICKS = 30  # how far the drive may be ahead of its pictures
ControlOverride = Callable[[Control, SceneState], tuple[Control, bool]]
"""(the expert's control, scene) -> (the control that is executed, whether it differs from the expert's on purpose)."""
COLLISIONS = frozenset(kind for kind in EventKind if "collision" in kind.value.lower())


@dataclass(frozen=True)
class Job:
    """One route to record into ``path``. The recording ends early, and is kept, when the car has stood for ``stand_s``:
    longer than any red light, so it is stuck, and more of the same picture teaches nothing."""

    path: Path
    route: Route
    seed: int
    weather: Weather | WeatherCourse
    labels: tuple[str, ...] = ()
    disturb: bool = True
    role_name: str = "ego_vehicle"
    map_spec: str = ""
    stand_s: float = 60.0
    legacy_light: bool = False
    gap_s: float = 0.0
    student: str = ""
    student_weights: str = ""
    vehicles: int = 0
    walkers: int = 0
    shared: bool = False
    labelled: tuple[str, ...] = ()
    radio: ChannelSettings | None = None

    @property
    def label_cameras(self) -> bool | tuple[str, ...]:
        """Which cameras get labels, as ``World.capture`` takes it: none, all, or those of ``labelled``."""
        return (self.labelled or True) if self.labels else False


@dataclass(frozen=True)
class RouteReport:
    """How one route went."""

    name: str
    frames: int
    ticks: int
    status: str
    completion: float
    events: int
    bytes: int


class Stopped(Exception):
    """The recording was interrupted; nothing of this route is kept."""


def drive_route(world: World, road: RoadMap, job: Job, rig: SensorRig, beat: Callable[[int], bool],
                turns: DaggerTurns | None = None) -> RouteReport:
    """Record ``job``. The expert's control is the label; the executed control may be disturbed, or a student's (``turns``).
    Pictures are drawn and written in a thread while the drive goes on.

    ``beat`` is called every tick with the number of frames written since its last call; True from it stops the recording.

    Raises:
        Stopped: ``beat`` asked to stop; only ``<name>.partial`` is left.
        BagError: the recording exists.
    """
    scene = world.start(job.route, job.seed, job.weather)
    expert = Expert(road, job.route, job.legacy_light, gap_s=job.gap_s)
    override = _override(job, turns)
    ticks = seen = stood = reported = 0
    with BagWriter(job.path, rig, recording_facts(job, rig), job.role_name, compact=job.shared) as bag, InOrder(AHEAD_TICKS) as thread:
        _write_static(bag, road, job, rig, scene.stamp_ns)
        stations = LateViews(bag, job.radio, job.shared)
        while not world.done and stood * TICK_S < job.stand_s:
            decision = expert.step(scene)
            executed, pushed = override(decision.control, scene)
            events = world.monitor.events
            crashed = any(event.kind in COLLISIONS for event in events[seen:])
            seen = len(events)
            stood = stood + 1 if abs(scene.ego.speed_mps) < STANDING_MPS else 0
            state = _state(decision, pushed, crashed)
            thread.put(partial(_write, bag, stations, scene, world.capture(job.label_cameras), executed, state, job.labels))
            ticks, written = ticks + 1, bag.pictures
            if beat(written - reported):
                raise Stopped
            reported = written
            scene = world.tick(executed)
        thread.put(partial(_note_radio, bag, stations))
        result = _note_outcome(bag, world)
    beat(bag.pictures - reported)
    frames = bag.pictures
    size = sum(file.stat().st_size for file in job.path.iterdir())
    return RouteReport(job.path.name, frames, ticks, result["status"], result["completion"], len(result["events"]), size)


def _note_outcome(bag: BagWriter, world: World) -> dict[str, Any]:
    """Write into the recording how the drive ended, and what became of the scenarios of the route's file."""
    result = world.monitor.result()
    for key in ("status", "completion"):
        bag.note(key, str(result[key]))
    bag.note("events", json.dumps(result["events"]))
    if asked := world.scenario_facts:
        bag.note("scenarios", json.dumps(asked))
    return result


def recording_facts(job: Job, rig: SensorRig) -> dict[str, str]:
    """``custom_data`` of the recording of ``job``."""
    return {"map": job.route.town, "map_spec": job.map_spec, "route": job.route.name, "seed": str(job.seed),
            "weather": job.weather.name, "weather_parameters": json.dumps(asdict(weather_at(job.weather, 0.0))), **_changes(job.weather),
            "rig": json.dumps(asdict(rig)), "role_name": job.role_name, "driver": "expert",
            "disturbed": str(job.disturb and not job.student).lower(), "legacy_light": str(job.legacy_light).lower(),
            "student": job.student, "student_weights": job.student_weights, "labels": " ".join(job.labels),
            "stand_s": str(job.stand_s), "vehicles": str(job.vehicles), "walkers": str(job.walkers),
            **({"gap_s": str(job.gap_s)} if job.gap_s else {}),
            **({"left_out": "; ".join(LEFT_OUT), "labelled": " ".join(job.labelled)} if job.shared else {}),
            **({"radio": json.dumps(asdict(job.radio))} if job.radio is not None else {})}


def _changes(weather: Weather | WeatherCourse) -> dict[str, str]:
    """How the weather changes along the route, where it does: (share of the route, weather) pairs as JSON."""
    if not isinstance(weather, WeatherCourse):
        return {}
    return {"weather_key_points": json.dumps([[share, asdict(one)] for share, one in weather.key_points])}


def _override(job: Job, turns: DaggerTurns | None) -> ControlOverride:
    if turns is not None:
        turns.start(job.route, job.seed)
        return turns.step
    if not job.disturb:
        return lambda control, scene: (control, False)
    push = SteeringDisturbance(job.seed)
    return lambda control, scene: push.step(control, scene.ego.speed_mps)


def _state(decision: ExpertDecision, pushed: bool, crashed: bool) -> dict[str, float]:
    """The named truth of a tick."""
    wish = decision.control
    return {**decision.states, "expert_throttle": wish.throttle, "expert_steer": wish.steer, "expert_brake": wish.brake,
            "target_speed": decision.target_speed_mps, "disturbance": float(pushed), "collision": float(crashed)}


def _write_static(bag: BagWriter, road: RoadMap, job: Job, rig: SensorRig, stamp_ns: int) -> None:
    """What holds for the whole drive: the route, and where they are wanted the map's lines and stations."""
    bag.write_route(job.route, stamp_ns)
    if rig.roadside is not None:
        bag.write_stations(road.stations, stamp_ns)
    if job.shared:
        bag.write_map_lines(map_lines(road, job.route.points), stamp_ns)


def _note_radio(bag: BagWriter, stations: LateViews) -> None:
    """Write into the recording what became of the stations' messages, where there was a radio."""
    if stations.counts:
        bag.note("radio_messages", json.dumps(dict(sorted(stations.counts.items()))))


def _write(bag: BagWriter, stations: LateViews, scene: SceneState, measure: Callable[[], SensorData], executed: Control,
           state: dict[str, float], labels: tuple[str, ...]) -> None:
    """Everything of one tick."""
    stations.arrive(scene.stamp_ns)
    bag.write_ego(scene.ego)
    bag.write_state(scene.stamp_ns, executed, state)
    data = measure()
    if not data.images and not data.clouds and not data.roadside:
        return
    bag.write_scene(scene)
    stations.take(data.roadside)  # before the pictures: a reader has them with the pictures of this tick
    for camera, shot in data.images.items():
        bag.write_camera(camera, shot, labels)
    if told := captions_of(data.images.items(), data.roadside, scene.actors):
        bag.write_captions(told, scene.stamp_ns)
    for sensor, cloud in data.clouds.items():
        bag.write_cloud(sensor, cloud, scene.stamp_ns)
    bag.pictures += bool(data.images)
