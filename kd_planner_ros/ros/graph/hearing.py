"""A replay's wait for its models: they have what roadside stations sent before the picture that goes with it is published."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from kd_planner_ros.core.sensors import RoadsideWish
from kd_planner_ros.ros.ports.roadside_inputs import TAKEN

PATIENT_S = 5.0
"""A message that a model has not taken after this wall time counts as lost: the topics of stations are best effort."""
LOST_IN_A_ROW = 3
"""After so many waits in vain the next messages are not waited for until a model takes one: it hears other topics."""


class Hearing:
    """How many messages of roadside stations each model of a graph has taken, as the diagnostics of its node say.

    DDS keeps no order across topics, and a node takes what is ready in the order in which its subscriptions were made: a picture that is
    published at once with a station's message may be planned on without it. ``unheard`` counts the messages that a model did not take in
    time, once for each model.

    Args:
        wishes: what the models that hear stations ask for, by the full name of their node. Without any nothing is waited for.
        sources: the topics of stations, with (station, camera); the camera is None for an object list (``roadside_topics``).
    """

    def __init__(self, wishes: Mapping[str, RoadsideWish], sources: Mapping[str, tuple[Any, Any]]):
        self.unheard = 0
        self._wishes, self._lost = wishes, 0
        self._lists = {topic: camera is None for topic, (_, camera) in sources.items()} if wishes else {}
        self._taken = dict.fromkeys(wishes, 0)

    def readers(self) -> dict[str, int]:
        """How many models hear each topic."""
        return {topic: sum(wish.hears(listed) for wish in self._wishes.values()) for topic, listed in self._lists.items()}

    def take(self, name: str, values: Iterable[tuple[str, str]]) -> None:
        """The key ``values`` of the diagnostics of node ``name``."""
        told = [int(value) for key, value in values if key in TAKEN] if name in self._wishes else []
        if told and sum(told) > self._taken[name]:
            self._taken[name], self._lost = sum(told), 0

    def due(self, topics: Collection[str]) -> dict[str, int]:
        """The count that each model comes to when it has taken one more message on each of ``topics``. Ask before spinning."""
        heard = [self._lists[topic] for topic in topics if topic in self._lists]
        return {name: self._taken[name] + sum(wish.hears(listed) for listed in heard) for name, wish in self._wishes.items()}

    def wait(self, due: Mapping[str, int], spin: Callable[[float], object], timeout_s: float = PATIENT_S) -> None:
        """Spin until every model has taken as many messages as are ``due``, at most ``timeout_s`` of wall time."""
        until_s = time.monotonic() + timeout_s
        while lacking := sum(max(count - self._taken[name], 0) for name, count in due.items()):
            left_s = until_s - time.monotonic()
            if left_s <= 0.0 or self._lost >= LOST_IN_A_ROW:
                self.unheard += lacking
                self._lost += 1
                return
            spin(left_s)

    def facts(self) -> dict[str, int]:
        """``roadside_unheard``, where a model hears stations."""
        return {"roadside_unheard": self.unheard} if self._wishes else {}
