"""The files of one recording: topics, facts and messages. mcap and sqlite3 through ``rosbags``; no ROS."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backports import zstd
from rosbags.highlevel import AnyReader
from rosbags.highlevel.anyreader import AnyReaderError
from rosbags.rosbag2 import ReaderError
from rosbags.serde import SerdeError
from ruamel.yaml.error import YAMLError

from kd_planner_ros.bags.messages import typestore
from kd_planner_ros.core.errors import BagError

_BROKEN = (AnyReaderError, ReaderError, SerdeError, zstd.ZstdError, sqlite3.Error, struct.error, EOFError, YAMLError)


class BagFile:
    """An open rosbag2 folder: ``kinds`` (message type by topic), ``custom_data`` and ``messages``.

    Raises:
        BagError: a file that is truncated or broken.
    """

    def __init__(self, path: Path):
        self.path = path
        with self._errors():
            self._reader = AnyReader([path], default_typestore=typestore())
            self._reader.open()  # once: parsing metadata.yaml takes longer than reading a short drive
        self.kinds: Mapping[str, str] = {connection.topic: connection.msgtype for connection in self._reader.connections}
        custom = self._reader.readers[0].storage.metadata.custom or {}
        self.custom_data: dict[str, str] = {str(key): str(value) for key, value in custom.items()}

    def messages(self, topics: Iterable[str]) -> Iterator[tuple[str, int, Any]]:
        """(topic, bag time in ns, message) of ``topics``, by bag time. Topics that were not recorded are left out.

        Raises:
            BagError: the file is truncated or broken.
        """
        wanted = set(topics)
        with self._errors():
            chosen = [connection for connection in self._reader.connections if connection.topic in wanted]
            for connection, bag_ns, raw in self._reader.messages(chosen) if chosen else ():
                yield connection.topic, bag_ns, self._reader.deserialize(raw, connection.msgtype)

    def close(self) -> None:
        """Close the files; also done when the object is no longer referred to."""
        self._reader.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (*_BROKEN, AssertionError, KeyError, UnicodeDecodeError) as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BagError(f"a whole recording in {self.path}", text,
                           "the file is cut off or damaged: copy or record it again, or run 'ros2 bag reindex'") from None
