"""Plays a recording in the world's place: simulated time, one tick after another, and counts what is answered."""

from __future__ import annotations

import importlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.serialization import deserialize_message
from rclpy.signals import SignalHandlerOptions
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Bool, String

from kd_planner_ros.bags.instants import LONGEST_NS
from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.bags.roadside import roadside_topics
from kd_planner_ros.bags.stamps import header_stamp
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.ros.graph.hearing import PATIENT_S, Hearing
from kd_planner_ros.ros.messages import make
from kd_planner_ros.ros.ports.plan_ports import PlanSubscription
from kd_planner_ros.ros.profiles import Profile, make_adapter
from kd_planner_ros.ros.qos import CLOCK, LATCHED, SENSOR_OUT, STATE, STATIC, advertise, subscribe
from kd_planner_ros.ros.stamps import to_stamp
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.motion import Mount
from kd_planner_ros.wire.codec.pictures import COMPRESSED, rgb, rgb_of
from kd_planner_ros.wire.topics import TF, TF_STATIC, Topics

CALIBRATION = ("camera_info compared", "mounts compared", "condition intrinsics of ", "condition mounting of ")
"""What a planner's diagnostics say of the calibration."""
_QOS = {TF: STATE, TF_STATIC: STATIC}
SETTLE_NS = 100_000_000
"""Messages of one instant lie at most this far apart in a recording, beyond what its topics are apart."""


