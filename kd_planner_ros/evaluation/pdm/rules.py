"""Rules of the road: drivable area (DAC), driving direction (DDC), traffic lights (TLC), lane keeping (LK), progress (EP).

Source: navsim v2.2 and nuPlan. Where we differ: a light is run where the front bumper crosses the stop line while it is red, theirs where
the car touches a lane behind a red light; the line that is kept to is the route's, theirs the one that PDM-Closed found.
"""

from __future__ import annotations

import numpy as np

from kd_planner_ros.evaluation.pdm.area import Areas
from kd_planner_ros.evaluation.pdm.motion import Motion
from kd_planner_ros.evaluation.pdm.scene import STEP_S, Lights
from kd_planner_ros.geometry.boxes import segments_cross
from kd_planner_ros.geometry.polyline import project
from kd_planner_ros.world.ego_body import EGO_LENGTH_M

WRONG_WAY_S, WRONG_WAY_M, WRONG_WAY_FAR_M = 1.0, 2.0, 6.0
ASIDE_M, ASIDE_S = 0.5, 2.0
LITTLE_PROGRESS_M = 5.0


def drivable_area(areas: Areas) -> float:
    """DAC: 1 where all four corners are on the road at every instant, else 0."""
    return float(not areas.off_road.any())


def driving_direction(motion: Motion, areas: Areas) -> float:
    """DDC: 1 where the car drives less than 2 m outside the lanes of its direction within any second, 0.5 below 6 m, else 0."""
    way = np.append(0.0, np.hypot(*np.diff(motion.poses[:, :2], axis=0).T))
    way = np.where(areas.oncoming, way, 0.0)
    window = round(WRONG_WAY_S / STEP_S)
    most = max(way[max(0, step - window):step + 1].sum() for step in range(len(way)))
    return 1.0 if most < WRONG_WAY_M else 0.5 if most < WRONG_WAY_FAR_M else 0.0


def traffic_lights(motion: Motion, lights: Lights) -> float:
    """TLC: 0 where the front bumper crosses the stop line of a red light in the direction of travel, else 1."""
    if not len(lights.lines):
        return 1.0
    yaws = motion.poses[:, 2]
    fronts = motion.poses[:, :2] + EGO_LENGTH_M / 2.0 * np.stack([np.cos(yaws), np.sin(yaws)], axis=1)
    crossed = segments_cross(fronts[:-1, None], fronts[1:, None], lights.lines[None, :, 0], lights.lines[None, :, 1])
    moved = np.diff(fronts, axis=0)
    onward = moved[:, :1] * np.cos(lights.yaws) + moved[:, 1:] * np.sin(lights.yaws) > 0.0
    return float(not (crossed & onward & lights.red[:-1]).any())


def lane_keeping(motion: Motion, areas: Areas, route: np.ndarray) -> float:
    """LK: 0 where the centre is more than 0.5 m beside the route's line for 2 s without a break, else 1. Instants in a junction are
    passed over."""
    beside = np.abs(project(motion.poses[:, :2], route).offset_m) > ASIDE_M
    needed, count = round(ASIDE_S / STEP_S), 0
    for aside in beside[~areas.centre_in_junction]:
        count = count + 1 if aside else 0
        if count >= needed:
            return 0.0
    return 1.0


def progress_m(motion: Motion, route: np.ndarray) -> float:
    """How far the centre gets along the route's line, metres; not below 0."""
    arc = project(motion.poses[[0, -1], :2], route).arc_m
    return max(float(arc[1] - arc[0]), 0.0)


def ego_progress(own_m: float, own_factor: float, driver_m: float, driver_factor: float) -> float:
    """EP of navsim v2.2: the progress over the larger of the driver's and one's own, each first multiplied by the product of its
    multipliers; in [0, 1]. 1 where that is at most 5 m."""
    most = max(own_m * own_factor, driver_m * driver_factor)
    return min(max(own_m / most, 0.0), 1.0) if most > LITTLE_PROGRESS_M else 1.0


def ego_progress_v1(own_m: float, own_factor: float, driver_m: float, driver_factor: float) -> float:
    """EP of navsim v1: as ``ego_progress``, but one's own is multiplied too; 1, or 0 with a multiplier of 0, where that is at most 5 m."""
    most = max(own_m * own_factor, driver_m * driver_factor)
    return own_m * own_factor / most if most > LITTLE_PROGRESS_M else float(own_factor > 0.0)
