"""The data files of a recording, one at a time: MCAP through ``rosbags``, sqlite3 by itself.

What nobody reads does not matter here: unknown encodings of definitions, foreign serialisations and quality-of-service texts are
passed on or left out, never refused.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path
from typing import Any, Protocol, cast

from rosbags.interfaces import Connection, MessageDefinition, MessageDefinitionFormat
from rosbags.rosbag2.storage_mcap import McapReader, Schema, read_bytes, read_sized, read_string

FORMATS = {"ros2msg": MessageDefinitionFormat.MSG, "ros2idl": MessageDefinitionFormat.IDL, "omgidl": MessageDefinitionFormat.IDL}
NO_DEFINITION = MessageDefinition(MessageDefinitionFormat.NONE, "")
_FOOTER, _METADATA_INDEX = 0x02, 0x0D


@dataclass(frozen=True)
class Link:
    """One topic of one file: its number there, name, type, definition, serialisation and number of messages."""

    id: int
    topic: str
    kind: str
    definition: MessageDefinition
    encoding: str
    count: int


class Storage(Protocol):
    """An open data file."""

    links: list[Link]

    def messages(self, links: Collection[Link]) -> Iterator[tuple[Link, int, bytes]]:
        """(link, bag time in ns, serialised message) of ``links``, by bag time."""

    def embedded_metadata(self) -> str:
        """The metadata.yaml that the recorder wrote into the file; "" without one."""

    def close(self) -> None:
        """Close the file."""


def open_storage(path: Path) -> Storage:
    """The data file at ``path``, open. Whatever the libraries raise comes through."""
    return _Mcap(path) if path.suffix == ".mcap" else _Sqlite(path)


class _KnownSchemas(dict[int, Schema]):
    """Schemas whose encodings ``rosbags`` knows; of others the text is left out."""

    def __setitem__(self, key: int, schema: Schema) -> None:
        super().__setitem__(key, schema if schema.encoding in FORMATS else schema._replace(encoding="", data=""))


class _NoQos(dict[int, Any]):
    """Channels without their metadata, in which a broken quality of service would end the rest."""

    def __setitem__(self, key: int, channel: Any) -> None:
        super().__setitem__(key, channel._replace(metadata=b""))


class _AnyProfile(BufferedReader):
    """An MCAP file that says ``ros2`` in its header, whatever it says: each channel names its own serialisation. Writers that are no
    recorder (converters, Foxglove) leave the profile empty."""

    _CONTENT_AT = 17
    """Behind the magic bytes, the record's number and its length."""

    def read(self, size: int | None = -1, /) -> bytes:
        at, data = self.tell(), super().read(size)
        return b"\4\0\0\0ros2".ljust(len(data), b"\0") if at == self._CONTENT_AT and len(data) >= 8 else data


class _McapPath:
    """What ``McapReader`` wants of a path."""

    def __init__(self, path: Path):
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def open(self, mode: str) -> BufferedReader:
        return _AnyProfile(FileIO(self._path))


class _Mcap:
    def __init__(self, path: Path):
        self._reader = McapReader(cast(Any, _McapPath(path)))
        self._reader.schemas, self._reader.channels = _KnownSchemas(), _NoQos()
        self._reader.open()
        self._late_ns: int | None = None
        self.links = [Link(one.id, one.topic, _full(one.msgtype), one.msgdef, str(getattr(one.ext, "serialization_format", "cdr")),
                           one.msgcount) for one in self._reader.connections]

    def messages(self, links: Collection[Link]) -> Iterator[tuple[Link, int, bytes]]:
        by_id = {link.id: link for link in links}
        chosen = [one for one in self._reader.connections if one.id in by_id]
        for one, bag_ns, raw in self._reader.messages(chosen) if self._reader.chunks else self._scanned(chosen):
            yield by_id[one.id], bag_ns, raw

    def _scanned(self, chosen: list[Connection]) -> Iterator[tuple[Connection, int, bytes]]:
        """The messages of a file without an index of its chunks, or without chunks, by bag time: those that were written late wait for
        as long as the latest one was late. ``rosbags`` refuses such a file."""
        if self._late_ns is None:
            newest = late_ns = 0
            for _, bag_ns, _ in self._reader.messages_scan(self._reader.connections):
                newest = max(newest, bag_ns)
                late_ns = max(late_ns, newest - bag_ns)
            self._late_ns = late_ns
        waiting: list[tuple[int, int, Connection, bytes]] = []
        newest = 0
        for number, (one, bag_ns, raw) in enumerate(self._reader.messages_scan(chosen)):
            heappush(waiting, (bag_ns, number, one, raw))
            newest = max(newest, bag_ns)
            while waiting and waiting[0][0] <= newest - self._late_ns:
                bag_ns, _, one, raw = heappop(waiting)
                yield one, bag_ns, raw
        while waiting:
            bag_ns, _, one, raw = heappop(waiting)
            yield one, bag_ns, raw

    def embedded_metadata(self) -> str:
        file = self._reader.bio
        assert file is not None
        file.seek(self._reader.data_end)
        while (op := file.read(1)) and op[0] != _FOOTER:
            record = read_sized(file)
            if op[0] == _METADATA_INDEX and record[16:].endswith(b"rosbag2"):
                file.seek(struct.unpack_from("<Q", record)[0] + 1)
                return _entry(BytesIO(read_sized(file)), "serialized_metadata")
        return ""

    def close(self) -> None:
        self._reader.close()


def _full(kind: str) -> str:
    """``kind`` with its middle part, which some writers leave out: std_msgs/String is std_msgs/msg/String."""
    return kind.replace("/", "/msg/") if kind.count("/") == 1 else kind


def _entry(record: BytesIO, wanted: str) -> str:
    """The value of ``wanted`` in an MCAP metadata record: a name, then a map of texts."""
    read_string(record)
    pairs = BytesIO(read_bytes(record))
    while pairs.tell() < len(pairs.getbuffer()):
        name, value = read_string(pairs), read_string(pairs)
        if name == wanted:
            return value
    return ""


class _Sqlite:
    def __init__(self, path: Path):
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        try:
            self.links = self._links()
        except BaseException:
            self._connection.close()
            raise

    def _links(self) -> list[Link]:
        counts = dict(self._all("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
        definitions = {}
        if self._has("message_definitions"):
            definitions = {kind: MessageDefinition(FORMATS[encoding], text) for kind, encoding, text in self._all(
                "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions ORDER BY id") if encoding in FORMATS}
        return [Link(number, topic, _full(kind), definitions.get(kind, NO_DEFINITION), encoding, counts.get(number, 0))
                for number, topic, kind, encoding in self._all("SELECT id, name, type, serialization_format FROM topics ORDER BY id")]

    def messages(self, links: Collection[Link]) -> Iterator[tuple[Link, int, bytes]]:
        by_id = {link.id: link for link in links}
        marks = ",".join("?" * len(by_id))
        rows = self._connection.execute(
            f"SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN ({marks}) ORDER BY timestamp, id", tuple(by_id))
        for number, bag_ns, raw in rows:
            yield by_id[number], bag_ns, raw

    def embedded_metadata(self) -> str:
        found = self._all("SELECT metadata FROM metadata ORDER BY id DESC LIMIT 1") if self._has("metadata") else []
        return str(found[0][0]) if found else ""

    def _has(self, table: str) -> bool:
        return bool(self._all("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", table))

    def _all(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        self._connection.close()