class Player:
    """A node in its own context that publishes recorded messages as they are, byte for byte; compressed pictures are unpacked.

    ``plans`` maps a stamp to the plan that came for it; ``controls`` a stamp to the control; ``unanswered`` counts
    ticks without a control in lock-step, ``unreadable`` compressed pictures that hold none and are left out; ``calibration`` has what
    the planner said last of the calibration that was played, at ``told_ns``. ``hearing`` has the models that messages of roadside stations
    are waited for. ``on_heartbeat`` is called with a node's full name for each of its diagnostics.
    """

    def __init__(self, profile: Profile, domain_id: int, on_heartbeat: Callable[[str], object] = lambda name: None):
        self._context, self.profile = Context(), profile
        rclpy.init(context=self._context, domain_id=domain_id, signal_handler_options=SignalHandlerOptions.NO,
                   args=["--ros-args", *(w for a, b in profile.remappings() for w in ("-r", f"{a}:={b}"))])
        self.node = rclpy.create_node("player", context=self._context, namespace=profile.namespace)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self.adapter = make_adapter(profile.name, profile.role_name, profile.carla_version)
        self.plans: dict[int, Plan] = {}
        self.controls: dict[int, Control] = {}
        self.faults: dict[int, str] = {}
        self.unanswered = self.unreadable = 0
        self.ready = False
        self.calibration: dict[str, str] = {}
        self.told_ns, self._on_heartbeat = -1, on_heartbeat
        self.hearing = Hearing({}, {})
        self._clock = advertise(self.node, Clock, "clock", CLOCK)
        self._publishers: dict[str, Any] = {}
        self._compressed: set[str] = set()
        self._ports = [
            PlanSubscription(self.node, lambda work, name: work, self._take_plan, self.faults.__setitem__),
            subscribe(self.node, self.adapter.control_type, "control", self._take_control, STATE),
            subscribe(self.node, Bool, "status", self._take_status, LATCHED),
            subscribe(self.node, DiagnosticArray, "diagnostics", self._take_diagnostics, STATE)]

    def _take_plan(self, plan: Plan) -> None:
        self.plans[plan.stamp_ns] = plan

    def _take_control(self, message: Any) -> None:
        control = self.adapter.control_from_msg(message)
        self.controls[control.stamp_ns] = control

    def _take_status(self, message: Bool) -> None:
        self.ready = message.data

    def _take_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            self._on_heartbeat(status.name)
            self.hearing.take(status.name, ((one.key, one.value) for one in status.values))
            told = {one.key: one.value for one in status.values if one.key.startswith(CALIBRATION)}
            if told:
                self.calibration, self.told_ns = told, stamp_of(array)

    @property
    def has_transforms(self) -> bool:
        """Whether transforms can be played: their package is installed."""
        return self.adapter.type_of("tf_static") is not None

    def open(self, kinds: dict[str, str], route: Route | None, stations: Sequence[Station] = (),
             renamed: Mapping[str, str] = MappingProxyType({})) -> None:
        """Advertise topics (name -> type), send the route if there is one, and where ``stations`` stand. A topic of compressed pictures is
        played as plain pictures under the plain name: nodes read those. Cameras that are ``renamed`` (name -> recorded one) get frames of
        their own where the recorded ones are."""
        if stations:
            self._stations = advertise(self.node, String, Topics().of("stations"), LATCHED)
            self._stations.publish(self.adapter.to_msg("stations", stations, 0))
        for topic, kind in kinds.items():
            if kind == COMPRESSED:
                self._publishers[topic] = advertise(self.node, Image, topic.removesuffix("/compressed"), SENSOR_OUT)
                self._compressed.add(topic)
                continue
            package, _, name = kind.split("/")
            message = getattr(importlib.import_module(f"{package}.msg"), name)
            profile = _QOS.get(topic, STATE if topic.endswith("/odometry") else SENSOR_OUT)
            self._publishers[topic] = advertise(self.node, message, topic, profile)
        if route is not None:  # a planner may go without one that nobody offers
            self._route = advertise(self.node, self.adapter.route_type, "route", LATCHED)
            self._route.publish(self.adapter.route_to_msg(route))
        if renamed and self.has_transforms:
            self._frames = advertise(self.node, self.adapter.type_of("tf_static"), TF_STATIC, STATIC)
            frame = self.adapter.frame_id
            mounts = [Mount(frame(own), frame(name), Pose()) for name, own in renamed.items()]
            self._frames.publish(self.adapter.to_msg("tf_static", mounts, 0))

    def spin(self, seconds: float) -> None:
        """Take messages for at most this long."""
        self._executor.spin_once(timeout_sec=max(seconds, 0.0))

    def tick(self, stamp_ns: int, group: list[tuple[str, bytes]]) -> None:
        """Publish one instant: the clock, then what stations sent, and once the models have that the sensors, odometry last."""
        self._clock.publish(Clock(clock=to_stamp(stamp_ns)))
        stations = self.hearing.readers()
        sent = [topic for topic, raw in group if topic in stations and self._publish(topic, raw)]
        if sent:
            self.hearing.wait(self.hearing.due(sent), self.spin)
        for topic, raw in sorted(group, key=lambda item: item[0].endswith("/odometry")):
            if topic not in stations:
                self._publish(topic, raw)

    def _publish(self, topic: str, raw: bytes) -> bool:
        """Whether the message could be read."""
        try:
            self._publishers[topic].publish(plain(raw) if topic in self._compressed else raw)
        except SensorError:
            self.unreadable += 1
            return False
        return True

    def await_readers(self) -> None:
        """Wait until every model that hears stations has found their topics; one that reads others is waited for in vain for a moment."""
        until_s = time.monotonic() + PATIENT_S
        wanted = {self._publishers[topic]: count for topic, count in self.hearing.readers().items() if topic in self._publishers}
        while any(one.get_subscription_count() < count for one, count in wanted.items()) and time.monotonic() < until_s:
            self.spin(0.02)

    def await_control(self, stamp_ns: int, timeout_s: float) -> None:
        """Wait until the tick of ``stamp_ns`` is answered, at most ``timeout_s`` of wall time."""
        until_s = time.monotonic() + timeout_s
        while stamp_ns not in self.controls:
            left_s = until_s - time.monotonic()
            if left_s <= 0.0:
                self.unanswered += 1
                return
            self.spin(left_s)

    def close(self) -> None:
        """Leave the graph."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)


def plain(raw: bytes) -> Image:
    """The Image of a serialised CompressedImage, with its stamp and frame.

    Raises:
        SensorError: bytes that hold no picture.
    """
    message = deserialize_message(raw, CompressedImage)
    return rgb(make, rgb_of(message), stamp_of(message), message.header.frame_id)


def instants(recording: Recording, topics: set[str], trigger: str = "") -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
    """The messages of ``recording`` on ``topics`` as (header stamp, [(topic, CDR bytes)]), oldest stamp first; of one topic's messages
    with one stamp the first. Messages of roadside stations come before the first picture on ``trigger`` that follows them in the recording,
    as an evaluation has them (``bags/roadside.py``). Calibrations and transforms come as they were recorded, with the car's newest of that
    time; so do stations without ``trigger``.
    ``recording.notes`` says how many came too late to be played.

    Raises:
        BagError: a broken file, or a message without a readable header.
    """
    ticks = _Ticks(min(recording.spread_ns(topics), LONGEST_NS) + SETTLE_NS, trigger)
    stations = set(roadside_topics(recording.stations, recording.held)) if trigger else set()
    for topic, _, raw in recording.received(topics):
        if topic in stations:
            ticks.hear(topic, raw)
        elif topic in recording.timed:
            ticks.take(header_stamp(raw, topic), topic, raw)
        else:
            ticks.accompany(None if topic in _QOS else header_stamp(raw, topic), topic, raw)
        yield from ticks.due()
    yield from ticks.rest()
    if ticks.late:
        recording.notes.append(f"{ticks.late} messages came more than {ticks.hold_ns / 1e9:.1f} s late, or again, and were not played")


class _Ticks:
    """Messages by stamp, held for ``hold_ns`` of the newest one, in which others may still come. ``late`` counts what came after that.
    ``trigger``: the topic whose next message roadside ones come with."""

    def __init__(self, hold_ns: int, trigger: str = ""):
        self.hold_ns, self.late, self._trigger = hold_ns, 0, trigger
        self._heard: list[tuple[str, bytes]] = []
        self._pending: dict[int, list[tuple[str, bytes]]] = defaultdict(list)
        self._newest_ns = self._played_ns = -1
        self._early: list[tuple[int | None, str, bytes]] = []

    def take(self, stamp_ns: int, topic: str, raw: bytes) -> None:
        """A message of the car; one that came twice counts once."""
        self._newest_ns = max(stamp_ns, self._newest_ns)
        for one in self._early:
            self.accompany(*one)
        self._early.clear()
        if stamp_ns > self._played_ns and all(topic != other for other, _ in self._pending[stamp_ns]):
            if topic == self._trigger:
                self._pending[stamp_ns][:0] = self._heard  # published first: a model that plans on the picture has them by then
                self._heard.clear()
            self._pending[stamp_ns].append((topic, bytes(raw)))
        self.late += stamp_ns <= self._played_ns

    def hear(self, topic: str, raw: bytes) -> None:
        """A message of a roadside station."""
        self._heard.append((topic, bytes(raw)))

    def accompany(self, stamp_ns: int | None, topic: str, raw: bytes) -> None:
        """A message that goes with the car's newest of its time, unless it is a little newer. The first ones wait for the car's first."""
        if self._newest_ns < 0:
            self._early.append((stamp_ns, topic, bytes(raw)))
            return
        ahead = stamp_ns is not None and self._newest_ns < stamp_ns <= self._newest_ns + self.hold_ns  # else late, or of another clock
        self._pending[stamp_ns if stamp_ns is not None and ahead else self._newest_ns].append((topic, bytes(raw)))

    def due(self) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
        """The instants to which nothing can come any more."""
        for stamp_ns in sorted(one for one in self._pending if one < self._newest_ns - self.hold_ns):
            yield stamp_ns, self._pending.pop(stamp_ns)
            self._played_ns = stamp_ns

    def rest(self) -> Iterator[tuple[int, list[tuple[str, bytes]]]]:
        """All that is left; what only accompanies has stamps of its own where the car sent nothing."""
        for stamp_ns, topic, raw in self._early:
            if stamp_ns is not None:
                self._pending[stamp_ns].append((topic, raw))
        if self._heard:  # no picture follows them: nobody plans on them any more
            self._pending[max(self._pending, default=self._newest_ns) + 1] += self._heard
        yield from sorted(self._pending.items())
