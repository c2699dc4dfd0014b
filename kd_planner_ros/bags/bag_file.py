"""A recording's topics, facts and messages, without ROS. Only what is read is deserialised, and only its definitions count."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from heapq import merge
from pathlib import Path
from typing import Any

from backports import zstd
from rosbags.interfaces import MessageDefinition, MessageDefinitionFormat
from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from kd_planner_ros.bags.files import PACKED, ROS1_REMEDY, bag_files, custom_data_of, parse_metadata
from kd_planner_ros.bags.messages import STORES, Field, fields_of, known_fields, typestore
from kd_planner_ros.bags.storage import NO_DEFINITION, Link, Storage, open_storage
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import OF_THE_MACHINE

CDR = ("cdr", "")
"""Serialisations that are read; "" is an old recorder's."""
HEADER = "std_msgs/msg/Header"
DEFINITION_REMEDY = "convert it with 'ros2 bag convert' to MCAP, which holds definitions, where the type's package is installed"
_ZSTD = bytes.fromhex("28b52ffd")
"""What every zstd frame begins with."""
Message = tuple[str, int, Any]
"""(topic, bag time in ns, message)."""


class BagFile:
    """An open recording: a rosbag2 folder, or a data file by itself.

    Attributes:
        kinds: message type by topic.
        counts: number of messages by topic.
        custom_data: what the recorder noted.
        notes: what is not read, and why.

    Raises:
        BagError: no recording, one that is truncated or broken, or holds fewer messages than its metadata.yaml says.
    """

    def __init__(self, path: Path):
        self.path = path
        self.files = bag_files(path)
        self.notes: list[str] = [f"{one.name} is not read: metadata.yaml does not name it" for one in self.files.beside]
        self._stack = ExitStack()
        self._stores: dict[str, Typestore] = {}
        try:
            with self._errors():
                self._storages = self._open()
            self._links = self._chosen()
            self.kinds: Mapping[str, str] = {link.topic: link.kind for links in self._links for link in links}
            self.counts = {topic: sum(link.count for links in self._links for link in links if link.topic == topic) for topic in self.kinds}
            self._require_counts()
            self.custom_data = dict(self.files.custom_data or self._noted())
        except BaseException:
            self._stack.close()
            raise

    # --- messages ----------------------------------------------------------------------------------------------------

    def messages(self, topics: Iterable[str]) -> Iterator[Message]:
        """(topic, bag time in ns, message) of ``topics``, by bag time. Topics that were not recorded are left out.

        Raises:
            BagError: the file is truncated or broken, or the definition of a topic's type is.
        """
        for topic, bag_ns, raw in self.raw(topics):
            yield topic, bag_ns, self.decode(topic, raw)

    def decode(self, topic: str, raw: bytes) -> Any:
        """The message that ``raw`` is, on ``topic``.

        Raises:
            BagError: the message or the definition of its type is broken.
        """
        require_cdr(raw, topic)
        with self._errors(f", in a message on {topic}"):
            return self._decode(topic, raw)

    def raw(self, topics: Iterable[str]) -> Iterator[tuple[str, int, bytes]]:
        """As ``messages``, but the serialised messages.

        Raises:
            BagError: the file is truncated or broken, also where a damaged index finds fewer messages than the file says it holds.
        """
        wanted = set(topics)
        lacking = sum(link.count for links in self._links for link in links if link.topic in wanted)
        chosen = [[link for link in links if link.topic in wanted] for links in self._links]
        with self._errors():
            parts = [storage.messages(links) for storage, links in zip(self._storages, chosen, strict=True) if links]
            for link, bag_ns, raw in merge(*parts, key=lambda one: one[1]):  # parts of one recording may overlap
                lacking -= 1
                yield link.topic, bag_ns, zstd.decompress(raw) if self._packed(raw) else raw
            if lacking > 0:
                raise ValueError(f"{lacking} messages on {', '.join(sorted(wanted & set(self.kinds)))} are not found")

    def has_header(self, topic: str) -> bool:
        """Whether messages on ``topic`` begin with a header. False where the type's definition cannot be read."""
        fields = self._fields(topic)
        return bool(fields) and fields[0][1][1] == HEADER

    def fields(self, topic: str) -> frozenset[Field] | None:
        """The fields of messages on ``topic``; None where there is no definition of their type, or a broken one."""
        found = self._fields(topic)
        return None if found is None else fields_of(found)

    def has_definition(self, topic: str) -> bool:
        """Whether the recording or this package defines the type of messages on ``topic``, well or badly."""
        return self._definition(topic) != NO_DEFINITION or self.kinds[topic] in typestore().fielddefs

    def close(self) -> None:
        """Close the files; also done when the object is no longer referred to."""
        self._stack.close()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _packed(self, raw: bytes) -> bool:
        """Whether a message is compressed: where metadata.yaml is lost, its first bytes say so; those of CDR are never these."""
        return self.files.compression == "message" or raw[:4] == _ZSTD

    def _open(self) -> list[Storage]:
        paths = list(self.files.files)
        if self.files.compression == "file":
            folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kd_planner_bag_")))
            paths = [_unpacked(one, folder) if one.suffix == PACKED else one for one in paths]
        found = []
        for path in paths:
            found.append(open_storage(path))
            self._stack.callback(found[-1].close)
        return found

    def _chosen(self) -> list[list[Link]]:
        """The topics of each file that can be read: those serialised by CDR, each with the type that it has first."""
        kinds: dict[str, str] = {}
        chosen: list[list[Link]] = []
        for storage in self._storages:
            chosen.append([])
            for link in storage.links:
                if link.encoding not in CDR:
                    why = f"it is serialised by {link.encoding}"
                elif kinds.setdefault(link.topic, link.kind) != link.kind:
                    why = f"it is {kinds[link.topic]} in the rest of the recording"
                else:
                    chosen[-1].append(link)
                    continue
                self.notes.append(f"{link.count} messages on {link.topic} ({link.kind}) are not read: {why}")
        _require_cdr_topics(self.path, {link.encoding for storage in self._storages for link in storage.links})
        return chosen

    def _require_counts(self) -> None:
        """Compare the files with metadata.yaml."""
        have: dict[str, int] = {}
        for storage in self._storages:
            for link in storage.links:
                have[link.topic] = have.get(link.topic, 0) + link.count
        said = self.files.counts
        if said is None:
            self.notes.append(f"no metadata.yaml: the files of {self.path} are read as they are")
            return
        if lacking := [topic for topic, count in said.items() if have.get(topic, 0) < count]:
            topic = lacking[0]
            raise BagError(f"{said[topic]} messages on {topic} in {self.path}, as metadata.yaml says",
                           f"{have.get(topic, 0)}" + (f", and {len(lacking) - 1} more topics cut short" if lacking[1:] else ""),
                           "the files are cut off: copy them again; to read what is there, run 'ros2 bag reindex' or delete metadata.yaml")
        more = sum(max(0, count - said.get(topic, 0)) for topic, count in have.items())
        if more:
            self.notes.append(f"{more} messages more than metadata.yaml says; they are read too")

    def _noted(self) -> Mapping[str, str]:
        """What the recorder noted inside the files."""
        for storage in self._storages:
            try:
                return custom_data_of(parse_metadata(storage.embedded_metadata()))
            except Exception:  # noqa: BLE001 - notes are no data: a file without any is whole
                continue
        return {}

    def _fields(self, topic: str) -> Any:
        try:
            return self._store(topic).fielddefs[self.kinds[topic]][1]
        except (BagError, KeyError):
            return None

    def _definition(self, topic: str) -> MessageDefinition:
        return next((link.definition for links in self._links for link in links
                     if link.kind == self.kinds[topic] and link.definition != NO_DEFINITION), NO_DEFINITION)

    def _decode(self, topic: str, raw: bytes) -> Any:
        """The message, by the types of the first distribution that it fits where the recording defines none."""
        kind = self.kinds[topic]
        if topic not in self._stores:
            first = self._store(topic)
            choice = [first] if self._definition(topic) != NO_DEFINITION else [typestore(one) for one in STORES]
            self._stores[topic] = next((one for one in choice[1:] if not _reads(first, kind, raw) and _reads(one, kind, raw)), first)
        return self._stores[topic].deserialize_cdr(raw, kind)

    def _store(self, topic: str) -> Typestore:
        """The types of the messages on ``topic``."""
        kind = self.kinds[topic]
        with self._errors(f", in the definition of {kind} on {topic}"):
            definition = self._definition(topic)
            if definition == NO_DEFINITION:
                if kind not in typestore().fielddefs:
                    raise BagError(f"a definition of {kind} on {topic} in {self.path}", "none there, and none in this package",
                                   DEFINITION_REMEDY)
                return typestore()
            return _types(kind, definition)

    @contextmanager
    def _errors(self, where: str = "") -> Iterator[None]:
        """Whatever a library raises about foreign bytes means: this recording is broken, here."""
        try:
            yield
        except BagError:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
                raise
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise BagError(f"a whole recording in {self.path}", f"{text}{where}",
                           "the file is cut off or damaged: copy or record it again, or run 'ros2 bag reindex'") from None


