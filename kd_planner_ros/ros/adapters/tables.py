"""PointCloud2 as what it is: a table. Offsets, padding and byte order count (CARLA's radar has a 4-byte hole)."""

from __future__ import annotations

from array import array

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.ros.stamps import to_stamp
from kd_planner_ros.wire.tables import CODES, table_bytes, table_fields


def bytes_array(values: np.ndarray) -> array:
    """The bytes of ``values`` as ``array('B')``: the one type that every distribution assigns to ``uint8[]`` fast."""
    packed = array("B")
    packed.frombytes(memoryview(np.ascontiguousarray(values)).cast("B"))
    return packed


def table_to_msg(table: np.ndarray, stamp_ns: int, frame_id: str) -> PointCloud2:
    """A structured array [N] as PointCloud2, one field a column, little-endian."""
    fields = [PointField(name=name, offset=offset, datatype=number, count=1)
              for name, offset, number in table_fields(table.dtype)]
    step = table.dtype.itemsize
    return PointCloud2(header=Header(stamp=to_stamp(stamp_ns), frame_id=frame_id), height=1, width=len(table),
                       fields=fields, is_bigendian=False, point_step=step, row_step=step * len(table),
                       data=bytes_array(table_bytes(table)), is_dense=False)


def table_from_msg(message: PointCloud2) -> np.ndarray:
    """The rows of ``message`` as a structured array [height * width]; a view of its bytes where rows have no padding.

    Raises:
        SensorError: an unknown field type, a field outside its row, or fewer bytes than the message claims.
    """
    order = ">" if message.is_bigendian else "<"
    names, kinds, offsets = [], [], []
    for field in message.fields:
        code = CODES.get(field.datatype)
        if code is None or field.offset + np.dtype(code or "u1").itemsize > message.point_step:
            raise SensorError("point fields inside point_step", f"field {field.name!r} of type {field.datatype} at "
                              f"byte {field.offset} of {message.point_step}", "check the driver of this sensor")
        names.append(field.name)
        kinds.append(order + code)
        offsets.append(field.offset)
    dtype = np.dtype({"names": names, "formats": kinds, "offsets": offsets, "itemsize": message.point_step or 1})
    row_step = message.row_step or message.width * message.point_step
    if len(message.data) < row_step * message.height or row_step < message.width * message.point_step:
        raise SensorError(f"{message.height} rows of {row_step} bytes in a point cloud", f"{len(message.data)} bytes",
                          "check the driver of this sensor")
    data = np.frombuffer(message.data, np.uint8)
    if message.height == 1:
        return data[: message.width * message.point_step].view(dtype)
    rows = data[: row_step * message.height].reshape(message.height, row_step)
    return np.ascontiguousarray(rows[:, : message.width * message.point_step]).reshape(-1).view(dtype)


def columns(table: np.ndarray, names: tuple[str, ...], what: str) -> np.ndarray:
    """Columns ``names`` of ``table`` as float32 [N, len(names)].

    Raises:
        SensorError: a column is missing.
    """
    missing = [name for name in names if name not in (table.dtype.names or ())]
    if missing:
        raise SensorError(f"the fields {', '.join(names)} in {what}", f"{', '.join(table.dtype.names or ()) or 'none'}",
                          "check which topic is remapped to it")
    return np.stack([table[name].astype(np.float32) for name in names], axis=1)
