"""What only a recording needs of its messages: rows of a timeline, and records joined from several topics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import CameraImage
from kd_planner_ros.core.timeline import POSE_COLUMNS, Series, series
from kd_planner_ros.wire.codec.motion import control_of, ego_of
from kd_planner_ros.wire.codec.pictures import depth_of, label_of
from kd_planner_ros.wire.codec.tables import actors_of, route_of, signals_of
from kd_planner_ros.wire.topics import TRUTH_OBJECTS, TRUTH_SIGNALS, Topics

RANGE_SLACK = 0.01
_SPEED = POSE_COLUMNS.index("speed_mps")
_ACCELERATION = POSE_COLUMNS.index("acceleration_mps2")


def ego_row(message: Any) -> list[float]:
    """POSE_COLUMNS of an odometry message; the acceleration is 0."""
    ego = ego_of(message)
    pose = ego.pose
    return [pose.x, pose.y, pose.z, pose.yaw, pose.pitch, pose.roll, ego.speed_mps, ego.yaw_rate_rps, 0.0, ego.lateral_mps]


def control_row(message: Any, topic: str) -> list[float]:
    """Throttle, steer (positive LEFT) and brake of a control message."""
    control = decoded(control_of, message, topic)
    return [control.throttle, control.steer, control.brake]


def is_forward(message: Any, row: list[float]) -> bool:
    """Whether a control of ``row`` drives ahead in CARLA's ranges; in reverse gear the same throttle drives back."""
    if getattr(message, "reverse", False) or getattr(message, "hand_brake", False):
        return False
    throttle, steer, brake = row
    return all(-RANGE_SLACK <= one <= 1.0 + RANGE_SLACK for one in (throttle, brake)) and abs(steer) <= 1.0 + RANGE_SLACK


def join_ego(odometry: list[tuple[int, int, list[float]]], speeds: list[tuple[int | None, int, float]], imu: Series,
             notes: list[str], speed_topic: str) -> Series:
    """POSE_COLUMNS by header stamp: odometry rows (stamp, bag time, values) with the speedometer's speed (stamp or None, bag time,
    m/s) and the IMU's acceleration. A speed without a stamp is paired by bag time within one tick, where bag times tell the ticks
    apart. Of equal stamps the first counts. ``notes`` receives a sentence where odometry's own speed is used instead."""
    rows = series([(stamp, values) for stamp, _, values in reversed(odometry)], len(POSE_COLUMNS))
    if not len(rows.stamps):
        return rows
    values = rows.values.copy()
    if speeds:
        paired = _paired(rows.stamps, odometry, speeds)
        known = np.isfinite(paired)
        values[known, _SPEED] = paired[known]
        if not known.all():
            notes.append(f"{(~known).sum()} of {len(known)} ticks without {speed_topic}: odometry's speed is used there")
    else:
        notes.append(f"no {speed_topic}: odometry's speed is used")
    acceleration = imu.take(rows.stamps)
    values[:, _ACCELERATION] = np.where(np.isfinite(acceleration), acceleration, 0.0)
    return Series(rows.stamps, values)


def _paired(stamps: np.ndarray, odometry: list[tuple[int, int, list[float]]], speeds: list[tuple[int | None, int, float]]) -> np.ndarray:
    """The speed [N] at each of ``stamps``, NaN where none is known to belong there."""
    by_stamp = [(stamp, speed) for stamp, _, speed in speeds if stamp is not None]
    found = series(by_stamp[::-1]).take(stamps)
    by_time = Counter(bag_ns for stamp, bag_ns, _ in speeds if stamp is None)
    bag_times = {stamp: bag_ns for stamp, bag_ns, _ in reversed(odometry)}
    received = np.array([bag_times[stamp] for stamp in stamps.tolist()], np.int64)
    shared = Counter(received.tolist())
    alone = series([(bag_ns, speed) for stamp, bag_ns, speed in speeds if stamp is None and by_time[bag_ns] == 1])
    tick = int(np.median(np.diff(np.sort(received)))) if len(received) > 1 else 0
    paired = alone.take(received, tick)
    paired[[shared[bag_ns] > 1 for bag_ns in received.tolist()]] = np.nan
    return np.where(np.isfinite(found), found, paired)


def truth_tables(found: Mapping[str, Any]) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Boxes (ACTOR_DTYPE) and signals (SIGNAL_DTYPE) among the messages of one instant, None where absent."""
    actors = decoded(actors_of, found[TRUTH_OBJECTS], TRUTH_OBJECTS) if TRUTH_OBJECTS in found else None
    signals = decoded(signals_of, found[TRUTH_SIGNALS], TRUTH_SIGNALS) if TRUTH_SIGNALS in found else None
    return actors, signals


def labels(found: Mapping[str, Any], topics: Topics, camera: str, kinds: tuple[str, ...], stamp_ns: int,
           picture: np.ndarray) -> CameraImage:
    """The labels ``kinds`` of one camera."""
    arrays = {}
    for kind in kinds:
        topic = topics.ids(camera) if kind == "semantic" and topics.ids(camera) in found else topics.label(camera, kind)
        arrays[kind] = decoded(depth_of if kind == "depth" else label_of, found[topic], topic)
    return CameraImage(stamp_ns, picture, **arrays)


def only_route(messages: Iterable[tuple[str, int, Any]], topic: str, path: Path, facts: Mapping[str, str]) -> Route | None:
    """The one dense plan that ``messages`` of ``topic`` say, once or again and again; None where they say none.

    Raises:
        BagError: they say different ones: whichever was taken, some samples would get target points of another.
    """
    found = {one.points.tobytes(): (bag_ns, one) for _, bag_ns, message in messages
             if len((one := route(message, topic, path.name, facts)).points) >= 2}
    if len(found) > 1:
        raise BagError(f"one route on {topic} in {path}",
                       f"{len(found)} different ones (bag time {', '.join(f'{bag_ns / 1e9:.3f} s' for bag_ns, _ in found.values())})",
                       "record each drive by itself, and begin the recording when its route is set")
    return next((one for _, one in found.values()), None)


def route(message: Any, topic: str, name: str, facts: Mapping[str, str]) -> Route:
    """The dense plan: our table, carla_msgs/CarlaRoute, or nav_msgs/Path (which lost its commands: LANE_FOLLOW)."""
    return decoded(partial(route_of, name=facts.get("route", name), town=facts.get("map", "")), message, topic)