def require_cdr(raw: bytes, topic: str) -> None:
    """Refuse a message that is not plain CDR.

    Raises:
        BagError: its first bytes are others, as those of a compression that is not known here.
    """
    if len(raw) < 4 or raw[0] or raw[1] > 1:
        raise BagError(f"messages serialised by CDR on {topic}", f"one that begins with the bytes {raw[:4].hex(' ') or '(none)'}",
                       "copy metadata.yaml beside the file, convert the recording with 'ros2 bag convert', or record it again")


def _require_cdr_topics(path: Path, encodings: Collection[str]) -> None:
    """Refuse a file that holds nothing of ROS 2; one without topics passes."""
    if encodings and not set(encodings) & set(CDR):
        raise BagError(f"messages serialised by CDR in {path}", f"{', '.join(sorted(encodings))} alone",
                       f"find the .bag that it was made of, and {ROS1_REMEDY}" if "ros1" in encodings else
                       "record the topics with 'ros2 bag record'")


def _unpacked(path: Path, folder: Path) -> Path:
    """The unpacked copy of the file at ``path`` in ``folder``."""
    target = folder / path.stem
    with path.open("rb") as packed, zstd.open(packed, "rb") as inside, target.open("wb") as out:
        shutil.copyfileobj(inside, out)
    return target


