"""What the nodes of a replay publish: counted, waited for, and written into a new recording."""

from __future__ import annotations

import importlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Bool

from kd_planner_ros.bags.messages import typestore
from kd_planner_ros.bags.stamps import header_stamp
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.ros.graph.describe import NodeProcess
from kd_planner_ros.ros.graph.pacing import Asked
from kd_planner_ros.ros.qos import LATCHED, STATE, subscribe
from kd_planner_ros.sync.cadence import Cadence
from kd_planner_ros.wire.codec.base import stamp_of

PATIENT_S = 5.0
"""A perception that takes longer in lock-step counts as lost."""
LOST_IN_A_ROW = 3
"""After so many lost ones the next are not waited for until one comes: the perceiver refuses the pictures."""
NOT_WRITTEN = ("/parameter_events", "/rosout")
NOT_WRITTEN_ENDS = ("/transition_event", "/overlay")
"""What every node has, and pictures that are drawn from other outputs."""
LOOK_TICKS = 20
"""Ticks between two looks for topics that a node has opened since."""
SETTLE_S = 2.0
"""From the last topic that was found to the first message: a publisher sends to those subscribers alone that it knows of."""
DEPTH = 50


class Perceptions:
    """The pictures that ask for a perception and those that got one.

    Args:
        trigger: topic whose messages ask for one.
    """

    def __init__(self, node: Any, rate_hz: float, trigger: str):
        self.ready, self.stamps = False, set[int]()
        self._asked, self._trigger, self._lost = Asked(Cadence(1.0 / rate_hz)), trigger, 0
        self._ports = [subscribe(node, CameraInfo, "perception_camera_info", self._take, STATE),
                       subscribe(node, Bool, "perception_ready", self._take_ready, LATCHED)]

    def _take(self, info: CameraInfo) -> None:
        self.stamps.add(stamp_of(info))
        self._lost = 0

    def _take_ready(self, message: Bool) -> None:
        self.ready = message.data

    def ask(self, names: set[str], stamp_ns: int) -> None:
        """The messages ``names`` are played at ``stamp_ns``."""
        if self._trigger in names:
            self._asked.take(stamp_ns, max(self.stamps, default=0))

    def wait(self, stamp_ns: int, spin: Callable[[float], object]) -> None:
        """Wait until the picture of ``stamp_ns`` was perceived, if it asked for it."""
        if self._asked.newest_ns != stamp_ns or self._lost >= LOST_IN_A_ROW:
            return
        until_s = time.monotonic() + PATIENT_S
        while stamp_ns not in self.stamps:
            if (left_s := until_s - time.monotonic()) <= 0.0:
                self._lost += 1
                return
            spin(left_s)

    def facts(self) -> dict[str, int]:
        """``perceptions``, and ``pictures_unseen`` that asked for one and got none."""
        return {"perceptions": len(self.stamps), "pictures_unseen": sum(stamp not in self.stamps for stamp in self._asked.frames)}


class OutputBag(AbstractContextManager["OutputBag"]):
    """A recording of every topic that the graph's nodes publish, byte for byte, but ``NOT_WRITTEN`` and overlays; none without a ``path``.

    ``left_out`` has the topics whose message type this package has no definition of. Leaving it by an exception leaves
    ``<name>.partial``.

    Raises:
        BagError: a recording of that name exists already.
    """

    def __init__(self, path: Path | None, node: Any, nodes: Sequence[NodeProcess], role_name: str, facts: dict[str, str]):
        self._node, self._nodes = node, nodes
        self._writer = None if path is None else BagWriter(path, SensorRig(), facts, role_name)
        self._now_ns, self._ticks, self._early = -1, 0, list[tuple[str, str, bytes, bool]]()
        self._ports: dict[str, Any] = {}
        self._counts = Counter[str]()
        self.left_out: dict[str, str] = {}

    def __enter__(self) -> OutputBag:
        if self._writer is not None:
            self._writer.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer.__enter__()
        return self

    def __exit__(self, *why: Any) -> None:
        if self._writer is not None:
            self._writer.__exit__(*why)

    def open(self, spin: Callable[[float], object]) -> None:
        """Subscribe to everything that the nodes publish, before anything is played to them."""
        until_s, known = time.monotonic() + SETTLE_S, 0
        while self._writer is not None and time.monotonic() < until_s:
            self.look()
            if len(self._ports) > known:
                until_s, known = time.monotonic() + SETTLE_S, len(self._ports)
            spin(0.1)

    def look(self) -> None:
        """Subscribe to the topics that the nodes have opened since the last look."""
        for node in self._nodes if self._writer is not None else ():
            for topic, kinds in _publishers(self._node, node):
                if topic not in self._ports and topic not in self.left_out and not topic.endswith(NOT_WRITTEN_ENDS):
                    self._subscribe(topic, kinds[0])

    def _subscribe(self, topic: str, kind: str) -> None:
        if topic in NOT_WRITTEN:
            return
        if kind not in typestore().fielddefs:
            self.left_out[topic] = kind
            return
        offered = [one.qos_profile.durability for one in self._node.get_publishers_info_by_topic(topic)]
        latched = DurabilityPolicy.TRANSIENT_LOCAL in offered
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        package, _, name = kind.split("/")
        self._ports[topic] = self._node.create_subscription(
            getattr(importlib.import_module(f"{package}.msg"), name), topic, lambda raw: self._take(topic, kind, bytes(raw), latched),
            QoSProfile(depth=DEPTH, reliability=ReliabilityPolicy.RELIABLE, durability=durability), raw=True)

    def _take(self, topic: str, kind: str, raw: bytes, latched: bool) -> None:
        if self._now_ns < 0:
            self._early.append((topic, kind, raw, latched))
            return
        first, *_ = typestore().fielddefs[kind][1] or [("", None)]
        stamp_ns = header_stamp(raw, topic) if first[0] == "header" else 0
        assert self._writer is not None
        self._writer.write_raw(topic, kind, raw, stamp_ns or self._now_ns, latched)
        self._counts[topic] += 1

    def tick(self, stamp_ns: int, spin: Callable[[float], object]) -> None:
        """Time is ``stamp_ns``; take what has come. Messages without a stamp are written at this time, earlier ones at the first tick."""
        if self._writer is None:
            return
        self._now_ns, early, self._early = stamp_ns, self._early, []
        for one in early:
            self._take(*one)
        if self._ticks % LOOK_TICKS == 0:
            self.look()
        self._ticks += 1
        for _ in self._ports:
            spin(0.0)

    def facts(self) -> dict[str, Any]:
        """``out``, ``written``: messages by topic, and ``not_written``: topics and types that have no definition here."""
        if self._writer is None:
            return {}
        return {"out": str(self._writer.path), "written": dict(sorted(self._counts.items())),
                **({"not_written": dict(self.left_out)} if self.left_out else {})}


def _publishers(node: Any, of: NodeProcess) -> list[tuple[str, list[str]]]:
    """(topic, types) of everything that node ``of`` publishes as far as it has been discovered."""
    try:
        return list(node.get_publisher_names_and_types_by_node(of.name, of.namespace))
    except Exception:  # noqa: BLE001  rclpy raises NodeNameNonExistentError, of another module in each distribution
        return []
