"""From sensor topics to Frames: one subscription per declared sensor, aligned on the first camera. For every node with a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image, PointCloud2

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.frames import FrameMaker, unknown_ego
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.geometry.calibration import Limits
from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.ports.calibration_inputs import CalibrationInputs
from kd_planner_ros.ros.ports.past_frames import PastFrames
from kd_planner_ros.ros.ports.patience import Patience
from kd_planner_ros.ros.ports.phase_inputs import PhaseInputs
from kd_planner_ros.ros.ports.roadside_inputs import RoadsideInputs
from kd_planner_ros.ros.ports.route_inputs import RouteInputs
from kd_planner_ros.ros.qos import SENSOR_IN, SENSOR_OUT, STATE, subscribe
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.ros.sync import make_aligner
from kd_planner_ros.sync.aligner import JUMP_NS, AlignedSet, InputSpec
from kd_planner_ros.sync.cadence import Cadence
from kd_planner_ros.wire.topics import DIRECT

EGO = "odometry"

WAIT_SETS = 2
"""A sensor that may be missing and came for one of so many pictures of the first camera is waited for."""
SILENT_AFTER_S = 0.5
"""A sensor whose newest sample is this much older than odometry has stopped."""


def mounted_names(node: Any, rig: SensorRig) -> dict[str, str]:
    """Sensors of ``rig`` whose topic of ``node`` is remapped to that of another sensor in its namespace -> id of that sensor, after which
    its frame is called."""
    topics = {spec.id: (f"{spec.id}/image", "/image") for spec in rig.cameras} | {spec.id: (spec.id, "") for spec in rig.lidars}
    within, names = f"{node.get_namespace().rstrip('/')}/", {}
    for sensor, (port, suffix) in topics.items():
        topic = node.resolve_topic_name(port)
        name = topic.removeprefix(within).removesuffix(suffix)
        if topic == f"{within}{name}{suffix}" and name and "/" not in name and name != sensor:
            names[sensor] = name
    return names


class ModelInputs:
    """Holds the subscriptions of one model and hands each complete set to ``on_set``.

    The route's follower steps on every odometry message, as it does without a graph, so the goal of a frame does not depend on
    the camera's rate. Messages are only unpacked in ``frame``, which the worker thread calls.

    Args:
        adapter: the profile's adapter.
        route: where goals come from; None: frames have no goal.
        odometry: whether a set needs odometry; without it the ego of a frame is unknown (NaN).
        camera_info: whether ``camera_info`` replaces the calibration that the model declares.
        limits: how far a sensor may be from what the model declares.
        mounts: poses of cameras in ``base_link``, for a rig that is ``placed``, until the vehicle's frames tell.
        roadside_topics: what the topics of roadside stations begin with.
        tell_roadside: whether the diagnostics are published at once with each message of a roadside station.
        mark: called with the port of every message (for "topic not seen").
        on_jump: called when a message's stamp shows that time was set back, which may be before /clock shows it.
    """

    def __init__(self, node: Any, adapter: Any, rig: SensorRig, period_s: float, max_skew_s: float, health: Health, *,
                 on_set: Callable[[AlignedSet], None], on_jump: Callable[[], None], mark: Callable[[str], None],
                 route: RouteInputs | None = None, odometry: bool = True, camera_info: bool = False,
                 limits: Limits = Limits(), mounts: Mapping[str, Pose] = MappingProxyType({}), roadside_topics: str = DIRECT,
                 tell_roadside: bool = False):
        self._adapter, self._rig, self._health, self._mark, self.route = adapter, rig, health, mark, route
        self._on_jump = on_jump
        self.newest_ns: int | None = None
        self._cadence = Cadence(period_s)
        self._maker = FrameMaker(replace(rig, history_s=()))  # the past has a place of its own
        self._silent_after_s = max(SILENT_AFTER_S, 3.0 * period_s)
        sensors = [spec.id for spec in (*rig.cameras, *rig.lidars)]
        self._odometry = odometry or not sensors
        self._calibration = CalibrationInputs(node, adapter, rig, health, limits, camera_info, on_jump, mounts)
        self._topics = {spec.id: node.resolve_topic_name(f"{spec.id}/image") for spec in rig.cameras}
        self._topics |= {spec.id: node.resolve_topic_name(spec.id) for spec in rig.lidars}
        self._trigger = sensors[0] if sensors else EGO
        specs = [InputSpec(name, name not in rig.optional, max_skew_s, wait_sets=WAIT_SETS * (name in rig.optional))
                 for name in (*sensors, *([EGO] if self._odometry else []))]
        self._past = PastFrames(rig, specs, self._trigger, self._unpack)
        self.aligner = make_aligner(specs, self._trigger, lambda found: on_set(self._past.with_past(found)),
                                    lambda name: node.count_publishers(self._topics[name]) > 0)
        buffer = self._maker.roadside
        self._roadside = None if buffer is None else RoadsideInputs(
            node, adapter, buffer, health, roadside_topics, health.publish if tell_roadside else lambda: None)
        self._phases = PhaseInputs(node, adapter, health) if rig.phases else None
        self._patience = Patience(node, self.aligner, period_s, bool(rig.optional))
        self._subscriptions = self._subscribe(node)

    @property
    def ready(self) -> bool:
        """Whether the model has where to go, or needs no route."""
        return self.route is None or self.route.known or self.route.without

    def ports(self) -> list[str]:
        """The ports without which nothing comes out; the route's not once it is known: it is latched, and comes once."""
        optional = self._rig.optional
        return [*(f"{spec.id}/image" for spec in self._rig.cameras if spec.id not in optional),
                *(spec.id for spec in self._rig.lidars if spec.id not in optional),
                *([EGO] if self._odometry else []), *([] if self.ready else ["route"])]

    def _subscribe(self, node: Any) -> list[Any]:
        def warn(sentence: str) -> None:
            self._health.set("qos", WARN, sentence)

        def port(kind: type, topic: str, work: Callable[[Any], None], profile: Any) -> Any:
            return subscribe(node, kind, topic, guarded(self._health, work, name=topic), profile, warn)

        sensor = SENSOR_IN if self._past.memory is None else SENSOR_OUT  # a history needs each picture, not the newest alone
        ports = [port(Odometry, EGO, self._take_odometry, STATE)] if self._odometry else []
        for spec in self._rig.cameras:
            ports.append(port(Image, f"{spec.id}/image", self._sensor_callback(spec.id, f"{spec.id}/image"), sensor))
        for spec in self._rig.lidars:
            ports.append(port(PointCloud2, spec.id, self._sensor_callback(spec.id, spec.id), sensor))
        return ports

    def _take_odometry(self, message: Odometry) -> None:
        self._mark(EGO)
        ego = self._adapter.odometry_from_msg(message)
        if self.route is not None:
            self.route.look_for_waypoints()
            if not self.route.known and not (self._rig.route_optional and self.route.nobody_offers(ego.stamp_ns)):
                return
        self._see(ego.stamp_ns)
        self._patience.odometry(ego.stamp_ns)
        self._check_silence(ego.stamp_ns)
        self._offer(EGO, ego.stamp_ns, (ego, None if self.route is None else self.route.goal(ego)))

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
        if self._past.memory is not None:
            self._past.memory.add(name, stamp_ns, item)
        if name == self._trigger:
            if not self._cadence.due(stamp_ns):
                return
            self._cadence.mark(stamp_ns)
            self._patience.trigger(stamp_ns)
        before = self.aligner.counters.missed
        self.aligner.add(name, stamp_ns, item)
        if self.aligner.counters.missed > before:
            lacking = [one if off is None else f"{one} ({off:+.3f} s)"
                       for one, off in self.aligner.counters.last_miss.items()]
            self._health.set("sync", ERROR, f"no result for the last {self._trigger}: out of step or silent: "
                                            f"{', '.join(lacking)}")

    def _check_silence(self, now_ns: int) -> None:
        """Name at once a sensor that worked and stopped; odometry's stamps are the clock."""
        ages = self.aligner.ages_s(now_ns)
        missing = [self._topics.get(name, name) for name in self._rig.optional if ages.get(name, math.inf) > self._silent_after_s]
        if missing and self.aligner.counters.sets:
            self._health.set("missing", WARN, f"nothing on {', '.join(missing)}: the model goes without")
        else:
            self._health.clear("missing")
        silent = self.aligner.silent(now_ns, self._silent_after_s)
        if not silent:
            self._health.clear("silent")
            return
        topics = [f"{self._topics.get(name, name)} stopped {age:.2f} s ago" for name, age in silent.items()]
        self._health.set("silent", ERROR, self._health.get("silent") or ", ".join(topics))

    def frame(self, inputs: AlignedSet) -> Frame:
        """The Frame of ``inputs``, with the history that the model declares. Call it from the worker thread alone.

        Raises:
            SensorError: an image or a cloud that cannot be used.
        """
        return self._past.frame(inputs)

    def _unpack(self, inputs: AlignedSet) -> Frame:
        ego, goal = inputs.items[EGO] if self._odometry else (unknown_ego(inputs.stamp_ns), None)
        self._tell_grey(inputs)
        there = inputs.items
        images = {spec.id: self._adapter.image_from_msg(there[spec.id], spec) for spec in self._rig.cameras if spec.id in there}
        clouds = {spec.id: self._adapter.cloud_from_msg(there[spec.id], spec.id) for spec in self._rig.lidars if spec.id in there}
        decode = {} if self._roadside is None else self._roadside.decoders
        frame = self._maker.make(ego, goal, images, clouds, inputs.ages_s, stamp_ns=inputs.stamp_ns, **decode)
        phases = None if self._phases is None else self._phases.at(inputs.stamp_ns)
        return replace(frame, calibrations=self._calibration.specs_of(images), phases=phases)

    def _tell_grey(self, inputs: AlignedSet) -> None:
        for spec in self._rig.cameras:
            if getattr(inputs.items.get(spec.id), "encoding", "") == "mono8":
                self._health.set(f"colours of {spec.id}", WARN, f"camera {spec.id} sends grey pictures (mono8): the model has learnt from "
                                                                "colours and may see less")
            else:
                self._health.clear(f"colours of {spec.id}")

    def forget_frames(self) -> None:
        """Forget the earlier frames and the roadside messages that the model declares. Call it from the worker thread alone."""
        self._maker.reset()
        self._past.forget()

    def values(self, now_ns: int | None) -> dict[str, Any]:
        """Counts and ages for the diagnostics."""
        counters = self.aligner.counters
        ages = {} if now_ns is None else self.aligner.ages_s(now_ns)
        return {"synchroniser": type(self.aligner).__name__, "sets": counters.sets, "sync misses": counters.missed,
                "late messages": counters.late, **self._calibration.values(), **({} if self._roadside is None else self._roadside.values()),
                **({} if self._phases is None else self._phases.values()),
                **({} if self._past.memory is None else {"frames without their whole history": self._past.incomplete}),
                **{f"age of {name} s": f"{age:.3f}" for name, age in ages.items()}}

    def reset(self) -> None:
        """Forget every sample and begin the route anew: time was set back."""
        self.newest_ns = None
        self.aligner.reset()
        self._patience.reset()
        if self._past.memory is not None:
            self._past.memory.reset()
        if self._phases is not None:
            self._phases.reset()
        self._cadence.reset()
        if self.route is not None:
            self.route.reset()

    def close(self, node: Any) -> None:
        """Drop the subscriptions."""
        for one in self._subscriptions:
            node.destroy_subscription(one)
        self._patience.close(node)
        self._calibration.close()
        if self._roadside is not None:
            self._roadside.close(node)
        if self._phases is not None:
            self._phases.close()
        if self.route is not None:
            self.route.close()
