"""The built-in world in lock-step: one ``tick`` is 0.05 s for the ego, the traffic, the scenarios and the scoring."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import BRAKE_LIGHT, HEAD_LIGHT, INDICATOR_LEFT, INDICATOR_RIGHT, SceneState, Weather
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, RoadsideWish, SensorRig
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.core.weather_course import WeatherCourse, weather_at
from kd_planner_ros.world.ego import Ego
from kd_planner_ros.world.events import RouteMonitor
from kd_planner_ros.world.roadside import StationChoice, objects_view, view_of
from kd_planner_ros.world.route_scenarios import asked_scenarios
from kd_planner_ros.world.scenarios import Scenarios
from kd_planner_ros.world.sensor_data import SensorData, SensorNoise, read_gnss, read_imu
from kd_planner_ros.world.traffic import TICK_S, Traffic
from kd_planner_ros.world.weather import needs_headlights

TICK_NS = int(TICK_S * 1e9)
BRAKE_SHOWN = 0.05
INDICATOR_AHEAD_M = 25
LEFT_COMMANDS, RIGHT_COMMANDS = (1, 5), (2, 6)


class World:
    """A town with traffic, the ego and its sensors.

    ``state`` is the truth after the last tick, ``monitor`` the leaderboard's record of the drive, ``done`` whether
    it is over. The same map, route, seed, weather and controls give the same states and sensor data, bit for bit.
    One world can run in a process at a time (libsumo); starting one ends the other.
    """

    def __init__(self, road: RoadMap, rig: SensorRig, *, vehicles: int, walkers: int, scenarios: bool = True,
                 noise: SensorNoise = SensorNoise()):
        if vehicles < 0 or walkers < 0:
            raise ConfigError("vehicles and walkers from 0", f"{vehicles} and {walkers}", "give 0 or more")
        self.road, self.rig, self.noise = road, rig, noise
        self._traffic = Traffic(road, vehicles, walkers)
        self._scenarios = Scenarios(road) if scenarios else None
        self._roadside = StationChoice(road.stations, rig.roadside) if rig.roadside is not None else None
        self._radio: dict[RoadsideWish, StationChoice] = {}
        self._renderer = None
        self.route: Route
        self.monitor: RouteMonitor
        self.state: SceneState

    def start(self, route: Route, seed: int, weather: Weather | WeatherCourse) -> SceneState:
        """Begins a drive: the ego stands at the route's first point, traffic is already moving. Gives the first
        state."""
        self.route, self._course, self._ticks = route, weather, 0
        weather = self._weather = weather_at(weather, 0.0)
        self._rng = np.random.default_rng([seed, 0x73656E])
        self._radio.clear()
        if self._roadside is not None:
            self._roadside.reset()
        self._lamps = HEAD_LIGHT if needs_headlights(weather) else 0
        pose = Pose(float(route.points[0, 0]), float(route.points[0, 1]), 0.0, float(route.yaws[0]))
        self._ego, self._nearest = Ego(pose), 0
        self._traffic.start(route, pose, seed, bool(self._lamps))
        if self._scenarios:
            self._scenarios.start(route, seed, self._traffic)
        self.monitor = RouteMonitor(self.road, route)
        self.state = self._scene(Control(brake=1.0))
        self.monitor.update(self.state)
        return self.state

    def tick(self, control: Control) -> SceneState:
        """Advances by 0.05 s under ``control`` and gives the new state."""
        self._ego.step(control, TICK_S)
        self._ticks += 1
        self._traffic.step(self._ego.state(self._ticks * TICK_NS))
        if self._scenarios:
            self._scenarios.step(self.state, TICK_S)
        if isinstance(self._course, WeatherCourse):
            self._change_weather(self._course.at(self.monitor.completion))
        self.state = self._scene(control)
        self.monitor.update(self.state)
        return self.state

    @property
    def done(self) -> bool:
        """Whether the drive has ended: arrived, off the route, blocked or out of time."""
        return self.monitor.done

    @property
    def scenarios_met(self) -> tuple[str, ...]:
        """Names of the scenarios that have started on this drive, in order."""
        return tuple(self._scenarios.names) if self._scenarios else ()

    @property
    def scenario_facts(self) -> list[dict[str, str]]:
        """What became of each scenario of the route's file: name, type, status (``world/route_scenarios.py``); [] without any."""
        asked = self._scenarios.asked if self._scenarios else asked_scenarios(self.route, switched_on=False)
        return [one.facts() for one in asked]

    def sense(self, labels: bool | Collection[str] = False) -> SensorData:
        """What the sensors due at this tick measure; ``labels`` adds depth, semantic and instance to the pictures: of all of
        the vehicle's cameras, of none, or of those with these ids."""
        return self.capture(labels)()

    def capture(self, labels: bool | Collection[str] = False) -> Callable[[], SensorData]:
        """What ``sense`` gives, worked out when it is called: in another thread too, while the world ticks on. One such
        call at a time.

        Roadside stations are drawn only where ``rig.roadside`` asks for views: those nearest to the ego at this tick, each
        at most once in its camera's period.
        """
        scene, tick, rig = self.state, self._ticks, self.rig
        imu = read_imu(scene.ego, self._ego.acceleration_mps2, self._rng, self.noise)
        gnss = read_gnss(scene.ego, self._rng, self.noise)
        cameras = tuple(spec for spec in rig.cameras if self._due(spec))
        lidars = tuple(spec for spec in rig.lidars if self._due(spec))
        stations = self._roadside.due(scene, tick) if self._roadside is not None else ()

        def measure() -> SensorData:
            images = self._render().cameras(scene, cameras, labels) if cameras else {}
            clouds = {spec.id: self._render().lidar(scene, spec, tick) for spec in lidars}
            views = tuple(view_of(scene, station, camera, rig.roadside, self._render) for station, camera in stations)
            return SensorData(scene.stamp_ns, images, clouds, imu, gnss, views)

        return measure

    def broadcast(self, wish: RoadsideWish, pictures: bool) -> tuple[RoadsideView, ...]:
        """What the stations near the ego that ``wish`` asks for see at this tick, each at most once in its camera's period: object lists,
        and with ``pictures`` the pictures. The sensors of ``rig`` are not touched."""
        choice = self._radio.setdefault(wish, StationChoice(self.road.stations, wish))
        due = choice.due(self.state, self._ticks)
        if not pictures:
            return tuple(objects_view(self.state, station, camera, self._render) for station, camera in due)
        return tuple(view_of(self.state, station, camera, wish, self._render) for station, camera in due)

    def close(self) -> None:
        """Ends the traffic simulation."""
        self._traffic.close()

    def _change_weather(self, weather: Weather) -> None:
        if weather == self._weather:
            return
        self._weather, self._lamps = weather, HEAD_LIGHT if needs_headlights(weather) else 0
        self._traffic.headlights = self._lamps

    def _render(self):
        if self._renderer is None:
            from kd_planner_ros.world.render import Renderer

            self._renderer = Renderer(self.road)
        return self._renderer

    def _due(self, spec: CameraSpec | LidarSpec) -> bool:
        between_s = getattr(spec, "every_s", 0.0) or spec.period_s
        return self._ticks % max(1, round(between_s / TICK_S)) == 0

    def _scene(self, control: Control) -> SceneState:
        stamp = self._ticks * TICK_NS
        actors = self._traffic.actors()
        if self._scenarios:
            actors = self._scenarios.add_actors(actors)
        return SceneState(stamp, self._ego.state(stamp), actors, self._traffic.signals(), self._weather,
                          self._ego_lamps(control))

    def _ego_lamps(self, control: Control) -> int:
        """Brake lights from the pedal; indicators for the next turn or lane change on the route."""
        lamps = self._lamps | (BRAKE_LIGHT if control.brake > BRAKE_SHOWN else 0)
        points = self.route.points
        window = slice(self._nearest, self._nearest + 12)
        distance = np.hypot(points[window, 0] - self._ego.x, points[window, 1] - self._ego.y)
        self._nearest += int(distance.argmin()) if math.isfinite(float(distance.min())) else 0
        for command in self.route.commands[self._nearest:self._nearest + INDICATOR_AHEAD_M].tolist():
            if command in LEFT_COMMANDS:
                return lamps | INDICATOR_LEFT
            if command in RIGHT_COMMANDS:
                return lamps | INDICATOR_RIGHT
        return lamps
