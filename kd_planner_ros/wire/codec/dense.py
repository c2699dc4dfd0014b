"""Dense answers of perception networks as pictures, one encoding a kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.outputs import DenseOutput
from kd_planner_ros.wire.codec.base import Make
from kd_planner_ros.wire.codec.pictures import image, pixels_of

DENSE_ENCODINGS = {"depth": "32FC1", "classes": "mono8", "ids": "32SC1", "mask": "mono8", "flow": "32FC3", "probability": "32FC1"}
"""Kind of a dense output -> encoding of its Image. A mask is 0 or 255, so that a viewer shows it."""


def dense(make: Make, output: DenseOutput, stamp_ns: int, frame: str) -> Any:
    """sensor_msgs/Image in the encoding of the output's kind."""
    array = np.where(output.array, 255, 0).astype(np.uint8) if output.kind == "mask" else output.array
    return image(make, array, DENSE_ENCODINGS[output.kind], stamp_ns, frame)


def dense_of(message: Any, kind: str, labels: Sequence[str] = ()) -> DenseOutput:
    """The output of ``kind`` in an Image; a mask comes back as bool.

    Raises:
        SensorError: an unknown kind, or another encoding than the kind's.
    """
    if kind not in DENSE_ENCODINGS:
        raise SensorError(f"a dense output of kind {', '.join(DENSE_ENCODINGS)}", repr(kind), "choose one of them")
    if message.encoding != DENSE_ENCODINGS[kind]:
        raise SensorError(f"a picture in {DENSE_ENCODINGS[kind]} for {kind}", repr(message.encoding), "check which topic is remapped to it")
    array = pixels_of(message)
    return DenseOutput(kind, array > 0 if kind == "mask" else array, tuple(labels))
