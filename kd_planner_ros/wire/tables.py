"""A PointCloud2 is a table: structured numpy arrays to its fields and bytes, and back. No ROS, no rosbags.

A column may hold several numbers a row (a sub-array): a plan's points, a road user's forecasts. Offsets, padding and byte
order are honoured (CARLA's radar has a hole of four bytes).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import SensorError

CODES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
"""sensor_msgs/PointField's datatype numbers."""
_NUMBERS = {code: number for number, code in CODES.items()}

Field = tuple[str, int, int, int]
"""(name, byte offset, PointField datatype, numbers a row)."""

ROUTE_DTYPE = np.dtype([("x", "<f8"), ("y", "<f8"), ("z", "<f8"), ("yaw", "<f8"), ("command", "<i1")])
COLOURED_DTYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<f4")])
"""``rgb`` holds the bytes B, G, R, 0, as PCL and RViz read them."""
CLOUD_DTYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4")])


@lru_cache
def table_fields(dtype: np.dtype) -> tuple[Field, ...]:
    """The fields of each column of ``dtype``; columns without numbers are left out.

    Raises:
        SensorError: a column whose type PointField does not have (64-bit integers, text).
    """
    found: list[Field] = []
    columns: Mapping[str, Any] = dtype.fields or {}
    for name in dtype.names or ():
        kind, offset = dtype[name], columns[name][1]
        code = kind.base.str.lstrip("<|=>")
        if code not in _NUMBERS:
            raise SensorError(f"a column of type {', '.join(_NUMBERS)}", f"{kind.base} in column {name!r}", "convert it first")
        count = int(np.prod(kind.shape, dtype=int))
        if count:
            found.append((name, int(offset), _NUMBERS[code], count))
    return tuple(found)


def table_bytes(table: np.ndarray) -> np.ndarray:
    """The little-endian bytes of a structured array [N] as uint8 [N * itemsize]."""
    table = np.ascontiguousarray(table, table.dtype.newbyteorder("<"))
    return table.view(np.uint8).reshape(-1) if len(table) else np.zeros(0, np.uint8)


@lru_cache
def table_dtype(fields: tuple[Field, ...], step: int, big_endian: bool = False) -> np.dtype:
    """The structured type of rows of ``step`` bytes with ``fields``; a field of several numbers becomes a column [count].

    Raises:
        SensorError: a field type that does not exist, a name that occurs twice, or a field outside its row.
    """
    order = ">" if big_endian else "<"
    names, formats, offsets = [], [], []
    for name, offset, number, count in fields:
        code = CODES.get(number)
        if code is None or offset + np.dtype(code).itemsize * max(count, 1) > step:
            raise SensorError(f"point fields inside rows of {step} bytes", f"field {name!r} of type {number} at byte {offset}",
                              "check the node that published it")
        names.append(name)
        formats.append((order + code, (count,)) if count > 1 else order + code)
        offsets.append(offset)
    try:
        return np.dtype({"names": names, "offsets": offsets, "formats": formats, "itemsize": max(step, 1)})
    except ValueError as error:
        raise SensorError("a table of points", f"fields {', '.join(names)} ({error})", "check the node that published it") from None


def read_table(fields: tuple[Field, ...], data: np.ndarray, rows: int, step: int, big_endian: bool = False,
               height: int = 1, row_step: int = 0) -> np.ndarray:
    """Structured array [height * rows] from a cloud's bytes uint8: ``height`` lines of ``rows`` points of ``step`` bytes. A
    view of ``data`` where lines have no padding.

    Args:
        row_step: bytes a line, padding included; 0 means unpadded. With one line it does not matter, and the last line may come
            without its padding.

    Raises:
        SensorError: as ``table_dtype``, and for too few bytes.
    """
    dtype = table_dtype(fields, step, big_endian)
    line = rows * step
    row_step = line if height <= 1 else row_step or line
    if not (height and line):
        return np.zeros(0, dtype)
    if row_step < line or data.size < row_step * (height - 1) + line:
        raise SensorError(f"{height} lines of {rows} rows of {step} bytes", f"{data.size} bytes in lines of {row_step}",
                          "the message is cut off: check the node that published it, or record again")
    if height == 1 or row_step == line:
        return data[: line * height].view(dtype)
    lines = np.lib.stride_tricks.as_strided(data, (height, line), (row_step, 1), writeable=False)
    return np.ascontiguousarray(lines).reshape(-1).view(dtype)


def require_columns(table: np.ndarray, names: Iterable[str]) -> None:
    """Raises SensorError unless ``table`` has all columns ``names``."""
    wanted, have = tuple(names), table.dtype.names or ()
    if missing := [name for name in wanted if name not in have]:
        raise SensorError(f"columns {', '.join(wanted)}", f"no {', '.join(missing)}",
                          "record again with this version, or choose another topic")


def cast_table(table: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """``table`` with exactly the columns of ``dtype``, copied.

    Raises:
        SensorError: a column is missing.
    """
    names = dtype.names or ()
    require_columns(table, names)
    out = np.empty(len(table), dtype)
    for name in names:
        out[name] = table[name]
    return out
