"""What reaches a car from outside it: messages of roadside stations, what a gateway lets through, and views for models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.sensors import CameraSpec


@dataclass(frozen=True)
class RoadsideView:
    """What one roadside station sent, as old as it is.

    Attributes:
        station: id of the station.
        camera: the camera that took ``image``, its pose in ``map``; of a station without a picture its first camera,
            None for a station without cameras.
        image: RGB uint8 [H, W, 3]; None where the station sent objects alone.
        objects: ACTOR_DTYPE [N] in ``map``, each where it was ``list_age_s`` ago: the road users in the station's range that it
            reports; None where not asked for or not received.
        stamp_ns: when the picture (without one: the object list) was taken.
        age_s: seconds from then to the stamp of the frame that holds this view, from 0.
        foot: foot of the station's mast in ``map``; None where the reader knows the station.
        objects_age_s: seconds from the measurement of ``objects`` to the stamp of the frame, from 0; None: it is ``age_s``.
    """

    station: str
    camera: CameraSpec | None
    image: np.ndarray | None
    objects: np.ndarray | None
    stamp_ns: int
    age_s: float
    foot: Pose | None = None
    objects_age_s: float | None = None

    @property
    def list_age_s(self) -> float:
        """Seconds from the measurement of ``objects`` to the stamp of the frame: lists and pictures come at rates of their own."""
        return self.age_s if self.objects_age_s is None else self.objects_age_s


OBJECTS, PICTURE, PHASES = "objects", "picture", "phases"
"""Kinds of ``RadioMessage``."""
PHASE_DTYPE = np.dtype([("signal", "<i4"), ("state", "u1"), ("min_end_s", "<f4"), ("stop_x", "<f4"), ("stop_y", "<f4"), ("yaw", "<f4")])
"""One traffic signal as sent: its LightState, seconds from the stamp until the phase may end (NaN: unknown), the middle of its stop
line in ``map`` and the direction in which traffic crosses that."""
SILENT_DTYPE = np.dtype([("station", "<i2"), ("x", "<f4"), ("y", "<f4"), ("rest_s", "<f4")])
"""A station in range without an object list that may be used: its number as in ``ReportedObjects.source``, the foot of its mast in ``map``,
and the seconds since its last list was measured (inf: it never sent one)."""


class CoopState(IntEnum):
    """How much of the roadside takes part, best first."""

    COOP_FULL = 0
    """Pictures, and object lists and signal phases where they come."""
    COOP_OBJECTS = 1
    """Object lists, and signal phases where they come."""
    EGO_ONLY = 2
    """Nothing from outside but signal phases where they come."""
    MINIMAL_RISK = 3
    """The car lacks what it needs itself; nothing from outside."""


@dataclass(frozen=True)
class RadioMessage:
    """One message of a roadside station as the radio carries it. Nothing in it is trusted before a gateway has checked it.

    Attributes:
        station: id of the station that it claims to come from.
        sequence: its number among the station's messages of every kind, one more each message.
        kind: OBJECTS (``payload``: rows of ACTOR_DTYPE), PICTURE (a JPEG file) or PHASES (rows of PHASE_DTYPE).
        stamp_ns: when the picture was taken or the objects were measured, by the station's clock.
        payload: the bytes that the signature covers, with station, sequence, kind and stamp.
        signature: detached; empty: unsigned.
        received_ns: when it arrived, by the car's clock; 0 before it was sent.
        camera: id of the station's camera, of a picture.
    """

    station: str
    sequence: int
    kind: str
    stamp_ns: int
    payload: bytes
    signature: bytes = b""
    received_ns: int = 0
    camera: str = ""


@dataclass(frozen=True)
class ReportedObjects:
    """The road users that stations report, as far as a gateway lets them through, for the supervisor.

    Attributes:
        stamp_ns: the car's time at which they are handed over.
        rows: ACTOR_DTYPE [N] in ``map``, each where it was when it was measured; one row an object, also where several stations
            report it. The ego is not among them.
        ages_s: float64 [N], seconds from each measurement to ``stamp_ns`` by the car's clock.
        source: int16 [N], the number of the station that reported each row; ids of rows are the station's own, and two stations may give
            one id to two objects.
        listed: whether an object list that may be used is behind this, also one with nobody in it. Pictures alone are none.
    """

    stamp_ns: int
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, ACTOR_DTYPE))
    ages_s: np.ndarray = field(default_factory=lambda: np.zeros(0))
    source: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int16))
    listed: bool = False

    @property
    def keys(self) -> list[tuple[int, int]]:
        """(number of the station, id) of each row: what tells an object from all others."""
        return list(zip(self.source.tolist(), self.rows["id"].tolist(), strict=True))


@dataclass(frozen=True)
class SignalPhases:
    """The signal phases that a gateway lets through, for the supervisor: PHASE_DTYPE [P], counted from ``stamp_ns`` of the car's time."""

    stamp_ns: int
    rows: np.ndarray


@dataclass(frozen=True)
class SilentStations:
    """Stations that the car passes without an object list of theirs, for the supervisor: SILENT_DTYPE [S] at ``stamp_ns`` of the car's
    time."""

    stamp_ns: int
    rows: np.ndarray


@dataclass(frozen=True)
class CooperativePicture:
    """Everything that a gateway lets through at one instant; no text in it came by radio.

    Attributes:
        state: how much of the roadside takes part.
        why: why ``state`` is not COOP_FULL, a sentence; "" where it is.
        objects: the road users; none in EGO_ONLY and MINIMAL_RISK. Their ``source`` counts the stations of the gateway's configuration,
            whose order never changes.
        stations: ids out of the gateway's own configuration.
        source: int16 [N], which of ``stations`` reported each row of ``objects``.
        views: pictures, nearest station first; none in any state but COOP_FULL.
        lists: the newest object list of each station, as it was reported, in a view without a picture, nearest station first; none in
            EGO_ONLY and MINIMAL_RISK. A road user that two stations report is in both lists.
        phases: PHASE_DTYPE [P], ``min_end_s`` counted from the instant; none in MINIMAL_RISK.
        rejected: messages and objects refused since the start, by reason code.
        silent: SILENT_DTYPE [S], the stations in range that are known to be there and send no object list.
    """

    state: CoopState
    why: str
    objects: ReportedObjects
    stations: tuple[str, ...] = ()
    source: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int16))
    views: tuple[RoadsideView, ...] = ()
    lists: tuple[RoadsideView, ...] = ()
    phases: np.ndarray = field(default_factory=lambda: np.zeros(0, PHASE_DTYPE))
    rejected: Mapping[str, int] = field(default_factory=dict)
    silent: np.ndarray = field(default_factory=lambda: np.zeros(0, SILENT_DTYPE))


class ObjectGateway(Protocol):
    """What stands between the channel and the supervisor. ``counts``: messages by what became of them."""

    counts: Counter[str]

    def reset(self) -> None: ...

    def take(self, message: RadioMessage) -> None:
        """Judge a message that has arrived. It raises for no content."""

    def objects(self, now_ns: int, ego: EgoState) -> ReportedObjects:
        """What is known at ``now_ns`` for a car at ``ego``."""
