"""What can be read of a recording: which of its topics can be believed, and their messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from kd_planner_ros.bags.bag_file import DEFINITION_REMEDY
from kd_planner_ros.bags.kinds import fits, kinds_of
from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.bags.recorded_topics import RecordedTopics
from kd_planner_ros.bags.stamps import Times, Verdict, judge, lateness, placed, read_times, stamped
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.wire.channels import find_channel
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.topics import CARLA_OBJECTS, LABELS, TRUTH_OBJECTS, TRUTH_SIGNALS, TRUTH_STATE

STAMPS_REMEDY = "record one drive, with use_sim_time in every node; 'kd-planner bags check PATH' shows every topic"
"""What to do about stamps that cannot be believed."""
KIND_REMEDY = "remap the topic to a node that publishes that type, and record again"


class Catalogue(RecordedTopics):
    """The topics of a recording, why some cannot be read, and the messages on the others."""

    # --- what can be believed ----------------------------------------------------------------------------------------

    @cached_property
    def timed(self) -> frozenset[str]:
        """The topics that are joined by their stamps."""
        own = self.topics
        cameras = [topic for camera in self.cameras for topic in (
            self.image_topic(camera), own.ids(camera), *(own.label(camera, kind) for kind in LABELS))]
        return frozenset((own.odometry, own.imu, own.control, own.speed, TRUTH_STATE, TRUTH_OBJECTS, TRUTH_SIGNALS, own.sensor("objects"),
                          CARLA_OBJECTS, *cameras, *map(own.sensor, self.clouds)))

    @cached_property
    def times(self) -> Mapping[str, Times]:
        """The times of each ``timed`` topic that can be read, as its messages say them.

        Raises:
            BagError: the file is broken.
        """
        return read_times(self._file, [topic for topic in self.timed if topic in self.held and not self._unfit(topic)[0]])

    @cached_property
    def verdicts(self) -> Mapping[str, Verdict]:
        """What is wrong with the stamps of each ``timed`` topic (``bags/stamps.py``).

        Raises:
            BagError: the file is broken.
        """
        return judge({topic: self.times[topic] for topic in sorted(self.timed) if topic in self.times and not self._unfit(topic)[0]},
                     self.topics.odometry)

    def placed_times(self, topic: str) -> Times | None:
        """The times of the messages that ``messages`` gives of a ``timed`` topic; None without one that has a header."""
        return placed(self.times[topic], self.verdicts[topic]) if topic in self.verdicts else None

    def late_ns(self, topics: Iterable[str]) -> int:
        """How late a message of ``topics`` comes at most after a newer one of its own topic, ns."""
        return max((lateness([one]) for one in self._placed(topics)), default=0)

    def spread_ns(self, topics: Iterable[str]) -> int:
        """How late a message of ``topics`` comes at most after a newer one of any of them, ns."""
        return lateness(self._placed(topics))

    def _placed(self, topics: Iterable[str]) -> list[Times]:
        return [one for topic in topics if (one := self.placed_times(topic)) is not None]

    def absent(self, topic: str) -> str:
        """Why ``topic`` cannot be read whatever its stamps are: not recorded, empty, or of a type that is not known. "" where it can."""
        return self._absent(topic)[0]

    def lacks(self, topic: str) -> str:
        """Why ``topic`` cannot be read: ``absent``, or stamps that cannot be believed. "" where it can be; what is odd about its stamps
        goes to ``notes``.

        Raises:
            BagError: the file is broken.
        """
        return self._lack(topic)[0]

    def usable(self, topic: str) -> bool:
        """Whether ``topic`` can be read; where it was recorded and cannot, ``notes`` says why.

        Raises:
            BagError: the file is broken.
        """
        return not self._left_out(topic, self.lacks(topic))

    def _left_out(self, topic: str, why: str) -> str:
        """``why``; where ``topic`` was recorded, ``notes`` gets it too."""
        note = f"{topic} is left out: {why}"
        if why and topic in self.held and note not in self.notes:
            self.notes.append(note)
        return why

    def _absent(self, topic: str) -> tuple[str, str]:
        """(why, what to do where that is not to record the topic)."""
        if topic not in self.kinds:
            return "no such topic", ""
        return self._unfit(topic) if topic in self.held else ("no message on it", "")

    def _unfit(self, topic: str) -> tuple[str, str]:
        """Why messages on ``topic`` cannot be read for their type, and what to do; empty where they can."""
        kind, wanted = self.kinds[topic], kinds_of(topic)
        fields = self._file.fields(topic)
        if fields is None:
            return ("", "") if kind in wanted and self._file.has_definition(topic) else (
                f"{kind}, of which neither the recording nor this package has a definition", DEFINITION_REMEDY)
        if fits(kind, fields, wanted):
            return "", ""
        return f"messages of type {kind}, not {' or '.join(wanted)}", KIND_REMEDY

    def _lack(self, topic: str) -> tuple[str, str]:
        """(why, what to do where that is not to record the topic)."""
        why, remedy = self._absent(topic)
        if why:
            return why, remedy
        verdict = self.verdicts.get(topic, Verdict())
        self.notes += [note for note in (f"{topic}: {one}" for one in verdict.notes) if note not in self.notes]
        return verdict.fault, STAMPS_REMEDY

    def require(self, topic: str, remedy: str) -> None:
        """Refuse the recording where it ``lacks`` the topic.

        Raises:
            BagError: the topic, why it cannot be read, and ``remedy`` where it is missing.
        """
        self.require_all({remedy: (topic,)})

    def require_all(self, remedies: Mapping[str, Iterable[str]]) -> None:
        """Refuse the recording where it ``lacks`` any of the topics of ``remedies`` (remedy: topics); all are named.

        Raises:
            BagError: the topics, why each cannot be read, and their remedies.
        """
        found = [(topic, lack[0], lack[1] or remedy)
                 for remedy, topics in remedies.items() for topic in topics if (lack := self._lack(topic))[0]]
        if found:
            reasons = {why for _, why, _ in found}
            got = reasons.pop() if len(reasons) == 1 else "; ".join(f"{topic}: {why}" for topic, why, _ in found)
            raise BagError(f"{', '.join(topic for topic, _, _ in found)} in {self.path}", got,
                           ", and ".join(dict.fromkeys(remedy for _, _, remedy in found)))

    # --- messages ----------------------------------------------------------------------------------------------------

    def raw(self, topics: Iterable[str]) -> Iterator[tuple[str, int, bytes]]:
        """(topic, bag time in ns, serialised message) of ``topics``, by bag time; messages without stamps have the one they are placed
        at. Topics that were not recorded are left out.

        Raises:
            BagError: the file is truncated or broken.
        """
        wanted = list(topics)
        judged = self.verdicts if any(topic in self.timed for topic in wanted) else {}
        clocks = {topic: clock for topic in wanted if topic in judged and (clock := judged[topic].clock) is not None}
        for topic, bag_ns, raw in self._file.raw(wanted):
            yield topic, bag_ns, stamped(raw, int(clocks[topic].at([bag_ns])[0])) if topic in clocks else raw

    def messages(self, topics: Iterable[str]) -> Iterator[tuple[str, int, Any]]:
        """As ``raw``, but the messages.

        Raises:
            BagError: the file is truncated or broken.
        """
        for topic, bag_ns, raw in self.raw(topics):
            yield topic, bag_ns, self._file.decode(topic, raw)

    def records(self, channel: str, sensor: str = "") -> Iterator[tuple[int, Any]]:
        """(stamp in ns, record) of everything on one channel of ``wire/channels.py``, by bag time; nothing where the topic was
        not recorded, or has another type, which ``notes`` says. Messages without a header get the bag's time.

        Raises:
            BagError: a message that cannot be read, or a broken file.
            ConfigError: no such channel.
        """
        topic, decode_one = self.topics.of(channel, sensor), find_channel(channel).decode
        if self._left_out(topic, self.absent(topic)):
            return
        for _, bag_ns, message in self.messages([topic]):
            yield stamp_of(message) if hasattr(message, "header") else bag_ns, decoded(decode_one, message, topic)

    def records_by_stamp(self, channel: str) -> dict[int, Any]:
        """``records`` by stamp; of two with one stamp the first counts, as in samples (``instants``).

        Raises:
            BagError, ConfigError: as ``records``.
        """
        found: dict[int, Any] = {}
        for stamp, record in self.records(channel):
            found.setdefault(stamp, record)
        return found
