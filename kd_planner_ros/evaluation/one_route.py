"""One route from start to end, without the ROS graph: the loop of the closed-loop evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from kd_planner_ros.core.frames import FrameMaker
from kd_planner_ros.core.records import Control, Plan, Pose
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState, Weather
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.core.weather_course import WeatherCourse
from kd_planner_ros.driving.driver import Driver
from kd_planner_ros.evaluation.latency import Latency, Turns
from kd_planner_ros.evaluation.run_folder import RunWriter

if TYPE_CHECKING:
    from kd_planner_ros.networks.planner import Planner
    from kd_planner_ros.world.expert import Expert
    from kd_planner_ros.world.simulation import World

TICK_HZ = 20
NO_LATENCY = Latency("none", (0.0,))
PICTURE_CAMERA = CameraSpec("rgb_front", Pose(x=-1.5, z=2.0), 900, 256, 100.0, period_s=0.2)
"""TCP's camera at 5 Hz: takes the report's pictures where the planner itself has none."""


class DriverSide(Protocol):
    """Who drives: gets the scene, what the sensors gave (None between planning ticks), and how many seconds later the
    plan on it acts."""

    def step(self, scene: SceneState, sensed: Any | None, delay_s: float = 0.0) -> tuple[Control, Plan | None]: ...


class PlannerSide:
    """A planner behind its driver; sees the ego state and the sensors of its own rig only."""

    def __init__(self, planner: Planner, route: Route, latency_s: float = 0.0, roll_forward: bool = True):
        self._rig = planner.rig
        self._driver = Driver(planner, route, latency_s=latency_s, roll_forward=roll_forward)
        self._frames = FrameMaker(planner.rig)

    def step(self, scene: SceneState, sensed: Any | None, delay_s: float = 0.0) -> tuple[Control, Plan | None]:
        """The control of this tick and the plan that begins to act in it. The navigation follows every tick, as it does
        in the graph."""
        goal = self._driver.goal(scene.ego)
        frame = None if sensed is None else sensed.frame(self._rig, scene.ego, goal, self._frames)
        return self._driver.step(frame, scene.ego, delay_s)


class ExpertSide:
    """The rule-based expert, which reads the truth and needs no sensors."""

    def __init__(self, expert: Expert):
        self._expert = expert
        expert.reset()

    def step(self, scene: SceneState, sensed: Any | None, delay_s: float = 0.0) -> tuple[Control, Plan | None]:
        """The expert's control of this tick; it makes no plan."""
        return self._expert.step(scene).control, None


def mounted(planner_rig: SensorRig, pictures: bool) -> SensorRig:
    """What the world mounts: the planner's rig, and a camera for the report where it has none and pictures are wanted."""
    if pictures and not planner_rig.cameras:
        return replace(planner_rig, cameras=(PICTURE_CAMERA,))
    return planner_rig


def wanted_speed(plan: Plan) -> float | None:
    """Mean speed in m/s between the plan's waypoints; None for a single one."""
    points, times = plan.trajectory.points, plan.trajectory.times_s
    return float((np.hypot(*np.diff(points, axis=0).T) / np.diff(times)).mean()) if len(points) > 1 else None


def drive(world: World, side: DriverSide, route: Route, seed: int, weather: Weather | WeatherCourse, rate_hz: float | None,
          writer: RunWriter | None = None, picture_camera: str | None = None, latency: Latency = NO_LATENCY) -> Mapping[str, Any]:
    """Drive ``route`` to its end and give back what the route monitor says about it (``RouteMonitor.result()``).

    Sensors are read and a plan is made ``rate_hz`` times a simulated second (None: never, for the expert), less often
    where ``latency`` keeps the planner busy. A plan acts when it would be ready (``Turns``), the control is renewed every
    tick (20 Hz) and acts in the tick that follows. Nothing depends on wall time: the same arguments give the same result.
    """
    turns = Turns(max(1, round(TICK_HZ / rate_hz)), latency.ticks(seed)) if rate_hz else None
    scene, tick, shown, wanted_mps = world.start(route, seed, weather), 0, 0, None
    while not world.done:
        delay = turns.looks(tick) if turns else None
        sensed = None if delay is None else world.sense()
        control, plan = side.step(scene, sensed, (delay or 0) / TICK_HZ)
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
