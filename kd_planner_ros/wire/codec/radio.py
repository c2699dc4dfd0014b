"""What roadside stations send by radio, with a detached signature beside each message, and what a gateway hands on of it.

The payload that a signature covers is the ``data`` of the message: nothing else in the message is believed.
"""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

import numpy as np

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.v2x import PHASE_DTYPE, SILENT_DTYPE, CoopState, ReportedObjects
from kd_planner_ros.wire.codec.base import Make, header, stamp_of
from kd_planner_ros.wire.codec.pictures import COMPRESSED
from kd_planner_ros.wire.codec.tables import rows_of, table
from kd_planner_ros.wire.tables import cast_table

TEXT = "std_msgs/msg/String"
REPORTED_DTYPE = np.dtype([*ACTOR_DTYPE.descr, ("age_s", "f4"), ("station", "i2")])
LONGEST_NOTE = 1_000
"""Characters of the JSON beside a message; what is longer is not read."""
_EXPECTED = "a roadside signature: JSON with kind, camera, stamp_ns, sequence and signature"
_REMEDY = "see 'Signatures' in docs/guides/use_v2x.md"


class SignatureNote(NamedTuple):
    """The signature of one message: it belongs to the message of this kind, camera and stamp on the station's other topics, and brings
    that one's sequence number."""

    kind: str
    camera: str
    stamp_ns: int
    sequence: int
    signature: bytes


def picture(make: Make, record: bytes, stamp_ns: int, frame: str) -> Any:
    """sensor_msgs/CompressedImage of a JPEG's bytes."""
    return make(COMPRESSED, header=header(make, stamp_ns, frame), format="jpeg", data=np.frombuffer(record, np.uint8))


def objects(make: Make, record: bytes, stamp_ns: int, frame: str) -> Any:
    """sensor_msgs/PointCloud2 of the bytes of an object list."""
    return table(make, np.frombuffer(record, ACTOR_DTYPE), stamp_ns, frame)


def phases(make: Make, record: bytes, stamp_ns: int, frame: str) -> Any:
    """sensor_msgs/PointCloud2 of the bytes of signal phases."""
    return table(make, np.frombuffer(record, PHASE_DTYPE), stamp_ns, frame)


def payload_of(message: Any) -> bytes:
    """The bytes that a signature covers, unread."""
    return bytes(message.data)


def signature(make: Make, record: SignatureNote, stamp_ns: int = 0, frame: str = "") -> Any:
    """std_msgs/String with ``record`` as JSON, the signature in base64."""
    return make(TEXT, data=json.dumps({**record._asdict(), "signature": base64.b64encode(record.signature).decode()}))


def signature_of(message: Any) -> SignatureNote:
    """The note in the text.

    Raises:
        SensorError: no JSON of that form, or one that is too long.
    """
    if len(message.data) > LONGEST_NOTE:
        raise SensorError(_EXPECTED, f"{len(message.data)} characters", _REMEDY)
    with reading(SensorError, _EXPECTED, _REMEDY):
        data = json.loads(message.data)
        note = SignatureNote(data["kind"], data["camera"], data["stamp_ns"], data["sequence"],
                             base64.b64decode(data["signature"], validate=True))
    if [type(value) for value in note] != [str, str, int, int, bytes]:
        raise SensorError(_EXPECTED, "a value of another type", _REMEDY)
    return note


def reported(make: Make, record: ReportedObjects, stamp_ns: int, frame: str) -> Any:
    """sensor_msgs/PointCloud2: the rows where they were measured, the age of each and the number of its station. ``height`` is 0 where no
    object list is behind it: an empty list is another thing, because it says that a station looked and saw nobody."""
    rows = np.zeros(len(record.rows), REPORTED_DTYPE)
    for name in ACTOR_DTYPE.names or ():
        rows[name] = record.rows[name]
    rows["age_s"] = record.ages_s
    rows["station"] = record.source
    return table(make, rows, stamp_ns, frame, height=1 if record.listed or len(rows) else 0)


def reported_of(message: Any) -> ReportedObjects:
    """The objects in our table.

    Raises:
        SensorError: as ``rows_of``.
    """
    rows = cast_table(rows_of(message), REPORTED_DTYPE)
    return ReportedObjects(stamp_of(message), cast_table(rows, ACTOR_DTYPE), rows["age_s"].astype(float),
                           rows["station"].copy(), int(message.height) > 0)


def phases_of(message: Any) -> np.ndarray:
    """PHASE_DTYPE [P]."""
    return cast_table(rows_of(message), PHASE_DTYPE)


def silent_of(message: Any) -> np.ndarray:
    """SILENT_DTYPE [S]."""
    return cast_table(rows_of(message), SILENT_DTYPE)


def state(make: Make, record: tuple[CoopState, str], stamp_ns: int = 0, frame: str = "") -> Any:
    """std_msgs/String with the gateway's state and why it is no better, as JSON."""
    return make(TEXT, data=json.dumps({"state": record[0].name, "why": record[1]}))


def state_of(message: Any) -> tuple[CoopState, str]:
    """(the state, why it is no better).

    Raises:
        SensorError: no JSON of that form, or an unknown state.
    """
    with reading(SensorError, "a gateway's state as JSON", "check the node that published it"):
        data = json.loads(message.data)
        return CoopState[data["state"]], str(data["why"])
