"""From the planner's topics to Frames: one subscription per declared sensor, aligned on the front camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from nav_msgs.msg import Odometry, Path
from sensor_msgs.msg import Image, PointCloud2

from kd_planner_ros.core.frames import make_frame
from kd_planner_ros.core.records import Command, EgoState, Frame, NavigationGoal, Pose
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.driving.route_planner import RoutePlanner
from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.qos import LATCHED, SENSOR_IN, STATE, subscribe
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.ros.sync import make_aligner
from kd_planner_ros.sync.aligner import JUMP_NS, AlignedSet, InputSpec
from kd_planner_ros.sync.cadence import Cadence

EGO = "odometry"

SILENT_AFTER_S = 0.5
"""A sensor whose newest sample is this much older than odometry has stopped."""


class PlannerInputs:
    """Holds the planner's subscriptions and hands each complete set to ``on_set``.

    The route's follower steps on every odometry message, as it does without a graph, so the goal of a frame does not
    depend on the camera's rate. Messages are only unpacked in ``frame``, which the worker thread calls.

    Args:
        adapter: the profile's adapter.
        mark: told the port of every message (for "topic not seen").
        on_route: called when a route has come.
        on_jump: called when a message's stamp shows that time was set back, which may be before /clock shows it.
    """

    def __init__(self, node: Any, adapter: Any, rig: SensorRig, period_s: float, max_skew_s: float, health: Health, *,
                 on_set: Callable[[AlignedSet], None], on_route: Callable[[], None], on_jump: Callable[[], None],
                 mark: Callable[[str], None]):
        self._adapter, self._rig, self._health, self._mark = adapter, rig, health, mark
        self._on_route, self._on_jump = on_route, on_jump
        self.newest_ns: int | None = None
        self._route_planner: RoutePlanner | None = None
        self._waypoints: Path | None = None
        self._cadence = Cadence(period_s)
        self._cameras = (*rig.cameras, *rig.roadside_cameras)
        self._lidars = (*rig.lidars, *rig.roadside_lidars)
        sensors = [spec.id for spec in (*self._cameras, *self._lidars)]
        self._silent_after_s = max(SILENT_AFTER_S, 3.0 * period_s)
        self._topics = {spec.id: node.resolve_topic_name(f"{spec.id}/image") for spec in self._cameras}
        self._topics |= {spec.id: node.resolve_topic_name(spec.id) for spec in self._lidars}
        self._trigger = sensors[0] if sensors else EGO
        specs = [InputSpec(name, max_age_s=max_skew_s) for name in (*sensors, EGO)]
        self.aligner = make_aligner(specs, self._trigger, on_set)
        self._subscriptions = self._subscribe(node)

    @property
    def has_route(self) -> bool:
        """Whether a route has come."""
        return self._route_planner is not None

    @staticmethod
    def topics(rig: SensorRig) -> list[str]:
        """The ports without which there is no plan."""
        return [*(f"{spec.id}/image" for spec in (*rig.cameras, *rig.roadside_cameras)),
                *(spec.id for spec in (*rig.lidars, *rig.roadside_lidars)), EGO, "route"]

    def _subscribe(self, node: Any) -> list[Any]:
        def warn(sentence: str) -> None:
            self._health.set("qos", WARN, sentence)

        def port(kind: type, topic: str, work: Callable[[Any], None], profile: Any) -> Any:
            return subscribe(node, kind, topic, guarded(self._health, work, name=topic), profile, warn)

        self._route_topic, self._count_publishers = node.resolve_topic_name("route"), node.count_publishers
        ports = [port(self._adapter.route_type, "route", self._take_route, LATCHED),
                 port(Path, "waypoints", self._take_waypoints, LATCHED),
                 port(Odometry, EGO, self._take_odometry, STATE)]
        for spec in self._cameras:
            ports.append(port(Image, f"{spec.id}/image", self._sensor_callback(spec.id, f"{spec.id}/image"), SENSOR_IN))
        for spec in self._lidars:
            ports.append(port(PointCloud2, spec.id, self._sensor_callback(spec.id, spec.id), SENSOR_IN))
        return ports

    def _take_route(self, message: Any) -> None:
        self._mark("route")
        self._route_planner = RoutePlanner(self._adapter.route_from_msg(message))
        self._health.clear("waypoints")
        self._on_route()

    def _take_waypoints(self, message: Path) -> None:
        if len(message.poses) > 1:  # an empty path says that the vehicle has gone
            self._waypoints = message

    def _fall_back_on_waypoints(self) -> None:
        """carla_waypoint_publisher's path has no turn commands, so it counts only where nobody offers a real route."""
        if self._waypoints is None or self._count_publishers(self._route_topic):
            return
        self._mark("route")
        self._route_planner = RoutePlanner(self._adapter.from_msg("waypoints", self._waypoints))
        self._health.set("waypoints", WARN, f"nobody publishes {self._route_topic}: following the waypoints, which "
                                            "have no turn commands")
        self._on_route()

    def _take_odometry(self, message: Odometry) -> None:
        self._mark(EGO)
        if self._route_planner is None:
            self._fall_back_on_waypoints()
        if self._route_planner is None:
            return
        ego = self._adapter.odometry_from_msg(message)
        self._see(ego.stamp_ns)
        self._check_silence(ego.stamp_ns)
        self._offer(EGO, ego.stamp_ns, (ego, self._route_planner.step(ego)))

    def _sensor_callback(self, sensor: str, port: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            self._mark(port)
            self._offer(sensor, from_stamp(message.header.stamp), message)

        return take

    def _see(self, stamp_ns: int) -> None:
        if self.newest_ns is not None and stamp_ns < self.newest_ns - JUMP_NS:
            self._on_jump()
        self.newest_ns = stamp_ns if self.newest_ns is None else max(stamp_ns, self.newest_ns)

    def _offer(self, name: str, stamp_ns: int, item: Any) -> None:
        self._see(stamp_ns)
        if name == self._trigger:
            if not self._cadence.due(stamp_ns):
                return
            self._cadence.mark(stamp_ns)
        before = self.aligner.counters.missed
        self.aligner.add(name, stamp_ns, item)
        if self.aligner.counters.missed > before:
            lacking = [one if off is None else f"{one} ({off:+.3f} s)"
                       for one, off in self.aligner.counters.last_miss.items()]
            self._health.set("sync", ERROR, f"no plan for the last {self._trigger}: out of step or silent: "
                                            f"{', '.join(lacking)}")

    def _check_silence(self, now_ns: int) -> None:
        """Name at once a sensor that worked and stopped; odometry's stamps are the clock."""
        silent = self.aligner.silent(now_ns, self._silent_after_s)
        if not silent:
            self._health.clear("silent")
            return
        topics = [f"{self._topics.get(name, name)} stopped {age:.2f} s ago" for name, age in silent.items()]
        self._health.set("silent", ERROR, self._health.get("silent") or ", ".join(topics))

    def frame(self, inputs: AlignedSet) -> Frame:
        """The Frame of ``inputs``.

        Raises:
            SensorError: an image or a cloud that cannot be used.
        """
        ego, goal = inputs.items[EGO]
        images = {spec.id: self._adapter.image_from_msg(inputs.items[spec.id], spec) for spec in self._cameras}
        clouds = {spec.id: self._adapter.cloud_from_msg(inputs.items[spec.id], spec.id) for spec in self._lidars}
        return make_frame(self._cameras, ego, goal, images, clouds, inputs.ages_s, stamp_ns=inputs.stamp_ns)

    def values(self, now_ns: int | None) -> dict[str, Any]:
        """Counts and ages for the diagnostics."""
        counters = self.aligner.counters
        ages = {} if now_ns is None else self.aligner.ages_s(now_ns)
        return {"synchroniser": type(self.aligner).__name__, "sets": counters.sets, "sync misses": counters.missed,
                "late messages": counters.late, **{f"age of {name} s": f"{age:.3f}" for name, age in ages.items()}}

    def reset(self) -> None:
        """Forget every sample and begin the route anew: time was set back."""
        self.newest_ns = None
        self.aligner.reset()
        self._cadence.reset()
        if self._route_planner is not None:
            self._route_planner.reset()

    def close(self, node: Any) -> None:
        """Drop the subscriptions."""
        for one in self._subscriptions:
            node.destroy_subscription(one)


def blank_frame(rig: SensorRig) -> Frame:
    """A frame of grey pictures and one point per cloud, for warming up."""
    goal = NavigationGoal(np.array([20.0, 0.0]), Command.LANE_FOLLOW)
    images = {spec.id: np.full((spec.height, spec.width, 3), 128, np.uint8)
              for spec in (*rig.cameras, *rig.roadside_cameras)}
    clouds = {spec.id: np.array([[10.0, 0.0, -1.0, 0.5]], np.float32) for spec in (*rig.lidars, *rig.roadside_lidars)}
    return make_frame(rig.cameras, EgoState(0, Pose(), 0.0), goal, images, clouds)
