"""The bytes of roadside messages: object lists, signal phases, pictures. Readers of untrusted bytes: they raise ``Refused`` alone."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.v2x import OBJECTS, PHASE_DTYPE, PHASES, PICTURE
from kd_planner_ros.imaging.compressed import decompress
from kd_planner_ros.v2x.reasons import MALFORMED, OVERSIZED, UNDECODABLE, UNKNOWN_STATION
from kd_planner_ros.v2x.settings import MAX_OBJECTS, MAX_PHASES, GatewaySettings

_ROWS = {OBJECTS: (ACTOR_DTYPE, MAX_OBJECTS), PHASES: (PHASE_DTYPE, MAX_PHASES)}
_FRAME_MARKERS = frozenset((0xC0, 0xC1, 0xC2))
"""JPEG markers that begin with a picture's size: baseline, extended and progressive."""
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))
"""Markers without a length."""


class Refused(Exception):
    """Bytes that are not what they should be. ``reason``: a code of ``reasons``."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


def largest(kind: str, settings: GatewaySettings) -> int:
    """Bytes that a message of ``kind`` may have."""
    if kind == PICTURE:
        return settings.max_picture_bytes
    dtype, rows = _ROWS[kind]
    return dtype.itemsize * rows


def pack_rows(rows: np.ndarray, kind: str = OBJECTS) -> bytes:
    """The payload of ``rows``, ACTOR_DTYPE [N] or PHASE_DTYPE [N]; at most so many as a message may have, the first ones."""
    dtype, most = _ROWS[kind]
    return rows[:most].astype(dtype, copy=False).tobytes()


def read_rows(payload: bytes, kind: str) -> np.ndarray:
    """The rows of an object list or of signal phases, a copy.

    Raises:
        Refused: more rows than allowed, or bytes that are no whole number of rows.
    """
    if kind not in _ROWS:
        raise Refused(UNKNOWN_STATION)
    dtype, most = _ROWS[kind]
    if len(payload) > dtype.itemsize * most:
        raise Refused(OVERSIZED)
    if len(payload) % dtype.itemsize:
        raise Refused(MALFORMED)
    return np.frombuffer(payload, dtype).copy()


def jpeg_size(payload: bytes) -> tuple[int, int]:
    """(width, height) that a JPEG says it has, read before anything is decoded: a few bytes may stand for gigabytes of pixels.

    Raises:
        Refused: no JPEG, or none with a size.
    """
    if payload[:2] != b"\xff\xd8":
        raise Refused(MALFORMED)
    at = 2
    while at + 4 <= len(payload):
        if payload[at] != 0xFF:
            break
        marker = payload[at + 1]
        if marker in _FRAME_MARKERS and at + 9 <= len(payload):
            return int.from_bytes(payload[at + 7:at + 9], "big"), int.from_bytes(payload[at + 5:at + 7], "big")
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _ALONE:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(payload[at + 2:at + 4], "big"))
    raise Refused(MALFORMED)


def read_picture(payload: bytes) -> np.ndarray:
    """RGB uint8 [H, W, 3] of a JPEG whose size has been checked.

    Raises:
        Refused: it cannot be decoded, or has no colours.
    """
    try:
        image = decompress(payload)
    except SensorError:
        raise Refused(UNDECODABLE) from None
    if image.ndim != 3 or image.dtype != np.uint8:
        raise Refused(UNDECODABLE)
    return image
