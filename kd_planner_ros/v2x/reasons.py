"""Why a gateway refuses a message or an object: one code each, which is a counter in the diagnostics and a field of the evidence."""

from __future__ import annotations

UNKNOWN_STATION = "unknown_station"
OUT_OF_RANGE = "out_of_range"
FLOOD = "flood"
OVERSIZED = "oversized"
UNSIGNED = "unsigned"
FORGED = "forged"
EXPIRED_KEY = "expired_key"
MOVED_STATION = "moved_station"
REPLAYED = "replayed"
REORDERED = "reordered"
EARLY = "early"
STALE = "stale"
CLOCK_OFFSET = "clock_offset"
CLOCK_DRIFT = "clock_drift"
MALFORMED = "malformed"
FACING_AWAY = "facing_away"
UNDECODABLE = "undecodable"
PICTURE_SIZE = "picture_size"
EXPOSURE = "exposure"
BLURRED = "blurred"
FROZEN = "frozen"
MOVED_CAMERA = "moved_camera"
OBJECT_BROKEN = "object_broken"
OBJECT_TWICE = "object_twice"
OBJECT_SIZE = "object_size"
OBJECT_SPEED = "object_speed"
OBJECT_ACCELERATION = "object_acceleration"
OBJECT_RANGE = "object_range"
TELEPORT = "teleport"
OVERLAPS_EGO = "overlaps_ego"
GHOST = "ghost"
FLEETING = "fleeting"
PHASE_TWICE = "phase_twice"
PHASE_RANGE = "phase_range"

TEXTS = {
    UNKNOWN_STATION: "no key on the allow-list, no such station, or no such stream of it",
    OUT_OF_RANGE: "the car is out of the station's range",
    FLOOD: "more messages or bytes a second than a station may send, or than are verified for nothing in its name",
    OVERSIZED: "more bytes than a message of its kind may have",
    UNSIGNED: "no signature, or one of another length",
    FORGED: "the signature does not fit the message and the station's key",
    EXPIRED_KEY: "the key's time has not begun or is over",
    MOVED_STATION: "signed for another place of the station or another mounting of its cameras",
    REPLAYED: "the sequence number came before",
    REORDERED: "a newer message came before it",
    EARLY: "measured in the future",
    STALE: "too old",
    CLOCK_OFFSET: "the station's clock is off, or the link takes longer than the gateway's expected_latency_s",
    CLOCK_DRIFT: "the station's clock is too fast or too slow",
    MALFORMED: "the bytes are no rows of the kind, or no JPEG",
    FACING_AWAY: "the camera sees neither the car nor the road ahead of it",
    UNDECODABLE: "the JPEG cannot be decoded, or has no colours",
    PICTURE_SIZE: "a size that this camera's pictures cannot have",
    EXPOSURE: "black, white or without contrast",
    BLURRED: "without any edge",
    FROZEN: "the same picture as before while something moves in it",
    MOVED_CAMERA: "not the place that the camera looked at when it was first heard: check its mounting, then start the gateway anew",
    OBJECT_BROKEN: "an object with a number that is not finite, or of an unknown kind",
    OBJECT_TWICE: "an id that the list holds already",
    OBJECT_SIZE: "a size that no object of its kind has",
    OBJECT_SPEED: "faster than a road user can be",
    OBJECT_ACCELERATION: "its velocity changed faster than it can",
    OBJECT_RANGE: "outside the range of its station",
    TELEPORT: "not where its track leads to",
    OVERLAPS_EGO: "where the car itself is: the car's own image, mostly",
    GHOST: "in space that the car itself sees to be free",
    FLEETING: "listed for too short a time by a station whose road users near the car come and go",
    PHASE_TWICE: "a signal that the list of phases holds already",
    PHASE_RANGE: "a stop line outside the range of its station",
}
"""Every code with what it means."""
