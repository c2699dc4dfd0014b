"""What a roadside station sends by radio: each message on its topic, the signature before it."""

from __future__ import annotations

from functools import partial
from typing import Any

from sensor_msgs.msg import CompressedImage, PointCloud2
from std_msgs.msg import String

from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.v2x import OBJECTS, PHASES, PICTURE, RadioMessage
from kd_planner_ros.ros.qos import RADIO, advertise
from kd_planner_ros.wire.codec.radio import SignatureNote
from kd_planner_ros.wire.topics import Topics


class RadioOutputs:
    """Publishes the messages of one station.

    The signature goes first: a gateway that has it judges the message when it comes, and keeps no picture waiting.
    """

    def __init__(self, node: Any, adapter: Any, station: Station):
        self._node, self._adapter, self._station = node, adapter, station
        topics = Topics(station.id)
        self.bytes_sent = 0
        self.rests: dict[str, int] = {}
        """Seconds for which each kind has rested by now, a second each time that the offered deadline passed."""

        def port(kind: type, name: str, topic: str) -> Any:
            return advertise(node, kind, topic, RADIO, on_deadline=partial(self._rest, name))

        self._ports = {(kind, ""): port(PointCloud2, kind, topics.of(f"radio_{kind}")) for kind in (OBJECTS, PHASES)}
        self._ports |= {(PICTURE, one.id): port(CompressedImage, PICTURE, topics.of("radio_picture", one.id)) for one in station.cameras}
        self._signatures = advertise(node, String, topics.of("radio_signature"), RADIO)

    def _rest(self, name: str, times: int) -> None:
        self.rests[name] = self.rests.get(name, 0) + times

    def send(self, message: RadioMessage) -> None:
        """One message with its signature."""
        note = SignatureNote(message.kind, message.camera, message.stamp_ns, message.sequence, message.signature)
        self._signatures.publish(self._adapter.to_msg("radio_signature", note, message.stamp_ns))
        content = self._adapter.to_msg(f"radio_{message.kind}", message.payload, message.stamp_ns, message.camera)
        if message.kind == PICTURE:
            content.header.frame_id = Topics(self._station.id).frame(message.camera)
        self._ports[message.kind, message.camera].publish(content)
        self.rests.pop(message.kind, None)
        self.bytes_sent += len(message.payload) + len(message.signature)

    def close(self) -> None:
        """Drop the publishers."""
        for one in (*self._ports.values(), self._signatures):
            self._node.destroy_publisher(one)
