"""Where the roadside stations stand, and the map's lines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError, SensorError
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.stations import stations_from_data, stations_to_data
from kd_planner_ros.wire.codec.base import Make
from kd_planner_ros.wire.codec.tables import rows_of
from kd_planner_ros.wire.tables import cast_table

TEXT = "std_msgs/msg/String"


def stations(make: Make, record: Sequence[Station], stamp_ns: int = 0, frame: str = "") -> Any:
    """std_msgs/String with the content of a stations file as JSON."""
    return make(TEXT, data=json.dumps(stations_to_data(record)))


def stations_of(message: Any) -> tuple[Station, ...]:
    """The stations in the text.

    Raises:
        SensorError: no JSON, or not the content of a stations file.
    """
    try:
        return stations_from_data(json.loads(message.data), "the stations topic")
    except json.JSONDecodeError as error:
        raise SensorError("stations as JSON", str(error), "check the node that published them") from None
    except ConfigError as error:
        raise SensorError(error.expected, error.got, error.remedy) from None


def map_lines_of(message: Any) -> np.ndarray:
    """MAP_LINE_DTYPE [N]."""
    return cast_table(rows_of(message), MAP_LINE_DTYPE)
