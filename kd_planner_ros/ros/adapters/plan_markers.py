"""A plan as markers for RViz and Foxglove: trajectory, candidates by score, road users with forecasts, map lines, target point."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.outputs import Detections, MapLines
from kd_planner_ros.core.records import Plan
from kd_planner_ros.geometry.frames import from_base
from kd_planner_ros.imaging.plan_colours import line_colour, score_colours, user_colour
from kd_planner_ros.ros.messages import make
from kd_planner_ros.ros.stamps import to_duration, to_stamp
from kd_planner_ros.wire.codec.base import MAP_FRAME, planar_pose

SHOWN_S = 0.5
"""Road users and lines, whose number changes, are shown so long."""
HEIGHT_M, LEAST_M = 1.6, 0.05
"""Of a road user whose height is not known, and the least side of a box."""
TRAJECTORY = (26, 204, 51)
Colour = tuple[int, int, int]


def plan_to_markers(plan: Plan, ego: Pose) -> MarkerArray:
    """Everything that ``plan`` tells, in ``map``: namespaces ``trajectory``, ``candidates``, ``users``, ``forecasts``, ``lines`` and
    ``target_point``. Values that are not finite are left out."""
    header = Header(stamp=to_stamp(plan.stamp_ns), frame_id=MAP_FRAME)
    markers = [_way(header, "trajectory", 0, plan.trajectory.points, ego, 0.3, TRAJECTORY)]
    if plan.candidates is not None:
        colours = score_colours(plan.scores, len(plan.candidates))
        markers += [_way(header, "candidates", number, way, ego, 0.08, (*map(int, colours[number]),))
                    for number, way in enumerate(plan.candidates)]
    markers += [*_users(header, plan.detections, ego), *_lines(header, plan.lines, ego)]
    ball = Marker(header=header, ns="target_point", id=0, type=Marker.SPHERE, action=Marker.ADD,
                  scale=Vector3(x=1.0, y=1.0, z=1.0), color=ColorRGBA(r=0.9, g=0.5, b=0.1, a=0.9))
    x, y = from_base(plan.goal.target_point, ego).tolist()
    ball.pose.position = Point(x=x, y=y, z=0.5)
    return MarkerArray(markers=[*markers, ball])


def _users(header: Header, found: Detections | None, ego: Pose) -> Iterator[Marker]:
    """A box a road user, and a line a likeliest future."""
    for number, row in enumerate(found.rows if found is not None else ()):
        place = np.array([row["x"], row["y"]], float)
        if not (np.isfinite(place).all() and np.isfinite([row["yaw"], row["length"], row["width"]]).all()):
            continue
        height, colour = float(row["height"]) if np.isfinite(row["height"]) else HEIGHT_M, user_colour(int(row["kind"]))
        x, y = from_base(place, ego).tolist()
        box = Marker(header=header, ns="users", id=number, type=Marker.CUBE, action=Marker.ADD, lifetime=to_duration(SHOWN_S),
                     scale=Vector3(x=max(float(row["length"]), LEAST_M), y=max(float(row["width"]), LEAST_M), z=max(height, LEAST_M)),
                     color=_colour(colour, 0.6))
        box.pose = planar_pose(make, x, y, float(row["yaw"]) + ego.yaw)
        box.pose.position.z = float(np.nan_to_num(row["z"])) + height / 2.0
        yield box
        if found is not None and (future := found.likeliest(number)) is not None:
            yield _line(header, "forecasts", number, np.vstack([place, future]), ego, 0.15, colour)


def _lines(header: Header, lines: MapLines | None, ego: Pose) -> Iterator[Marker]:
    for number, (points, kind) in enumerate(zip(lines.points, lines.kinds, strict=True) if lines is not None else ()):
        yield _line(header, "lines", number, points, ego, 0.12, line_colour(int(kind)))


def _way(header: Header, namespace: str, number: int, points: np.ndarray, ego: Pose, width_m: float, colour: Colour) -> Marker:
    """A line from the car itself on."""
    line = _line(header, namespace, number, np.concatenate([np.zeros((1, 2)), points]), ego, width_m, colour)
    line.lifetime = to_duration(0.0)
    return line


def _line(header: Header, namespace: str, number: int, points: np.ndarray, ego: Pose, width_m: float, colour: Colour) -> Marker:
    points = np.asarray(points, float)
    way = from_base(points[np.isfinite(points).all(axis=1)], ego).tolist()
    line = Marker(header=header, ns=namespace, id=number, type=Marker.LINE_STRIP, action=Marker.ADD, lifetime=to_duration(SHOWN_S),
                  scale=Vector3(x=width_m, y=0.0, z=0.0), color=_colour(colour, 0.9), points=[Point(x=x, y=y, z=0.2) for x, y in way])
    line.pose.orientation.w = 1.0
    return line


def _colour(colour: Colour, alpha: float) -> ColorRGBA:
    r, g, b = (part / 255.0 for part in colour)
    return ColorRGBA(r=r, g=g, b=b, a=alpha)
