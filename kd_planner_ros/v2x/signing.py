"""Detached Ed25519 signatures of roadside messages, and the keys that a gateway believes.

A signature is 72 bytes: eight of the digest of the place that the station signs for, then Ed25519's 64 over that digest and
everything in the message but when it arrived.
"""

from __future__ import annotations

import hashlib
import json
import struct
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.stations import stations_to_data
from kd_planner_ros.core.v2x import RadioMessage
from kd_planner_ros.v2x.reasons import EXPIRED_KEY, FORGED, MOVED_STATION, UNKNOWN_STATION, UNSIGNED

PLACE_BYTES = 8
SIGNATURE_BYTES = PLACE_BYTES + 64
MAX_NAME = 64
"""Characters of a station's, a kind's or a camera's name."""
_LARGEST = 2**63
_MAGIC = b"kd_planner_ros v2x 1"


def place_digest(station: Station) -> bytes:
    """Eight bytes that say where ``station`` stands and how its cameras are mounted (to a centimetre and a hundredth of a degree)."""
    data = stations_to_data([station])["stations"][0]
    return hashlib.sha256(json.dumps(_rounded(data), sort_keys=True).encode()).digest()[:PLACE_BYTES]


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 2) + 0.0  # no -0.0
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def signed_bytes(message: RadioMessage, place: bytes) -> bytes | None:
    """What the signature of ``message`` covers; None where a name or a number is too large to be signed."""
    names = [name.encode("utf-8", "replace") for name in (message.station, message.kind, message.camera)]
    if any(len(name) > MAX_NAME for name in names) or not (0 <= message.sequence < _LARGEST and 0 <= message.stamp_ns < _LARGEST):
        return None
    lengths = struct.pack("<BBB", *map(len, names))
    numbers = struct.pack("<QQ", message.sequence, message.stamp_ns)
    return b"".join((_MAGIC, place, lengths, *names, numbers, hashlib.sha256(message.payload).digest()))


@dataclass(frozen=True)
class Signer:
    """Signs what a station sends. ``place``: ``place_digest`` of that station."""

    key: Ed25519PrivateKey
    place: bytes

    def sign(self, message: RadioMessage) -> bytes:
        """The signature of ``message``.

        Raises:
            ValueError: a name or a number in it is too large.
        """
        covered = signed_bytes(message, self.place)
        if covered is None:
            raise ValueError(f"a message with names of at most {MAX_NAME} characters and numbers from 0 to 2**63 - 1")
        return self.place + self.key.sign(covered)


@dataclass(frozen=True)
class StationKey:
    """One key on the allow-list. ``place``: where the station ("") and its cameras (by id) stood when the key was made, metres and degrees;
    None: nothing is known of it. It holds from ``valid_from_s`` until before ``valid_until_s``, Unix time."""

    public: Ed25519PublicKey
    valid_from_s: float = 0.0
    valid_until_s: float = float("inf")
    place: Mapping[str, Mapping[str, float]] | None = None


@dataclass(frozen=True)
class KeyRing:
    """The allow-list: the keys of each station.

    Attributes:
        refused: why a station's key file was not taken, a sentence by station.
        now_s: Unix time; keys end by it, whatever clock the messages have.
    """

    keys: Mapping[str, tuple[StationKey, ...]]
    refused: Mapping[str, str] = field(default_factory=dict)
    now_s: Callable[[], float] = time.time

    def check(self, message: RadioMessage, place: bytes) -> str:
        """The reason code why ``message`` of a station at ``place`` is not authentic, "" where it is."""
        keys = self.keys.get(message.station, ())
        if not keys:
            return UNKNOWN_STATION
        if len(message.signature) != SIGNATURE_BYTES:
            return UNSIGNED
        signed_for = bytes(message.signature[:PLACE_BYTES])
        covered = signed_bytes(message, signed_for)
        key = next((one for one in keys if covered is not None and _fits(one, message.signature, covered)), None)
        if key is None:
            return FORGED
        if not key.valid_from_s <= self.now_s() < key.valid_until_s:
            return EXPIRED_KEY
        return "" if signed_for == place else MOVED_STATION


def _fits(key: StationKey, signature: bytes, covered: bytes) -> bool:
    try:
        key.public.verify(bytes(signature[PLACE_BYTES:]), covered)
    except InvalidSignature:
        return False
    return True


def keyring_for(stations: Iterable[Station]) -> tuple[dict[str, Signer], KeyRing]:
    """New keys in memory for ``stations``: who signs for each, and the allow-list. For worlds that need no key files; signatures differ
    from run to run, what the gateway lets through does not."""
    signers = {one.id: Signer(Ed25519PrivateKey.generate(), place_digest(one)) for one in stations}
    return signers, KeyRing({name: (StationKey(signer.key.public_key()),) for name, signer in signers.items()})
