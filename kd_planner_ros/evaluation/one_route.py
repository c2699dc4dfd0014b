"""One route from start to end, without the ROS graph: the loop of the closed-loop evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.core.rigs import merge_rigs
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState, Weather
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.core.weather_course import WeatherCourse
from kd_planner_ros.driving.driver import Driver
from kd_planner_ros.evaluation.latency import Latency
from kd_planner_ros.evaluation.run_folder import RunWriter
from kd_planner_ros.evaluation.scene_teller import SceneTeller
from kd_planner_ros.evaluation.seat import NO_LATENCY, TICK_HZ, Seat

if TYPE_CHECKING:
    from kd_planner_ros.evaluation.v2x_link import Heard, RadioLink
    from kd_planner_ros.networks.planner import Planner
    from kd_planner_ros.world.expert import Expert
    from kd_planner_ros.world.simulation import World

PICTURE_CAMERA = CameraSpec("rgb_front", Pose(x=-1.5, z=2.0), 900, 256, 100.0, period_s=0.2)
"""TCP's camera at 5 Hz: takes the report's pictures where the planner itself has none."""


class DriverSide(Protocol):
    """Who drives. ``looks`` is asked once a tick, in order: whether sensors are read in it; ``step`` then gets the scene and what the
    sensors gave (None: they were not read)."""

    def looks(self, tick: int) -> bool: ...

    def step(self, scene: SceneState, sensed: Any | None) -> tuple[Control, Plan | None]: ...


class PlannerSide:
    """A planner behind its driver, and a fallback planner where there is one; each sees the ego state and the sensors of its own rig
    only. A plan acts when it would be ready (``Turns``).

    Args:
        latency, fallback_latency: what a plan of each planner takes.
        seed: the drive's traffic seed, which draws the first of several latencies.
        teller: tells a privileged planner (``rig.scene``) what is there.
        link: the radio through which the car hears roadside stations; without one the planner gets their views from the sensors.
        supervised: whether the supervisor hears the stations too.
    """

    def __init__(self, planner: Planner, route: Route, latency: Latency = NO_LATENCY, roll_forward: bool = True, seed: int = 0,
                 fallback: Planner | None = None, fallback_latency: Latency = NO_LATENCY, link: RadioLink | None = None,
                 teller: SceneTeller | None = None, supervised: bool = True):
        self.link, self._teller, self._supervised = link, teller, supervised
        self._driver = Driver(planner, route, latency_s=latency.longest_s, roll_forward=roll_forward, slower=fallback,
                              slower_latency_s=fallback_latency.longest_s)
        self._seat = Seat(planner, latency, seed)
        self._fallback = None if fallback is None else Seat(fallback, fallback_latency, seed)

    def _supervise(self, heard: Heard) -> None:
        """Tell the supervisor what came by radio."""
        self._driver.hear(heard.reported)
        if heard.phases is not None:
            self._driver.hear_phases(heard.phases)
        if heard.silent is not None:
            self._driver.hear_silent(heard.silent)

    def looks(self, tick: int) -> bool:
        """Whether one of the planners reads its sensors at ``tick``."""
        mine = self._seat.looks(tick)
        return (self._fallback is not None and self._fallback.looks(tick)) or mine

    def step(self, scene: SceneState, sensed: Any | None) -> tuple[Control, Plan | None]:
        """The control of this tick and the planner's plan that begins to act in it. The navigation follows every tick, as it does
        in the graph."""
        ego, goal, phases = scene.ego, self._driver.goal(scene.ego), None
        if self.link is not None:
            heard = self.link.step(scene) if sensed is None else self.link.step(scene, sensed.clouds)
            if self._supervised:
                self._supervise(heard)
            phases = None if heard.phases is None else heard.phases.rows
            sensed = None if sensed is None else replace(sensed, roadside=heard.views)
        frame = self._seat.frame(ego, goal, sensed, phases)
        if self._teller is not None:
            self._teller.hear(scene)
            frame = None if frame is None else replace(frame, scene=self._teller.tell(scene))
        if self._fallback is None:
            return self._driver.step(frame, ego, self._seat.delay_s)
        return self._driver.step(frame, ego, self._seat.delay_s, self._fallback.frame(ego, goal, sensed, phases), self._fallback.delay_s)

    def radio_facts(self) -> dict[str, Any]:
        """What came by radio (``RadioLink.facts``), and in how many ticks the supervisor was more cautious for it; {} without radio."""
        if self.link is None:
            return {}
        return self.link.facts() | {"cautious_ticks": self._driver.pilot.supervisor.cautious_ticks}


class ExpertSide:
    """The rule-based expert, which reads the truth and needs no sensors; ``rate_hz`` is how often they are read for a report."""

    def __init__(self, expert: Expert, rate_hz: float | None = None):
        self._expert, self._period = expert, None if rate_hz is None else max(1, round(TICK_HZ / rate_hz))
        expert.reset()

    def looks(self, tick: int) -> bool:
        """Whether the report's pictures are taken at ``tick``."""
        return self._period is not None and tick % self._period == 0

    def step(self, scene: SceneState, sensed: Any | None) -> tuple[Control, Plan | None]:
        """The expert's control of this tick; it makes no plan."""
        return self._expert.step(scene).control, None


def mounted(planner: SensorRig, pictures: bool, fallback: SensorRig | None = None) -> SensorRig:
    """What the world mounts: the planners' sensors, and a camera for the report where they have none and pictures are wanted.

    Raises:
        ConfigError: both planners declare a sensor of one id, and differently.
    """
    rig = merge_rigs({"planner": planner, **({} if fallback is None else {"fallback planner": fallback})})
    return replace(rig, cameras=(PICTURE_CAMERA,)) if pictures and not rig.cameras else rig


def wanted_speed(plan: Plan) -> float | None:
    """Mean speed in m/s between the plan's waypoints; None for a single one."""
    points, times = plan.trajectory.points, plan.trajectory.times_s
    return float((np.hypot(*np.diff(points, axis=0).T) / np.diff(times)).mean()) if len(points) > 1 else None


def drive(world: World, side: DriverSide, route: Route, seed: int, weather: Weather | WeatherCourse,
          writer: RunWriter | None = None, picture_camera: str | None = None) -> Mapping[str, Any]:
    """Drive ``route`` to its end and give back what the route monitor says about it (``RouteMonitor.result()``).

    Sensors are read where ``side`` looks; the control is renewed every tick (20 Hz) and acts in the tick that follows. Nothing depends
    on wall time: the same arguments give the same result.
    """
    scene, tick, shown, wanted_mps = world.start(route, seed, weather), 0, 0, None
    while not world.done:
        sensed = world.sense() if side.looks(tick) else None
        control, plan = side.step(scene, sensed)
        if writer is not None:
            wanted_mps = wanted_mps if plan is None else wanted_speed(plan)
            writer.tick(scene.ego, control, wanted_mps)
            if plan is not None:
                writer.plan(plan)
            if picture_camera is not None and sensed is not None and picture_camera in sensed.images:
                writer.frame(scene.stamp_ns, sensed.images[picture_camera].rgb)
        scene = world.tick(control)
        tick += 1
        for event in world.monitor.events[shown:] if writer is not None else ():
            writer.event(event.stamp_ns, event.kind.value, event.x, event.y, event.message)
        shown = len(world.monitor.events)
    return world.monitor.result()
