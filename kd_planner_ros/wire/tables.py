"""A PointCloud2 is a table: structured numpy arrays to its fields and bytes, and back. No ROS, no rosbags."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.errors import BagError

CODES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
"""sensor_msgs/PointField's datatype numbers."""
_NUMBERS = {code: number for number, code in CODES.items()}

ROUTE_DTYPE = np.dtype([("x", "<f8"), ("y", "<f8"), ("z", "<f8"), ("yaw", "<f8"), ("command", "<i1")])
CLOUD_DTYPE = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4")])


def table_fields(dtype: np.dtype) -> list[tuple[str, int, int]]:
    """(name, byte offset, PointField datatype) of each column."""
    return [(name, int(dtype.fields[name][1]), _NUMBERS[dtype.fields[name][0].str.lstrip("<|=")])
            for name in dtype.names]


def table_bytes(table: np.ndarray) -> np.ndarray:
    """The little-endian bytes of a structured array [N] as uint8 [N * itemsize]."""
    table = np.ascontiguousarray(table, table.dtype.newbyteorder("<"))
    return table.view(np.uint8).reshape(-1) if len(table) else np.zeros(0, np.uint8)


def read_table(fields: list[tuple[str, int, int]], data: np.ndarray, rows: int, step: int, big_endian: bool,
               topic: str) -> np.ndarray:
    """Structured array [rows] from a cloud's bytes uint8; offsets and padding are honoured.

    Raises:
        BagError: a field type that does not exist, a field outside its row, or too few bytes.
    """
    order = ">" if big_endian else "<"
    try:
        dtype = np.dtype({"names": [f[0] for f in fields], "offsets": [f[1] for f in fields],
                          "formats": [order + CODES[f[2]] for f in fields], "itemsize": max(step, 1)})
    except (KeyError, ValueError) as error:
        raise BagError(f"a table of points on {topic}", f"fields {fields} in rows of {step} bytes ({error})",
                       "check the node that published it") from None
    if data.size < rows * step:
        raise BagError(f"{rows} rows of {step} bytes on {topic}", f"{data.size} bytes", "record again")
    return np.frombuffer(data, np.uint8)[: rows * step].view(dtype)


def cast_table(table: np.ndarray, dtype: np.dtype, topic: str) -> np.ndarray:
    """``table`` with exactly the columns of ``dtype``, copied.

    Raises:
        BagError: a column is missing.
    """
    missing = [name for name in dtype.names if name not in (table.dtype.names or ())]
    if missing:
        raise BagError(f"columns {', '.join(dtype.names)} on {topic}", f"no {', '.join(missing)}",
                       "record again with this version, or leave that topic out")
    out = np.empty(len(table), dtype)
    for name in dtype.names:
        out[name] = table[name]
    return out
