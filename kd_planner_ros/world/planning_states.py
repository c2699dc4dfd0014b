"""The eight planning states PlanKD distils, labelled from privileged truth.

Source: PlanKD ``interfuser/timm/data/carla_dataset.py`` and ``leaderboard/team_code/auto_pilot.py``.
The light is its true colour within 50 m; ``legacy`` labels red only within 8 m of the line, as there.
"""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.planning_states import LIGHT_GREEN, LIGHT_NONE, LIGHT_RED, STATE_NAMES
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.scene import ActorKind, LightState
from kd_planner_ros.geometry.boxes import segments_cross
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.world.actor_view import ActorView
from kd_planner_ros.world.lane_index import LaneHit, LaneIndex

DELTA = 0.1
LIGHT_RANGE_M, LEGACY_RED_M = 50.0, 8.0


def light_state(distance_m: float | None, colour: int, legacy: bool) -> int:
    """0 none within 50 m, 2 red or yellow, 1 green, of the light whose stop line is ``distance_m`` ahead of the car."""
    if distance_m is None or distance_m > LIGHT_RANGE_M or colour == LightState.OFF:
        return LIGHT_NONE
    red = colour != LightState.GREEN and (not legacy or distance_m <= LEGACY_RED_M)
    return LIGHT_RED if red else LIGHT_GREEN


def label_states(ego: EgoState, actors: ActorView, index: LaneIndex, here: LaneHit | None, light: int, stop_sign: bool,
                 changing_lane: bool, control: Control) -> dict[str, int]:
    """The states in the order of ``STATE_NAMES``, each a class index; ``actors`` are all within 25 m or more."""
    values = (light, here is not None and bool(here.lane.junction), stop_sign,
              vehicle_ahead(ego, actors, index, here, changing_lane), pedestrian_ahead(ego, actors),
              control.brake > DELTA, abs(control.steer) > DELTA, control.throttle > DELTA)
    return {name: int(value) for name, value in zip(STATE_NAMES, values, strict=True)}


def vehicle_ahead(ego: EgoState, actors: ActorView, index: LaneIndex, here: LaneHit | None, changing_lane: bool) -> bool:
    """True if a vehicle is near in front: within max(10, 3 v) m, bearing <= 30 deg, heading within 60 deg unless the
    bearing is below 15 deg; not those standing on another road, nor those beside in another lane of the same road."""
    pose = ego.pose
    dx, dy = actors.x - pose.x, actors.y - pose.y
    distance = np.hypot(dx, dy)
    bearing = np.abs(wrap_angle(np.arctan2(dy, dx) - pose.yaw))
    turn = np.abs(wrap_angle(actors.yaw - pose.yaw))
    limit = max(10.0, 3.0 * ego.speed_mps)
    rows = np.flatnonzero((distance <= limit) & (bearing <= math.radians(30.0))
                          & ((turn <= math.radians(60.0)) | (bearing < math.radians(15.0)))
                          & ((actors.kind == ActorKind.CAR) | (actors.kind == ActorKind.TRUCK) | (actors.kind == ActorKind.BUS)))
    for row in rows:
        other = index.nearest(float(actors.x[row]), float(actors.y[row]), float(actors.yaw[row]))
        if other is None or here is None:
            return True
        same_road = other.lane.edge == here.lane.edge
        standing = actors.speed[row] < 0.5
        if standing and not other.lane.junction and distance[row] > 4.0 and not same_road and turn[row] > math.radians(45.0):
            continue
        beside = same_road and other.lane.id != here.lane.id and turn[row] < math.radians(15.0)
        if not (beside and not changing_lane):
            return True
    return False


def pedestrian_ahead(ego: EgoState, actors: ActorView) -> bool:
    """True if a walker's way (from 3 m behind it, 8 m along its heading; shorter when it stands) crosses the 10 m
    before the car."""
    pose = ego.pose
    near = np.flatnonzero(actors.pedestrian & (np.abs(actors.x - pose.x) < 20.0) & (np.abs(actors.y - pose.y) < 20.0))
    if len(near) == 0:
        return False
    walkers = actors.take(near)
    speed = walkers.speed
    length = np.where(speed < 0.05, 8.0 * speed, 8.0)
    back = np.where(speed < 0.05, 3.0 * speed, 3.0)
    heading = np.where(speed < 0.05, walkers.yaw, np.arctan2(walkers.vy, walkers.vx))
    direction = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    start = np.stack([walkers.x, walkers.y], axis=1) - direction * back[:, None]
    here = np.array([pose.x, pose.y])
    ahead = here + 10.0 * np.array([math.cos(pose.yaw), math.sin(pose.yaw)])
    return bool(segments_cross(here[None], ahead[None], start, start + direction * length[:, None]).any())