@lru_cache(maxsize=256)
def _types(kind: str, definition: MessageDefinition) -> Typestore:
    """The type ``kind`` and those in it, as ``definition`` describes them."""
    store = get_typestore(Stores.EMPTY)
    if definition.format == MessageDefinitionFormat.MSG:
        store.register(get_types_from_msg(definition.data, kind))
        return _whole(store)
    line = "=" * 80 + "\n"
    texts = definition.data.split(line)[1:] if definition.data.startswith(f"{line}IDL: ") else [f"\n{definition.data}"]
    types: dict[str, Any] = {}
    for text in texts:
        types.update(get_types_from_idl(text.split("\n", 1)[1]))
    store.register(types)
    return _whole(store)


def _reads(store: Typestore, kind: str, raw: bytes) -> bool:
    """Whether ``raw`` is a message of ``kind``, to its last byte, as ``store`` has the type."""
    try:
        store.deserialize_cdr(raw, kind)
    except Exception:  # noqa: BLE001 - a reader of foreign bytes raises many kinds
        return False
    return True


def _whole(store: Typestore) -> Typestore:
    """``store``, whose types have every field that the types of these names have in a distribution; more are no harm.

    Raises:
        ValueError: a field is missing.
    """
    for kind, (_, fields) in store.fielddefs.items():
        names = {name for name, _ in fields}
        lacking = [{name for name, _ in known_fields(one).get(kind, ())} - names for one in STORES]
        if all(lacking):
            raise ValueError(f"no {', '.join(sorted(lacking[0]))} in {kind}")
    return store
