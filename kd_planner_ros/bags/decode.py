"""Messages of a recording to core records. Duck-typed: only field names matter, not whose class a message has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_planner_ros.bags import messages
from kd_planner_ros.core.errors import BagError, SensorError
from kd_planner_ros.core.records import Command
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE
from kd_planner_ros.core.sensors import CameraImage
from kd_planner_ros.core.timeline import POSE_COLUMNS, Series, series
from kd_planner_ros.geometry.attitude import from_bridge_twist
from kd_planner_ros.imaging.encodings import decode_image, decode_rgb
from kd_planner_ros.imaging.palette import ids_of_colours
from kd_planner_ros.wire.tables import ROUTE_DTYPE, cast_table, read_table
from kd_planner_ros.wire.topics import TRUTH_OBJECTS, TRUTH_SIGNALS, Topics

_SPEED = POSE_COLUMNS.index("speed_mps")
_ACCELERATION = POSE_COLUMNS.index("acceleration_mps2")


def ego_row(message: Any) -> list[float]:
    """POSE_COLUMNS of an odometry message; its speed is undone of the bridge's wrong rotation, acceleration is 0."""
    twist = message.twist.twist
    pose = messages.pose_of(message.pose.pose.position, message.pose.pose.orientation)
    body = from_bridge_twist(np.array([twist.linear.x, twist.linear.y, twist.linear.z]), pose)
    return [pose.x, pose.y, pose.z, pose.yaw, pose.pitch, pose.roll, float(body[0]), twist.angular.z, 0.0, float(body[1])]


def speed(message: Any) -> float:
    """Forward speed of std_msgs/Float32 or carla_msgs/CarlaSpeedometer, m/s."""
    return float(message.data if hasattr(message, "data") else message.speed)


def control(message: Any, topic: str) -> list[float]:
    """Throttle, steer (positive LEFT) and brake of a CarlaEgoVehicleControl or of named values in CARLA's sign."""
    if hasattr(message, "throttle"):
        return [float(message.throttle), -float(message.steer), float(message.brake)]
    values = dict(zip(message.name, np.asarray(message.position).tolist()))
    try:
        return [values["throttle"], -values["steer"], values["brake"]]
    except KeyError as missing:
        raise BagError(f"throttle, steer and brake on {topic}", f"no {missing}", "publish one of each") from None


def join_ego(odometry: list[tuple[int, int, list[float]]], speeds: list[tuple[int, float]], imu: Series,
             notes: list[str], speed_topic: str) -> Series:
    """POSE_COLUMNS by header stamp: odometry rows (stamp, bag time, values) with the speedometer's speed, paired by bag
    time within one tick, and the IMU's acceleration. ``notes`` is told where odometry's own speed has to do."""
    rows = series([(stamp, values) for stamp, _, values in odometry], len(POSE_COLUMNS))
    if not len(rows.stamps):
        return rows
    values = rows.values.copy()
    if speeds and len(odometry) > 1:
        bag_times = {stamp: bag_ns for stamp, bag_ns, _ in odometry}
        received = np.array([bag_times[stamp] for stamp in rows.stamps.tolist()], np.int64)
        tick = int(np.median(np.diff(np.sort(received)))) or 1
        paired = series(speeds).take(received, tick)
        known = np.isfinite(paired)
        values[known, _SPEED] = paired[known]
        if not known.all():
            notes.append(f"{(~known).sum()} of {len(known)} ticks without {speed_topic}: odometry's speed is used there")
    elif not speeds:
        notes.append(f"no {speed_topic}: odometry's speed is used")
    acceleration = imu.take(rows.stamps)
    values[:, _ACCELERATION] = np.where(np.isfinite(acceleration), acceleration, 0.0)
    return Series(rows.stamps, values)


