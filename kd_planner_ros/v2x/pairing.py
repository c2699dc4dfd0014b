"""Messages and their signatures, which come on topics of their own in any order, brought together for the gateway."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from kd_planner_ros.core.v2x import RadioMessage
from kd_planner_ros.v2x.gateway import Gateway
from kd_planner_ros.v2x.order import NS
from kd_planner_ros.v2x.reasons import FLOOD, FORGED, UNSIGNED
from kd_planner_ros.v2x.signing import SIGNATURE_BYTES

WAIT_S = 0.5
"""A message without its signature for so long counts as unsigned."""
WAITING, NOTES = 4, 32
"""Messages and signatures of one stream that wait for each other; the oldest one makes room."""
UNPROVEN = (FORGED, UNSIGNED, FLOOD)
"""Verdicts that do not say that message and signature belong together: anybody can bring them about."""


class Pairing:
    """The messages of all stations for one gateway.

    A message and a signature belong together by station, kind, camera and stamp; the signature brings the sequence number, and covers all
    of them. Whoever can send may send either one: a message whose signature did not prove it waits for another one, and a signature that
    did not fit waits for another message. One thread calls it.

    Attributes:
        unused: signatures that were given up without a message, and those of a length that no signature has.
    """

    def __init__(self, gateway: Gateway):
        self._gateway = gateway
        self.reset()

    def reset(self) -> None:
        """Forget what waits."""
        self.unused = 0
        self._waiting: dict[tuple[str, str, str], deque[tuple[RadioMessage, bool]]] = {}
        self._notes: dict[tuple[str, str, str], deque[RadioMessage]] = {}

    def content(self, message: RadioMessage) -> None:
        """A message without sequence number and signature; what can be refused without them is refused at once."""
        if self._gateway.screen(message):
            return
        key = (message.station, message.kind, message.camera)
        notes = self._notes.setdefault(key, deque())
        judged = False
        for note in [one for one in reversed(notes) if one.stamp_ns == message.stamp_ns]:  # its own came just before it
            judged = True
            if self._passes(message, note):
                notes.remove(note)
                return
        self._wait(key, message, judged)

    def signature(self, note: RadioMessage) -> None:
        """A signature with its sequence number, of a message whose payload is not in ``note``."""
        if len(note.signature) != SIGNATURE_BYTES or not self._gateway.has_stream(note):
            self.unused += 1
            return
        key = (note.station, note.kind, note.camera)
        waiting = self._waiting.get(key, deque())
        for at, (message, _) in enumerate(waiting):
            if message.stamp_ns == note.stamp_ns:
                waiting[at] = (message, True)
                if self._passes(message, note):
                    del waiting[at]
                    return
        notes = self._notes.setdefault(key, deque())
        if len(notes) == NOTES:
            self._give_up(notes)
        notes.append(note)

    def expire(self, now_ns: int) -> None:
        """Messages that have waited long enough are judged as they are: unsigned."""
        oldest_ns = now_ns - round(WAIT_S * NS)
        for waiting in self._waiting.values():
            while waiting and waiting[0][0].received_ns < oldest_ns:
                self._refuse(waiting)
        for notes in self._notes.values():
            while notes and notes[0].received_ns < oldest_ns:
                self._give_up(notes)

    def _passes(self, message: RadioMessage, note: RadioMessage) -> bool:
        """Judge ``message`` with that signature; whether no other one can change the verdict."""
        return self._gateway.judge(replace(message, sequence=note.sequence, signature=note.signature)) not in UNPROVEN

    def _wait(self, key: tuple[str, str, str], message: RadioMessage, judged: bool) -> None:
        waiting = self._waiting.setdefault(key, deque())
        if len(waiting) == WAITING:
            self._refuse(waiting)
        waiting.append((message, judged))

    def _refuse(self, waiting: deque[tuple[RadioMessage, bool]]) -> None:
        message, judged = waiting.popleft()
        if not judged:
            self._gateway.judge(message)

    def _give_up(self, notes: deque[RadioMessage]) -> None:
        notes.popleft()
        self.unused += 1
