"""The gateway: what comes by radio goes in, what the car may use comes out. Whatever comes, it raises nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.v2x import (
    OBJECTS,
    PHASES,
    PICTURE,
    SILENT_DTYPE,
    CooperativePicture,
    CoopState,
    RadioMessage,
    ReportedObjects,
    RoadsideView,
)
from kd_planner_ros.v2x.checks import CHECKS, SCREENS, Check, Gate, Peer, known
from kd_planner_ros.v2x.evidence import Cost, Evidence
from kd_planner_ros.v2x.free_space import FreeSpace
from kd_planner_ros.v2x.objects import Plausibility
from kd_planner_ros.v2x.order import NS
from kd_planner_ros.v2x.payloads import Refused, read_rows
from kd_planner_ros.v2x.pictures import something_moves
from kd_planner_ros.v2x.reasons import FLEETING, MALFORMED
from kd_planner_ros.v2x.settings import GatewaySettings
from kd_planner_ros.v2x.signing import KeyRing
from kd_planner_ros.v2x.states import StateMachine
from kd_planner_ros.v2x.store import Kept, Store, away_m, list_view, merged, phases_are_sane, phases_at, sifted, view

DEGRADED, ACCEPTED = "degraded", "accepted"
_NO_REFUSALS = (DEGRADED, ACCEPTED)


class Gateway:
    """Judges messages and hands over what passed.

    A station without a key, or with a key for another place, is unknown to it. Times are the receiver's clock's; time that goes back needs
    ``reset``. One thread calls it.

    Attributes:
        counts: messages ``accepted``, those of them that were ``degraded`` by their age, and all refusals by reason code.
        evidence: the refused messages.
    """

    def __init__(self, stations: Iterable[Station], keys: KeyRing, settings: GatewaySettings | None = None):
        self._settings = settings or GatewaySettings()
        self._stations = tuple(one for one in stations if one.id in keys.keys)
        self._keys = keys
        self._plausibility = Plausibility(self._settings)
        self.reset()

    def reset(self) -> None:
        """Begin anew, as at the start: time was set back, or another drive begins."""
        self.counts: Counter[str] = Counter()
        self.evidence, self._cost = Evidence(), Cost()
        self._ages: dict[str, str | int] = {}
        self._states, self._store = StateMachine(self._settings), Store()
        self._gate = Gate(self._settings, self._keys, {one.id: Peer(one, self._settings) for one in self._stations})

    def locate(self, ego: EgoState) -> None:
        """The car is here now: stations out of range are not heard, and the car's own image is no object."""
        self._gate.around.ego = ego

    def see(self, free: FreeSpace) -> None:
        """The car itself sees this space to be free."""
        self._gate.around.free = free

    def has_stream(self, message: RadioMessage) -> bool:
        """Whether the station of ``message`` is known and may send this kind from this camera."""
        return not known(self._gate, message)

    def screen(self, message: RadioMessage) -> str:
        """The reason code for which a message is refused, and counted, before its signature is there: its name, its station's distance or
        its size; "" where it may wait for it."""
        return self._refuse(message, self._verdict(message, SCREENS))

    def take(self, message: RadioMessage) -> None:
        """Judge a message that arrived at its ``received_ns``."""
        self.judge(message)

    def judge(self, message: RadioMessage) -> str:
        """``take``; the reason code for which the message was refused, "" where it was accepted."""
        if reason := self._refuse(message, self._verdict(message, CHECKS)):
            return reason
        try:
            item = self._read(message)
        except Refused as refused:
            return self._refuse(message, refused.reason)
        peer = self._gate.peers[message.station]
        measured_ns = message.stamp_ns - round(peer.clock.ahead_s * NS)
        self._store.keep(message, measured_ns, item)
        peer.presence.take(message.kind, measured_ns)
        self.counts[ACCEPTED] += 1
        self.counts[DEGRADED] += message.received_ns - measured_ns > self._settings.fresh_s * NS
        self._cost.take(message.received_ns, len(message.payload) + len(message.signature), _raw_bytes(message, peer))
        return ""

    def objects(self, now_ns: int, ego: EgoState) -> ReportedObjects:
        """The objects of ``picture``."""
        return self.picture(now_ns, ego).objects

    def picture(self, now_ns: int, ego: EgoState | None) -> CooperativePicture:
        """Everything that may be used at ``now_ns`` by a car at ``ego``; None, or an old one: the car does not know where it is."""
        knows = ego is not None and now_ns - ego.stamp_ns <= self._settings.ego_age_s * NS
        if ego is not None:
            self.locate(ego)
        near = [peer for peer in self._gate.peers.values() if ego is not None and away_m(peer.station, ego) <= peer.reach_m]
        lists, pictures, phases = (self._newest(kind, near, now_ns) for kind in (OBJECTS, PICTURE, PHASES))
        self._ages = {f"{name} age s": _youngest(kept, now_ns) for name, kept in (("picture", pictures), ("object list", lists))}
        state = self._states.update(now_ns, bool(pictures), bool(lists), knows)
        if state >= CoopState.EGO_ONLY:
            lists = []
        if state == CoopState.MINIMAL_RISK:  # phases need neither lists nor pictures: a gap of those must not release a car before a red
            phases = []
        views = self._views(pictures, now_ns) if state == CoopState.COOP_FULL else ()
        stations = tuple(dict.fromkeys([kept.station for kept in lists] + [one.station for one in views]))
        every = [one.id for one in self._stations]
        objects = merged(lists, every, now_ns, self._settings.same_m)
        source = np.array([stations.index(every[one]) for one in objects.source], np.int16)
        return CooperativePicture(state, _why(state, bool(near), bool(pictures), bool(lists)), objects, stations, source, views,
                                  self._lists(lists, now_ns), phases_at(phases, now_ns), self.refusals, self._silent(near, now_ns))

    @property
    def refusals(self) -> dict[str, int]:
        """Refused messages and objects since the start by reason code."""
        return {name: count for name, count in sorted(self.counts.items()) if count and name not in _NO_REFUSALS}

    def values(self, now_ns: int) -> dict[str, Any]:
        """Facts for the diagnostics; ages are those of the newest picture and list that could be used at the last answer."""
        sent, raw = self._cost.rates(now_ns)
        losses = [peer.losses.counts for peer in self._gate.peers.values()]
        lost, numbers = (sum(one) for one in zip(*losses, strict=True)) if losses else (0, 0)
        return {"state": self._states.state.name, "stations known": len(self._gate.peers), "bytes/s as sent": round(sent),
                "bytes/s raw": round(raw), **self._ages, "loss rate": round(lost / max(1, numbers), 3),
                "last refusal": self.evidence.newest or "none",
                **{name: count for name, count in sorted(self.counts.items()) if count}}

    def _verdict(self, message: RadioMessage, checks: Iterable[Check]) -> str:
        return next(filter(None, (check(self._gate, message) for check in checks)), "")

    def _refuse(self, message: RadioMessage, reason: str) -> str:
        """``reason``; counted, with ``message`` as evidence, where it is one."""
        if reason:
            self.counts[reason] += 1
            self.evidence.take(message, reason)
        return reason

    def _read(self, message: RadioMessage) -> Any:
        """The content of a message whose envelope is in order."""
        peer, around = self._gate.peers[message.station], self._gate.around
        if message.kind == PICTURE:
            camera, oldest_ns = peer.cameras[message.camera], message.stamp_ns - round(self._settings.track_s * NS)
            moves = something_moves(camera, peer.tracks.since(oldest_ns), around.ego)
            return peer.pictures[message.camera].read(message.payload, message.stamp_ns, moves)
        rows = read_rows(message.payload, message.kind)
        if message.kind == PHASES:
            if not phases_are_sane(rows):
                raise Refused(MALFORMED)
            rows, refused = sifted(rows, peer.station.pose, peer.station.range_m)
        else:
            rows, refused = self._plausibility.sift(rows, message.stamp_ns, peer.station.pose, peer.station.range_m, peer.tracks,
                                                    around.ego, around.free)
            unproven = peer.fleeting.unproven(rows, message.stamp_ns, around.ego)
            rows, refused = rows[~unproven], refused + Counter({FLEETING: int(unproven.sum())})
        self.counts.update(refused)
        for reason, count in refused.items():
            self.evidence.take(message, reason, count)
        return rows

    def _newest(self, kind: str, near: list[Peer], now_ns: int) -> list[Kept]:
        """The newest message of each stream of the stations ``near``, none too old and none from the future."""
        names = {peer.station.id for peer in near}
        return self._store.newest(kind, names, now_ns - round(self._settings.max_age_s * NS), now_ns)

    def _views(self, pictures: list[Kept], now_ns: int) -> tuple[RoadsideView, ...]:
        """The views of ``pictures``."""
        peers = self._gate.peers
        return tuple(view(kept, peers[kept.station].station, peers[kept.station].cameras[kept.camera], now_ns)
                     for kept in self._by_distance(pictures))

    def _lists(self, lists: list[Kept], now_ns: int) -> tuple[RoadsideView, ...]:
        """``lists`` as their stations sent them, one view each."""
        return tuple(list_view(kept, self._gate.peers[kept.station].station, now_ns) for kept in self._by_distance(lists))

    def _silent(self, near: list[Peer], now_ns: int) -> np.ndarray:
        """SILENT_DTYPE [S] of the stations ``near`` that send no object list; asked at each answer."""
        found = []
        for number, peer in enumerate(self._gate.peers.values()):
            rest_s = peer.presence.rest_s(now_ns, peer in near, self._settings)
            if rest_s is not None:
                found.append((number, peer.station.pose.x, peer.station.pose.y, rest_s))
        self._ages["stations without object lists"] = len(found)
        return np.array(found, SILENT_DTYPE)

    def _by_distance(self, kept: list[Kept]) -> list[Kept]:
        """``kept``, of the nearest station first."""
        ego, peers = self._gate.around.ego, self._gate.peers
        return sorted(kept, key=lambda one: (away_m(peers[one.station].station, ego) if ego else 0.0, one.station, one.camera))


def _youngest(kept: list[Kept], now_ns: int) -> str:
    return f"{(now_ns - max(one.measured_ns for one in kept)) / NS:.2f}" if kept else "none"


def _why(state: CoopState, near: bool, pictures: bool, lists: bool) -> str:
    """Why the state is no better, a sentence; "" for the best one."""
    if state == CoopState.COOP_FULL:
        return ""
    if state == CoopState.MINIMAL_RISK:
        return "no odometry, or too old a one: the car does not know where it is"
    if not near:
        return "no station with a key is in range"
    if state == CoopState.COOP_OBJECTS:
        return "pictures come again, but not for long enough yet" if pictures else "no picture that may be used"
    return "messages come again, but not for long enough yet" if pictures or lists else "no picture or object list that may be used"


def _raw_bytes(message: RadioMessage, peer: Peer) -> int:
    """Bytes of a message without any compression."""
    if message.kind != PICTURE:
        return len(message.payload)
    camera = peer.cameras[message.camera]
    return camera.width * camera.height * 3