def table(message: Any, topic: str) -> np.ndarray:
    """The rows of a PointCloud2 as a structured array."""
    fields = [(f.name, int(f.offset), int(f.datatype)) for f in message.fields]
    return read_table(fields, np.asarray(message.data, np.uint8), message.width * message.height, message.point_step,
                      bool(message.is_bigendian), topic)


def truth_tables(found: Mapping[str, Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Boxes (ACTOR_DTYPE) and signals (SIGNAL_DTYPE) among the messages of one instant, None where absent."""
    tables = [cast_table(table(found[topic], topic), dtype, topic) if topic in found else None
              for topic, dtype in ((TRUTH_OBJECTS, ACTOR_DTYPE), (TRUTH_SIGNALS, SIGNAL_DTYPE))]
    return tables[0], tables[1]


def cloud(message: Any, topic: str) -> np.ndarray:
    """LiDAR points float32 [N, 4] (x, y, z, intensity), rows that are not finite left out."""
    rows = table(message, topic)
    if missing := [n for n in ("x", "y", "z", "intensity") if n not in (rows.dtype.names or ())]:
        raise BagError(f"x, y, z and intensity on {topic}", f"no {', '.join(missing)}", "choose another LiDAR topic")
    points = np.stack([rows[n].astype(np.float32) for n in ("x", "y", "z", "intensity")], axis=1)
    return points[np.isfinite(points).all(1)]


def _cut(error: SensorError, topic: str) -> BagError:
    return BagError(f"{error.expected} on {topic}", error.got, error.remedy)


def rgb(message: Any, topic: str) -> np.ndarray:
    """A picture as RGB uint8 [H, W, 3], its own memory."""
    try:
        return decode_rgb(message.data, message.height, message.width, message.encoding, message.step)
    except SensorError as error:
        raise _cut(error, topic) from None


def pixels(message: Any, topic: str) -> np.ndarray:
    """A depth (metres), class or instance picture [H, W]; palette colours become class ids."""
    try:
        if message.encoding == "32SC1":
            floats = decode_image(message.data, message.height, message.width, "32FC1", message.step)
            return floats.view(np.int32).copy()
        if message.encoding in ("bgra8", "rgb8", "bgr8", "rgba8"):
            return ids_of_colours(rgb(message, topic))
        return decode_image(message.data, message.height, message.width, message.encoding, message.step,
                            bool(message.is_bigendian)).copy()
    except SensorError as error:
        raise _cut(error, topic) from None


def labels(found: Mapping[str, Any], topics: Topics, camera: str, kinds: tuple[str, ...], stamp_ns: int,
           picture: np.ndarray) -> CameraImage:
    """The labels ``kinds`` of one camera."""
    arrays = {}
    for kind in kinds:
        topic = topics.ids(camera) if kind == "semantic" and topics.ids(camera) in found else topics.label(camera, kind)
        arrays[kind] = pixels(found[topic], topic)
    return CameraImage(stamp_ns, picture, **arrays)


def route(message: Any, topic: str, name: str, facts: Mapping[str, str]) -> Route:
    """The dense plan: our table, carla_msgs/CarlaRoute, or nav_msgs/Path (which lost its commands: LANE_FOLLOW)."""
    if hasattr(message, "point_step"):
        rows = cast_table(table(message, topic), ROUTE_DTYPE, topic)
        points, yaws, commands = np.stack([rows["x"], rows["y"]], 1), rows["yaw"].astype(float), rows["command"]
    else:
        poses = [getattr(p, "pose", p) for p in message.poses]
        each = [messages.pose_of(p.position, p.orientation) for p in poses]
        points = np.array([(p.x, p.y) for p in each], float).reshape(-1, 2)
        yaws = np.array([p.yaw for p in each])
        options = getattr(message, "road_options", None)
        commands = np.asarray(options, np.int8) if options is not None else np.full(len(each), Command.LANE_FOLLOW, np.int8)
    ends = points[[0, -1]] if len(points) else points
    return Route(facts.get("route", name), facts.get("map", ""), points, yaws, np.asarray(commands, np.int8), ends)
