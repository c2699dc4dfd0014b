"""What a gateway hears: the radio topics of every station, each message with the signature beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sensor_msgs.msg import CompressedImage, PointCloud2
from std_msgs.msg import String

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.v2x import OBJECTS, PHASES, PICTURE, RadioMessage
from kd_planner_ros.ros.diagnostics import Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.qos import ROADSIDE, subscribe
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.v2x.pairing import Pairing
from kd_planner_ros.wire.codec.radio import payload_of, signature_of
from kd_planner_ros.wire.topics import Topics


class RadioInputs:
    """Subscribes to the radio topics of ``stations`` and hands what comes to ``pairing``. Which station and which camera a message is of is
    told by its topic, and proven by its signature.

    Args:
        now_ns: called for the time of arrival; None before the first /clock, when nothing is taken.
    """

    def __init__(self, node: Any, stations: Sequence[Station], pairing: Pairing, health: Health, now_ns: Callable[[], int | None]):
        self._pairing, self._now_ns = pairing, now_ns
        self._counts = {"radio messages": 0, "radio messages before /clock": 0, "signatures that cannot be read": 0}

        def port(kind: type, topic: str, work: Callable[[Any], None]) -> Any:
            return subscribe(node, kind, topic, guarded(health, work, name=topic), ROADSIDE)

        self._ports = []
        for one in stations:
            topics = Topics(one.id)
            self._ports += [port(PointCloud2, topics.of(f"radio_{kind}"), partial(self._content, one.id, kind, ""))
                            for kind in (OBJECTS, PHASES)]
            self._ports += [port(CompressedImage, topics.of("radio_picture", camera.id), partial(self._content, one.id, PICTURE, camera.id))
                            for camera in one.cameras]
            self._ports.append(port(String, topics.of("radio_signature"), partial(self._signature, one.id)))

    def _arrived(self) -> int | None:
        now_ns = self._now_ns()
        self._counts["radio messages" if now_ns is not None else "radio messages before /clock"] += 1
        return now_ns

    def _content(self, station: str, kind: str, camera: str, message: Any) -> None:
        now_ns = self._arrived()
        if now_ns is not None:
            self._pairing.content(RadioMessage(station, 0, kind, from_stamp(message.header.stamp), payload_of(message), received_ns=now_ns,
                                               camera=camera))

    def _signature(self, station: str, message: String) -> None:
        now_ns = self._arrived()
        if now_ns is None:
            return
        try:
            note = signature_of(message)
        except SensorError:
            self._counts["signatures that cannot be read"] += 1
            return
        self._pairing.signature(RadioMessage(station, note.sequence, note.kind, note.stamp_ns, b"", note.signature, now_ns, note.camera))

    def values(self) -> dict[str, Any]:
        """Counts for the diagnostics."""
        return {**self._counts, "signatures without a message": self._pairing.unused}

    def close(self, node: Any) -> None:
        """Drop the subscriptions."""
        for one in self._ports:
            node.destroy_subscription(one)
        self._ports = []
