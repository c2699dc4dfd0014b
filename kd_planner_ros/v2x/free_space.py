"""How far a car itself sees free ground: what a reported object in the middle of it is measured against."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.geometry.frames import rotation_3d, wrap_angle

REACH_M = 30.0
"""Farther away a LiDAR that drops every other point may miss a walker."""
GROUND_M, ROOF_M = 0.3, 2.5
OWN_LENGTH_M, OWN_WIDTH_M = 5.5, 2.7
"""Points in this box around the car's centre are its own body."""


@dataclass(frozen=True)
class FreeSpace:
    """How far the car itself sees free ground: ``ranges_m`` [K] at equally spaced bearings from (x, y), counter-clockwise from the map's x
    axis; 0 where it sees nothing."""

    stamp_ns: int
    x: float
    y: float
    ranges_m: np.ndarray

    def holds(self, centres: np.ndarray, radii_m: np.ndarray) -> np.ndarray:
        """Whether each disc around ``centres`` [N, 2] in ``map`` with ``radii_m`` [N] lies wholly in free space: bool [N]. A disc that the
        car stands in does not."""
        away = np.asarray(centres, float) - (self.x, self.y)
        distance = np.hypot(away[:, 0], away[:, 1])
        count = len(self.ranges_m)
        bearings = (np.arange(count) + 0.5) * (2.0 * math.pi / count)
        off = np.abs(wrap_angle(bearings - np.arctan2(away[:, 1], away[:, 0])[:, None]))
        beyond = distance > radii_m
        half = np.arcsin(np.divide(radii_m, distance, out=np.ones(len(distance)), where=beyond)) + math.pi / count
        clear = (self.ranges_m > (distance + radii_m)[:, None]) | (off > half[:, None])
        return beyond & clear.all(axis=1)


def free_space(cloud: np.ndarray, ego: EgoState, mount: Pose = Pose(), sectors: int = 360) -> FreeSpace:
    """Free space out of a LiDAR's points [N, 3 or more] in the frame of the sensor at ``mount`` in ``base_link``, taken at ``ego``.

    In each sector it reaches to the nearest point above or below the ground, else to the farthest point of the ground, and at most
    ``REACH_M``: what a LiDAR saw too little of is not free. Nothing is free where more points lie below the ground than on it: the LiDAR
    then stands elsewhere than ``mount`` says, and a wall at its own height passes for the ground.
    """
    points = cloud[np.isfinite(cloud[:, :3]).all(1), :3] @ rotation_3d(mount).T + (mount.x, mount.y, mount.z)
    points = points[(np.abs(points[:, 0]) > OWN_LENGTH_M / 2.0) | (np.abs(points[:, 1]) > OWN_WIDTH_M / 2.0)]
    away = np.hypot(points[:, 0], points[:, 1])
    sector = np.floor((np.arctan2(points[:, 1], points[:, 0]) + ego.pose.yaw) / (2.0 * math.pi) * sectors).astype(int) % sectors
    flat, below = np.abs(points[:, 2]) <= GROUND_M, points[:, 2] < -GROUND_M
    ends = below | (points[:, 2] > GROUND_M) & (points[:, 2] < ROOF_M)
    nearest, farthest = np.full(sectors, REACH_M), np.zeros(sectors)
    if below.sum() <= flat.sum():
        np.minimum.at(nearest, sector[ends], away[ends])
        np.maximum.at(farthest, sector[flat], away[flat])
    return FreeSpace(ego.stamp_ns, ego.pose.x, ego.pose.y, np.minimum(nearest, farthest))
