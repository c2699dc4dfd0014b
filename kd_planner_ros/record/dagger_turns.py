"""A student drives for some seconds now and then while the expert is recorded, so that the data cover the student's states (DAgger)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.frames import FrameMaker, history_phases
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.driving.driver import Driver
from kd_planner_ros.networks.planner import Planner
from kd_planner_ros.world.render import Renderer
from kd_planner_ros.world.roadside import StationChoice, view_of
from kd_planner_ros.world.sensor_data import SensorData
from kd_planner_ros.world.traffic import TICK_S

OFF_LINE_M = 1.5


class DaggerTurns:
    """Turns of 1.5 to 4.5 s in which ``planner`` drives. Between two turns the expert drives for 4 to 9 s, or longer until the
    car is back on the route's line. The expert's wish is the label throughout; in its own turn the expert shows the way on
    from the place that the student reached. A turn ends early where the car is more than 1.5 m off the route's line.

    The student sees its own cameras at its own rate, drawn apart from the recorded ones. One object serves any number of
    routes, one at a time; the same seed gives the same turns.

    Source: Ross et al., "A reduction of imitation learning and structured prediction to no-regret online learning"
    (DAgger), AISTATS 2011; whole turns instead of single steps, for the waypoint targets are the positions of the drive itself.
    """

    def __init__(self, planner: Planner, road: RoadMap, student_s: tuple[float, float] = (1.5, 4.5),
                 expert_s: tuple[float, float] = (4.0, 9.0)):
        self.planner, self._student_s, self._expert_s = planner, student_s, expert_s
        self._renderer = Renderer(road)
        self._frames = FrameMaker(planner.rig)
        wish = planner.rig.roadside
        self._stations = StationChoice(road.stations, wish) if wish is not None else None
        self._period = max(1, round(1.0 / (planner.rate_hz * TICK_S)))
        self._past = history_phases(planner.rig, self._period, TICK_S)

    def start(self, route: Route, seed: int) -> None:
        """Begin ``route`` with a turn of the expert's."""
        self._frames.reset()
        if self._stations is not None:
            self._stations.reset()
        self._driver, self._line = Driver(self.planner, route), route.points[:, :2]
        self._rng = np.random.default_rng([seed, 0x7475726E])
        self._left, self._age, self._student = self._draw(self._expert_s), 0, False

    def step(self, control: Control, scene: SceneState) -> tuple[Control, bool]:
        """What is executed this tick, and whether it is the student's; ``control`` is the expert's. Call once per tick.

        Raises:
            PlannerError: the student failed; else its safe stops would pass for its driving.
        """
        goal = self._driver.goal(scene.ego)  # the navigation follows whoever drives
        off = self._off_line_m(scene) > OFF_LINE_M
        if self._left <= 0 and not off or self._student and off:
            self._student = not self._student
            self._left, self._age = self._draw(self._student_s if self._student else self._expert_s), 0
            self.planner.reset()
            self._frames.reset()
            self._driver.pilot.reset()
        self._left -= 1
        if not self._student:
            return control, False
        phase = self._age % self._period
        seen = self._sense(scene).frame(self.planner.rig, scene.ego, goal, self._frames) if phase in (0, *self._past) else None
        frame = seen if phase == 0 else None  # the others are remembered: the history that the student declares
        self._age += 1
        wish, _ = self._driver.step(frame, scene.ego)
        if self._driver.last_error:
            raise PlannerError(f"a student '{self.planner.name}' that plans", self._driver.last_error,
                               "choose another model, or leave --student out")
        return replace(wish, reason=wish.reason or "student's turn"), True

    def _off_line_m(self, scene: SceneState) -> float:
        return float(np.hypot(*(self._line - [scene.ego.pose.x, scene.ego.pose.y]).T).min())

    def _sense(self, scene: SceneState) -> SensorData:
        rig = self.planner.rig
        images = self._renderer.cameras(scene, rig.cameras, False)
        tick = round(scene.stamp_ns / 1e9 / TICK_S)
        clouds = {spec.id: self._renderer.lidar(scene, spec, tick) for spec in rig.lidars}
        due = self._stations.due(scene, tick) if self._stations is not None else ()
        views = tuple(view_of(scene, station, camera, rig.roadside, lambda: self._renderer) for station, camera in due)
        return SensorData(scene.stamp_ns, images, clouds, roadside=views)

    def _draw(self, range_s: tuple[float, float]) -> int:
        return int(self._rng.uniform(*range_s) / TICK_S)
