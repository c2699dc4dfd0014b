"""The car's own state, and where its route leads.

Frames: ``map`` is ROS ENU (x east, y north, z up; CARLA (x, y) is map (x, -y)); ``base_link`` is the vehicle frame
(x forward, y left, z up; origin at the actor's centre on the ground, as CARLA has it). SI units, angles in radians,
counter-clockwise positive, steering positive to the LEFT. Other conventions live in one adapter or processor each.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Command(IntEnum):
    """Route command, CARLA's ``RoadOption``."""

    VOID = -1
    LEFT = 1
    RIGHT = 2
    STRAIGHT = 3
    LANE_FOLLOW = 4
    CHANGE_LANE_LEFT = 5
    CHANGE_LANE_RIGHT = 6


@dataclass(frozen=True)
class Pose:
    """Position in metres and intrinsic yaw-pitch-roll in radians, right-handed."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


@dataclass(frozen=True)
class EgoState:
    """The ego vehicle at ``stamp_ns``: pose in ``map``, motion in ``base_link``."""

    stamp_ns: int
    pose: Pose
    speed_mps: float  # signed, forward positive
    yaw_rate_rps: float = 0.0
    acceleration_mps2: float = 0.0  # along x
    lateral_mps: float = 0.0


@dataclass(frozen=True)
class NavigationGoal:
    """Where the route leads next: a point in ``base_link`` [2] and the command that holds there."""

    target_point: np.ndarray
    command: Command
