"""Tables as PointCloud2: LiDAR clouds, the route, road users and signals."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE
from kd_planner_ros.wire.codec.base import MAP_FRAME, Make, header, planar_pose, pose_of
from kd_planner_ros.wire.codec.carla import actors_from_objects
from kd_planner_ros.wire.tables import (
    CLOUD_DTYPE,
    COLOURED_DTYPE,
    ROUTE_DTYPE,
    cast_table,
    read_table,
    require_columns,
    table_bytes,
    table_fields,
)

TABLE, CARLA_ROUTE, PATH = "sensor_msgs/msg/PointCloud2", "carla_msgs/msg/CarlaRoute", "nav_msgs/msg/Path"
CLOUD_COLUMNS = ("x", "y", "z", "intensity")


def table(make: Make, rows: np.ndarray, stamp_ns: int, frame: str, height: int = 1) -> Any:
    """A structured array [N] as sensor_msgs/PointCloud2, one field a column, little-endian. A cloud of ``height`` 0 has no line of points:
    nobody made a table, while an empty line is a table without rows.

    Raises:
        SensorError: a column whose type PointField does not have.
    """
    fields = [make("sensor_msgs/msg/PointField", name=name, offset=offset, datatype=number, count=count)
              for name, offset, number, count in table_fields(rows.dtype)]
    step = rows.dtype.itemsize
    return make(TABLE, header=header(make, stamp_ns, frame), height=height, width=len(rows), fields=fields,
                is_bigendian=False, point_step=step, row_step=step * len(rows), data=table_bytes(rows), is_dense=False)


def rows_of(message: Any) -> np.ndarray:
    """The rows of a PointCloud2 as a structured array; a view of its bytes where lines have no padding.

    Raises:
        SensorError: an unknown field type, a field outside its row, or fewer bytes than the message claims.
    """
    fields = tuple((f.name, f.offset, f.datatype, f.count) for f in message.fields)
    return read_table(fields, np.frombuffer(message.data, np.uint8), int(message.width), int(message.point_step),
                      bool(message.is_bigendian), int(message.height), int(message.row_step))


def actors_of(message: Any) -> np.ndarray:
    """Road users ACTOR_DTYPE [N] in our table or in derived_object_msgs/ObjectArray, as CARLA's bridge sends them."""
    if hasattr(message, "objects"):
        return actors_from_objects(message.objects)
    return cast_table(rows_of(message), ACTOR_DTYPE)


def signals_of(message: Any) -> np.ndarray:
    """Signal heads SIGNAL_DTYPE [S]; ``state`` is CARLA's number."""
    return cast_table(rows_of(message), SIGNAL_DTYPE)


def cloud(make: Make, points: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """LiDAR points float32 [N, 4] (x, y, z, intensity) of the sensor's frame."""
    rows = np.ascontiguousarray(points, np.float32).reshape(-1, 4).view(CLOUD_DTYPE).reshape(-1)
    return table(make, rows, stamp_ns, frame)


def cloud_of(message: Any) -> np.ndarray:
    """LiDAR points float32 [N, 4] (x, y, z, intensity); rows that are not finite are left out.

    Raises:
        SensorError: a column is missing, or as ``rows_of``.
    """
    rows = rows_of(message)
    require_columns(rows, CLOUD_COLUMNS)
    points = np.empty((len(rows), 4), np.float32)
    for column, name in enumerate(CLOUD_COLUMNS):
        points[:, column] = rows[name]
    finite = np.isfinite(points).all(1)
    return points if finite.all() else points[finite]


def coloured(make: Make, rows: np.ndarray, stamp_ns: int, frame: str) -> Any:
    """Coloured points COLOURED_DTYPE [N] of a camera's frame (x right, y down, z forward)."""
    return table(make, rows, stamp_ns, frame)


def coloured_of(message: Any) -> np.ndarray:
    """Coloured points COLOURED_DTYPE [N].

    Raises:
        SensorError: a column is missing, or as ``rows_of``.
    """
    rows = rows_of(message)
    require_columns(rows, ("x", "y", "z", "rgb"))
    return cast_table(rows, COLOURED_DTYPE)


def route(make: Make, plan: Route, stamp_ns: int = 0, frame: str = MAP_FRAME) -> Any:
    """The dense plan as a table of ROUTE_DTYPE."""
    rows = np.zeros(len(plan.points), ROUTE_DTYPE)
    rows["x"], rows["y"] = np.asarray(plan.points, float).T
    rows["yaw"], rows["command"] = plan.yaws, plan.commands
    return table(make, rows, stamp_ns, frame)


def carla_route(make: Make, plan: Route, stamp_ns: int = 0, frame: str = MAP_FRAME) -> Any:
    """The dense plan as carla_msgs/CarlaRoute (branch leaderboard-2.0 of ros-carla-msgs; master has no such message)."""
    poses = [planar_pose(make, x, y, yaw) for (x, y), yaw in zip(plan.points.tolist(), plan.yaws.tolist(), strict=True)]
    return make(CARLA_ROUTE, header=header(make, stamp_ns, frame), road_options=np.asarray(plan.commands, np.int8), poses=poses)


def waypoints(make: Make, plan: Route, stamp_ns: int, frame: str = MAP_FRAME) -> Any:
    """The dense plan without commands as carla_waypoint_publisher sends it: inner poses have empty headers."""
    blank = header(make, 0, "")
    poses = [make("geometry_msgs/msg/PoseStamped", header=blank, pose=planar_pose(make, x, y, yaw))
             for (x, y), yaw in zip(plan.points.tolist(), plan.yaws.tolist(), strict=True)]
    return make(PATH, header=header(make, stamp_ns, frame), poses=poses)


def route_of(message: Any, name: str = "route", town: str = "") -> Route:
    """The dense plan in our table, in carla_msgs/CarlaRoute, or in a nav_msgs/Path, which has lost its commands: all are
    LANE_FOLLOW. The key points are the first and the last point.

    Raises:
        SensorError: a table without the columns of ROUTE_DTYPE, or as ``rows_of``.
    """
    if hasattr(message, "point_step"):
        rows = cast_table(rows_of(message), ROUTE_DTYPE)
        points, yaws, commands = np.stack([rows["x"], rows["y"]], axis=1), rows["yaw"].astype(float), rows["command"]
    else:
        poses = [getattr(one, "pose", one) for one in message.poses]
        each = [pose_of(one.position, one.orientation) for one in poses]
        points = np.array([(one.x, one.y) for one in each], float).reshape(-1, 2)
        yaws = np.array([one.yaw for one in each], float)
        options = getattr(message, "road_options", None)
        commands = np.full(len(each), Command.LANE_FOLLOW) if options is None else np.asarray(options)
    if len(commands) != len(points):
        raise SensorError(f"{len(points)} road options, one a pose", str(len(commands)), "check the node that published the route")
    if unknown := sorted({int(one) for one in commands} - {int(one) for one in Command}):
        raise SensorError(f"road options out of {', '.join(str(int(one)) for one in Command)}", str(unknown[0]),
                          "check the node that published the route")
    return Route(name, town, points, yaws, np.asarray(commands, np.int8), points[[0, -1]] if len(points) else points)
