"""Roadside views on their way into a recording, as late, or not at all, as a simulated radio brings them."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.v2x.channel import ARRIVED, LOST, SENT, fate
from kd_planner_ros.v2x.channel_settings import ChannelSettings
from kd_planner_ros.wire.topics import Topics


class LateViews:
    """Writes views into ``bag``; without a radio at once.

    Pictures and object lists are messages of their own, numbered topic by topic, as a reader numbers them (``bags/roadside.py``): what is
    recorded by a radio is what a reader with the same radio makes of a recording without one.

    Args:
        compact: whether ``bag`` holds compressed pictures.
    """

    def __init__(self, bag: BagWriter, radio: ChannelSettings | None, compact: bool):
        self._bag, self._radio, self._kind = bag, radio, "compressed" if compact else "image"
        self._numbers: Counter[str] = Counter()
        self._under_way: list[tuple[int, int, RoadsideView]] = []
        self.counts: Counter[str] = Counter()
        """Messages by what became of them, by the names of ``Channel.counts``."""

    def take(self, views: Iterable[RoadsideView]) -> None:
        """What stations send now; what arrives at once is written."""
        for view in views:
            if self._radio is None:
                self._bag.write_roadside(view)
                continue
            self._send(replace(view, image=None), view.objects is not None, Topics(view.station).of("station_objects"), self._radio)
            name = "" if view.camera is None else Topics(view.station).of(self._kind, view.camera.id)
            self._send(replace(view, objects=None), view.image is not None and bool(name), name, self._radio)
            self.arrive(view.stamp_ns)

    def _send(self, part: RoadsideView, is_there: bool, topic: str, radio: ChannelSettings) -> None:
        if not is_there:
            return
        self._numbers[topic] += 1
        self.counts[SENT] += 1
        lost, delay_s = fate(radio, topic, self._numbers[topic])
        if lost:
            self.counts[LOST] += 1
            return
        heapq.heappush(self._under_way, (part.stamp_ns + round(delay_s * 1e9), self.counts[SENT], part))

    def arrive(self, now_ns: int) -> None:
        """Write what has arrived by ``now_ns``. Ask it before anything of that time is written."""
        while self._under_way and self._under_way[0][0] <= now_ns:
            received_ns, _, part = heapq.heappop(self._under_way)
            self._bag.write_roadside(part, received_ns)
            self.counts[ARRIVED] += 1
