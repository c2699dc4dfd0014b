"""Signal heads, their masts and stop signs."""

from __future__ import annotations

from functools import cache

import numpy as np

from kd_planner_ros.core.road import RoadMap, SignalSite
from kd_planner_ros.world.render import materials as mat
from kd_planner_ros.world.render.ground import Ground
from kd_planner_ros.world.render.meshes import Mesh, box, cylinder, join
from kd_planner_ros.world.render.parts import Part

HEAD_M, LAMP_RADIUS_M, LAMP_STEP_M = (0.34, 0.44, 1.16), 0.155, 0.35
REPEAT_BEYOND_M, REPEAT_HEIGHT_M = 20.0, 2.75
_PAVED = (mat.G_ASPHALT, mat.G_WHITE, mat.G_YELLOW)
_LAMPS = ((0, LAMP_STEP_M), (1, 0.0), (2, -LAMP_STEP_M))  # LightState, height above the head's centre


@cache
def _housing() -> Mesh:
    """A dark case with visors, its front at x = 0, facing +x."""
    visors = [box((0.09, 0, z + LAMP_RADIUS_M + 0.01), (0.18, 0.33, 0.02), mat.M_HOUSING) for _, z in _LAMPS]
    return join([box((-HEAD_M[0] / 2, 0, 0), HEAD_M, mat.M_HOUSING), *visors])


@cache
def _lens() -> Mesh:
    return cylinder((0.0, 0, 0.0), (0.02, 0, 0.0), LAMP_RADIUS_M, mat.M_LAMP, 10)


def head_parts(position: np.ndarray, yaw: float, row: int) -> list[Part]:
    """A head at ``position`` [3] that faces ``yaw``: housing, visors and three lamps that know their row."""
    parts = [Part(_housing().moved(position, yaw), mat.TAG_TRAFFIC_LIGHT, (28, 30, 28))]
    return parts + [Part(_lens().moved(position + np.array([0.0, 0.0, z]), yaw), mat.TAG_TRAFFIC_LIGHT, (40, 40, 40),
                         signal=row, lamp=state) for state, z in _LAMPS]


def lamp_centres(position: np.ndarray, yaw: float) -> np.ndarray:
    """Lens centres [3, 3] of a head in the order of LightState: where a glow is drawn."""
    ahead = np.array([np.cos(yaw), np.sin(yaw), 0.0]) * 0.03
    return np.array([position + ahead + [0.0, 0.0, z] for _, z in _LAMPS])


def heads(road: RoadMap, ground: Ground) -> list[tuple[np.ndarray, float, int]]:
    """Every head as (position [3], yaw, row): the site itself, and one beside a stop line that is far before it."""
    found = []
    for row, site in enumerate(road.signals):
        found.append((np.asarray(site.position, float), float(site.yaw), row))
        if np.linalg.norm(site.position[:2] - site.stop_line.mean(0)) > REPEAT_BEYOND_M:
            found.append((_repeat_spot(road, site, ground), float(site.yaw), row))
    return found


def _repeat_spot(road: RoadMap, site: SignalSite, ground: Ground) -> np.ndarray:
    """Beside the stop line, on the kerb; heads of several lanes stand side by side, the rightmost lane's outside."""
    right = site.stop_line[0] - site.stop_line[1]
    right = right / max(float(np.linalg.norm(right)), 1e-9)
    pole = _kerb(ground, site.stop_line[0], right, 14.0)
    slot = road.lanes[site.lane].index
    return np.array([*(pole - right * 0.55 * slot), REPEAT_HEIGHT_M])


def _kerb(ground: Ground, start: np.ndarray, direction: np.ndarray, limit_m: float) -> np.ndarray:
    """First point off the carriageway from ``start`` along ``direction``, 0.6 m behind its edge; else ``limit_m`` away."""
    steps = np.arange(0.0, limit_m, 0.25)
    points = start + steps[:, None] * direction
    free = np.flatnonzero(~np.isin(ground.at(points), _PAVED))
    return start + direction * (steps[free[0]] + 0.6 if len(free) else limit_m)


def signal_parts(road: RoadMap, ground: Ground) -> list[Part]:
    """Heads with masts and arms, and stop signs."""
    parts: list[Part] = []
    for position, yaw, row in heads(road, ground):
        parts += head_parts(position, yaw, row)
        right = np.array([-np.sin(yaw), np.cos(yaw)])  # of the traffic it faces
        parts.append(Part(_mast(position, yaw, right, ground), mat.TAG_POLE, (96, 98, 100)))
    for site in road.stops:
        parts += _stop_sign(site.position, float(site.yaw))
    return parts


def _mast(position: np.ndarray, yaw: float, right: np.ndarray, ground: Ground) -> Mesh:
    back = position - np.array([np.cos(yaw), np.sin(yaw), 0.0]) * (HEAD_M[0] + 0.08)
    if position[2] < REPEAT_HEIGHT_M + 0.5:
        return cylinder((back[0], back[1], 0.0), (back[0], back[1], position[2] + 0.55), 0.06, mat.M_METAL)
    foot = min((_kerb(ground, position[:2], right * sign, 22.0) for sign in (1.0, -1.0)),
               key=lambda spot: float(np.linalg.norm(spot - position[:2])))
    foot = foot + (back - position)[:2]
    top = position[2] + 0.35
    return join([cylinder((*foot, 0.0), (*foot, top + 0.3), 0.11, mat.M_METAL),
                 cylinder((*foot, top), (back[0], back[1], top), 0.07, mat.M_METAL),
                 cylinder((back[0], back[1], top - 0.3), (back[0], back[1], top + 0.05), 0.05, mat.M_METAL, 6)])


def _stop_sign(at: np.ndarray, yaw: float) -> list[Part]:
    plate = cylinder((0.05, 0, 2.2), (0.08, 0, 2.2), 0.40, mat.M_STOP_SIGN, 8)
    pole = cylinder((0, 0, 0), (0, 0, 2.45), 0.04, mat.M_METAL, 6)
    where = (float(at[0]), float(at[1]), 0.0)
    return [Part(plate.moved(where, yaw), mat.TAG_SIGN, (176, 22, 26), anchor=(float(at[0]), float(at[1]), 2.2)),
            Part(pole.moved(where, yaw), mat.TAG_POLE, (140, 142, 144))]
