"""A recording copied message by message, with changes that a recorder or a driver would cause."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.messages import typestore
from kd_planner_ros.bags.stamps import header_stamp, stamped

__all__ = ["Change", "edited", "moved", "rewrite", "stamped", "zoomed"]

Change = Callable[[str, int, bytes], "list[tuple[int, bytes]] | bytes | None"]
"""(topic, bag time, message) -> the message to write instead, several with their bag times, or None to leave it out."""


def rewrite(source: Path, target: Path, change: Change = lambda topic, bag_ns, raw: raw, rename: Callable[[str], str] = str,
            storage: str = "mcap", compression: str = "", silent: Mapping[str, str] = MappingProxyType({}),
            kinds: Mapping[str, str] = MappingProxyType({}), custom: Mapping[str, str] = MappingProxyType({})) -> Path:
    """Copy the recording at ``source`` to ``target`` and give that back. ``compression`` is "", file or message; ``silent`` are
    topics, with their types, that the recorder knew and on which no message came; ``kinds`` the types of changed topics,
    ``custom`` replaces custom data."""
    writer = Writer(target, version=9, storage_plugin=StoragePlugin[storage.upper()])
    if compression:
        writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    connections = {}
    with closing(BagFile(source)) as file, writer:
        for topic, kind in silent.items():
            writer.add_connection(topic, kind, typestore=typestore())
        for topic, bag_ns, raw in file.raw(file.kinds):
            written = change(topic, bag_ns, raw)
            name, kind = rename(topic), kinds.get(topic, file.kinds[topic])
            for when, data in [(bag_ns, written)] if isinstance(written, bytes) else written or ():
                if name not in connections:
                    connections[name] = writer.add_connection(name, kind, typestore=typestore())
                writer.write(connections[name], when, data)
        for key, value in {**file.custom_data, **custom}.items():
            writer.set_custom_data(key, value)
    return target


def moved(wanted: str, by: Callable[[int], int]) -> Change:
    """A change that gives the messages on topics that end with ``wanted`` the stamp ``by(stamp)``."""
    def change(topic: str, bag_ns: int, raw: bytes) -> bytes:
        return stamped(raw, by(header_stamp(raw, topic))) if topic.endswith(wanted) else raw

    return change


def edited(wanted: str, kind: str, edit: Callable[[Any], Any]) -> Change:
    """A change that replaces each message of type ``kind`` on topics that end with ``wanted`` by ``edit(message)``."""
    def change(topic: str, bag_ns: int, raw: bytes) -> bytes:
        if not topic.endswith(wanted):
            return raw
        return bytes(typestore().serialize_cdr(edit(typestore().deserialize_cdr(raw, kind)), kind))

    return change


def zoomed(times: float) -> Change:
    """A change that multiplies the focal lengths in each camera_info."""
    def edit(info: Any) -> Any:
        k = info.k.copy()
        k[[0, 4]] *= times
        return replace(info, k=k)

    return edited("/camera_info", "sensor_msgs/msg/CameraInfo", edit)
