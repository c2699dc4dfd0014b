"""MCAP files as writers other than a ROS 2 recorder make them: any profile, without chunks, or with chunks and no index."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from kd_planner_ros.bags.bag_file import BagFile

MAGIC = b"\x89MCAP0\r\n"


def write_mcap(source: Path, target: Path, profile: str = "ros2", encoding: str = "cdr", per_chunk: int = 0,
               order: Callable[[list[tuple[str, int, bytes]]], list[tuple[str, int, bytes]]] = list) -> Path:
    """The messages of the recording at ``source`` as one file without a summary.

    Args:
        encoding: the serialisation that the channels name; ``ros1`` gives the schemas ROS 1's form.
        per_chunk: messages in a chunk; 0: no chunks.
        order: the order in which the messages are written.
    """
    records: list[bytes] = []
    with closing(BagFile(source)) as file:
        numbers = {topic: number for number, topic in enumerate(sorted(file.kinds), 1)}
        for topic, number in numbers.items():
            form = "ros1msg" if encoding == "ros1" else "ros2msg"
            text = file._definition(topic).data.encode()
            records.append(_record(3, struct.pack("<H", number) + _text(file.kinds[topic]) + _text(form) + _bytes(text)))
            records.append(_record(4, struct.pack("<HH", number, number) + _text(topic) + _text(encoding) + _bytes(b"")))
        messages = [_record(5, struct.pack("<HIQQ", numbers[topic], 0, when, when) + bytes(raw))
                    for topic, when, raw in order(list(file.raw(file.kinds)))]
    for first in range(0, len(messages), per_chunk) if per_chunk else ():
        data = b"".join(messages[first:first + per_chunk])
        records.append(_record(6, struct.pack("<QQQI", 0, 2**62, len(data), 0) + _text("") + struct.pack("<Q", len(data)) + data))
    records += [] if per_chunk else messages
    head, end = _record(1, _text(profile) + _text("a converter")), _record(15, bytes(4)) + _record(2, bytes(20))
    target.write_bytes(MAGIC + head + b"".join(records) + end + MAGIC)
    return target


def _record(number: int, content: bytes) -> bytes:
    return struct.pack("<BQ", number, len(content)) + content


def _bytes(data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + data


def _text(text: str) -> bytes:
    return _bytes(text.encode())
