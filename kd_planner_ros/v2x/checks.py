"""The checks that a message passes before its content is read, each a small object: a message in, a reason code or "" out.

They stand in the order of their price: a name is looked up before a signature is verified, and a signature before a picture is decoded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.core.v2x import OBJECTS, PHASES, PICTURE, RadioMessage
from kd_planner_ros.v2x import reasons
from kd_planner_ros.v2x.fleeting import Fleeting
from kd_planner_ros.v2x.free_space import FreeSpace
from kd_planner_ros.v2x.objects import Tracks
from kd_planner_ros.v2x.order import NS, ClockEstimate, LossEstimate, RateLimit, ReplayWindow
from kd_planner_ros.v2x.payloads import Refused, largest
from kd_planner_ros.v2x.pictures import PictureCheck, faces, require_size
from kd_planner_ros.v2x.presence import Presence
from kd_planner_ros.v2x.settings import GatewaySettings
from kd_planner_ros.v2x.signing import KeyRing, place_digest


class Peer:
    """One station as the gateway knows it: its place and the state of its checks."""

    def __init__(self, station: Station, settings: GatewaySettings):
        self.station, self.place = station, place_digest(station)
        self.cameras: Mapping[str, CameraSpec] = {one.id: one for one in station.cameras}
        self.reach_m = min(station.range_m, settings.range_m)
        self.wasted = RateLimit(settings.wasted_per_s, settings.wasted_bytes_per_s)
        self.signed = RateLimit(settings.messages_per_s, settings.bytes_per_s)
        self.clock, self.losses = ClockEstimate(settings.expected_latency_s), LossEstimate()
        self.windows: dict[tuple[str, str], ReplayWindow] = {}
        self.tracks, self.fleeting = Tracks(), Fleeting(settings)
        self.presence = Presence()
        self.pictures = {name: PictureCheck(camera, settings) for name, camera in self.cameras.items()}

    def has(self, message: RadioMessage) -> bool:
        """Whether it may send messages of this kind from this camera."""
        return message.camera in self.cameras if message.kind == PICTURE else message.kind in (OBJECTS, PHASES) and not message.camera


@dataclass
class Surroundings:
    """What the car knows itself."""

    ego: EgoState | None = None
    free: FreeSpace | None = None


@dataclass(frozen=True)
class Gate:
    """What the checks look at."""

    settings: GatewaySettings
    keys: KeyRing
    peers: Mapping[str, Peer]
    around: Surroundings = field(default_factory=Surroundings)


Check = Callable[[Gate, RadioMessage], str]


def known(gate: Gate, message: RadioMessage) -> str:
    """The station has a key and a place, and a stream of this kind."""
    peer = gate.peers.get(message.station)
    return "" if peer is not None and peer.has(message) else reasons.UNKNOWN_STATION


def near(gate: Gate, message: RadioMessage) -> str:
    """The car is in the station's range."""
    peer, ego = gate.peers[message.station], gate.around.ego
    away_m = 0.0 if ego is None else math.hypot(ego.pose.x - peer.station.pose.x, ego.pose.y - peer.station.pose.y)
    return "" if away_m <= peer.reach_m else reasons.OUT_OF_RANGE


def sized(gate: Gate, message: RadioMessage) -> str:
    """No more bytes than its kind may have."""
    return "" if len(message.payload) <= largest(message.kind, gate.settings) else reasons.OVERSIZED


def seldom(gate: Gate, message: RadioMessage) -> str:
    """Not after more verifications for nothing than they are worth; whoever sends, only refused messages use them up."""
    passes = gate.peers[message.station].wasted.allows(message.received_ns, len(message.payload))
    return "" if passes else reasons.FLOOD


def authentic(gate: Gate, message: RadioMessage) -> str:
    """Signed with the station's key, for the place where the map has it."""
    return gate.keys.check(message, gate.peers[message.station].place)


def new(gate: Gate, message: RadioMessage) -> str:
    """Above every sequence number and stamp of its stream."""
    peer = gate.peers[message.station]
    reason = _window(peer, message).take(message.sequence, message.stamp_ns)
    if not reason:
        peer.losses.take(message.sequence)
    return reason


def _window(peer: Peer, message: RadioMessage) -> ReplayWindow:
    return peer.windows.setdefault((message.kind, message.camera), ReplayWindow())


def timely(gate: Gate, message: RadioMessage) -> str:
    """Of a trusted clock, not from the future, and not too old."""
    peer = gate.peers[message.station]
    clock, age_s = peer.clock, (message.received_ns - message.stamp_ns) / NS
    if age_s >= -gate.settings.max_age_s:  # more is no clock: it would make the station's next thirty seconds stale
        clock.take(message.received_ns, message.stamp_ns)
    if age_s < -gate.settings.early_s:
        return reasons.EARLY
    _window(peer, message).accept(message.sequence, message.stamp_ns)
    return reasons.STALE if age_s + clock.ahead_s > gate.settings.max_age_s else clock.verdict(gate.settings)


def allowed_rate(gate: Gate, message: RadioMessage) -> str:
    """Not more messages or bytes than a station may send."""
    passes = gate.peers[message.station].signed.take(message.received_ns, len(message.payload))
    return "" if passes else reasons.FLOOD


def in_view(gate: Gate, message: RadioMessage) -> str:
    """Of a picture: its camera sees the car or the road ahead, and its size is the camera's."""
    if message.kind != PICTURE:
        return ""
    peer, ego = gate.peers[message.station], gate.around.ego
    camera = peer.cameras[message.camera]
    if ego is not None and not faces(camera, ego, peer.reach_m):
        return reasons.FACING_AWAY
    try:
        require_size(message.payload, camera, gate.settings)
    except Refused as refused:
        return refused.reason
    return ""


def verified(gate: Gate, message: RadioMessage) -> str:
    """All that takes a verification; one that came to nothing is charged to the station's name."""
    reason = next(filter(None, (check(gate, message) for check in VERIFIED)), "")
    if reason not in ("", reasons.UNSIGNED):
        gate.peers[message.station].wasted.take(message.received_ns, len(message.payload))
    return reason


VERIFIED: tuple[Check, ...] = (authentic, new, timely, allowed_rate, in_view)
CHECKS: tuple[Check, ...] = (known, near, sized, seldom, verified)
"""In the order in which they are made."""
SCREENS: tuple[Check, ...] = (known, near, sized)
"""Those that need no signature and remember nothing."""
