"""InterFuser's training targets, made from the ground truth of recordings. Pure functions on records and arrays; no torch.

Source: InterFuser's data set code (``interfuser/timm/data/carla_dataset.py``). The actors are ``/truth/objects`` (ACTOR_DTYPE),
the lights ``/truth/signals`` (SIGNAL_DTYPE), junction and stop sign the named states of ``/truth/state``, the way
points the recorded dense plan; none of it but the plan is known to the student when it drives.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ActorKind, LightState
from kd_planner_ros.driving.route_planner import RoutePlanner
from kd_planner_ros.geometry.boxes import segments_cross
from kd_planner_ros.geometry.frames import from_base, to_base
from kd_planner_ros.networks.interfuser.config import MAP_AHEAD_M, MAP_CELLS, MAP_CHANNELS, WAYPOINTS

PIXELS_PER_M = 5
COVERED_SHARE = 0.05
ACTOR_RANGE_M = 50.0
SMALL_HALF_LENGTH_M, SMALL_ENLARGED = 1.5, 1.5
SCALES = np.array([1.0, 3.5, 3.5, 2.0 * math.pi, 3.5, 2.0, 8.0])
"""A channel of the traffic map times its scale: probability, metres, metres, radians, metres, metres, metres a second."""
RED_REACH_M, HALF_LENGTH_M, PAST_LINE_M = 8.0, 2.45, 1.0
UNKNOWN = -1
"""Class of a rule that was not recorded; the loss leaves it out."""


@dataclass(frozen=True)
class Targets:
    """One sample's targets, as ``InterFuserProcessor.targets`` takes a batch of them: ``path`` [10, 2] metres,
    ``base_link``, NaN = past the plan's end; ``traffic`` float32 [400, 7]; ``rules`` int64 [3] classes, -1 = unknown."""

    path: np.ndarray
    traffic: np.ndarray
    rules: np.ndarray


def sample_targets(path_base: np.ndarray, ego: Pose, actors: np.ndarray | None, signals: np.ndarray | None,
                   states: Mapping[str, float]) -> Targets:
    """All targets of one instant of a recording.

    With a ``Sample`` of ``bags/reader.py`` at row r of its timeline: ``sample_targets(path_targets(recording.route,
    timeline.ego.values[:, [0, 1, 3]])[r], sample.frame.ego.pose, sample.truth.actors, sample.truth.signals,
    sample.truth.states)``. Without signals or states the heads concerned are not taught.

    Raises:
        BagError: no actor table, without which there is no traffic map.
    """
    if actors is None:
        raise BagError("/truth/objects in the recording", "no such topic",
                       "record the topic: InterFuser's traffic map is trained on it")
    red = math.nan if signals is None else float(red_ahead(signals, path_base, ego))
    rules = rule_classes(states.get("junction", math.nan), red, states.get("stop_sign", math.nan))
    return Targets(np.asarray(path_base, float), traffic_map(actors, ego), rules)


def path_targets(route: Route, poses: np.ndarray) -> np.ndarray:
    """The next 10 points [M, 10, 2] of the dense plan at each of ``poses`` [M, 3] (x, y, yaw in ``map``, in the order
    driven, best every tick): metres, ``base_link``, about 1 m apart and beginning 3 to 4 m ahead; NaN past its end."""
    planner = RoutePlanner(route, dense=True)
    out = np.full((len(poses), WAYPOINTS, 2), np.nan)
    for row, (x, y, yaw) in enumerate(np.asarray(poses, float).tolist()):
        ego = Pose(x=x, y=y, yaw=yaw)
        planner.step(EgoState(0, ego, 0.0))
        points = to_base(planner.ahead(WAYPOINTS), ego)
        out[row, :len(points)] = points
    return out


def cell_centres() -> np.ndarray:
    """Centres [20, 20, 2] of the traffic map's cells in ``base_link``: cell (i, j) lies 17.5 - i m ahead and
    9.5 - j m to the left."""
    ahead = MAP_AHEAD_M - 0.5 - np.arange(MAP_CELLS)
    left = MAP_CELLS / 2.0 - 0.5 - np.arange(MAP_CELLS)
    return np.stack(np.broadcast_arrays(ahead[:, None], left[None]), axis=-1)


def traffic_map(actors: np.ndarray, ego: Pose) -> np.ndarray:
    """The map [400, 7] float32 of ``actors`` (ACTOR_DTYPE [N]) around ``ego``, scaled as the network gives it.

    A cell is filled if a road user's box covers 5 % of it (small boxes count half as large again), and then with the
    road user whose centre is nearest to the cell's. Cells are in row order, as in ``cell_centres``. The channels are
    sqrt(0.5 / max(0.5, distance)), that one's offset from the cell's centre to the RIGHT and forward / 3.5 m (which may
    be negative, though the network's sigmoid cannot), heading / (2 pi) as an angle of frame P (0.75 = as the car), half
    length / 3.5 m, half width / 2 m, speed / 8 m/s.
    """
    out = np.zeros((MAP_CELLS, MAP_CELLS, MAP_CHANNELS), np.float32)
    centres = to_base(np.stack([actors["x"], actors["y"]], axis=-1).astype(float), ego).reshape(-1, 2)
    counts = (np.hypot(centres[:, 0], centres[:, 1]) <= ACTOR_RANGE_M) & (actors["kind"] != ActorKind.STATIC)
    actors, centres = actors[counts], centres[counts]
    if not len(actors):
        return out.reshape(-1, MAP_CHANNELS)
    turns = actors["yaw"].astype(float) - ego.yaw
    covered = _coverage(centres, turns, actors["length"] / 2.0, actors["width"] / 2.0) >= COVERED_SHARE
    cells = cell_centres()[covered]
    offsets = centres[None] - cells[:, None]
    nearest = np.hypot(offsets[..., 0], offsets[..., 1]).argmin(axis=1)
    offset, actor = offsets[np.arange(len(cells)), nearest], actors[nearest]
    distance = np.hypot(offset[:, 0], offset[:, 1])
    values = np.stack([
        np.sqrt(0.5 / np.maximum(0.5, distance)), -offset[:, 1], offset[:, 0],
        (1.5 * math.pi - turns[nearest]) % (2.0 * math.pi), actor["length"] / 2.0, actor["width"] / 2.0,
        np.hypot(actor["vx"], actor["vy"])], axis=1)
    out[covered] = values / SCALES
    return out.reshape(-1, MAP_CHANNELS)


def _coverage(centres: np.ndarray, turns: np.ndarray, half_length: np.ndarray, half_width: np.ndarray) -> np.ndarray:
    """Share [20, 20] of every cell that any of the boxes covers, sampled at 5 x 5 points."""
    side = MAP_CELLS * PIXELS_PER_M
    ahead = MAP_AHEAD_M - (np.arange(side) + 0.5) / PIXELS_PER_M
    left = MAP_CELLS / 2.0 - (np.arange(side) + 0.5) / PIXELS_PER_M
    grow = np.where(half_length < SMALL_HALF_LENGTH_M, SMALL_ENLARGED, 1.0)
    hit = np.zeros((side, side), bool)
    for (x, y), turn, long, wide in zip(centres, turns, half_length * grow, half_width * grow, strict=True):
        dx, dy = ahead[:, None] - x, left[None] - y
        c, s = math.cos(turn), math.sin(turn)
        hit |= (np.abs(dx * c + dy * s) <= long) & (np.abs(dy * c - dx * s) <= wide)
    return hit.reshape(MAP_CELLS, PIXELS_PER_M, MAP_CELLS, PIXELS_PER_M).mean(axis=(1, 3))


def red_ahead(signals: np.ndarray, path_base: np.ndarray, ego: Pose) -> bool:
    """Whether a red or yellow light holds the car: its stop line crosses the way, and lies at most 8 m before the car's
    centre and not more than 1 m behind its front.

    Args:
        signals: SIGNAL_DTYPE [S].
        path_base: [K, 2] the way ahead in ``base_link`` (``path_targets``); rows of NaN are left out.
    """
    shown = signals[np.isin(signals["state"], (LightState.RED, LightState.YELLOW))]
    known = np.asarray(path_base, float)
    known = known[np.isfinite(known).all(-1)]
    if not len(shown) or not len(known):
        return False
    way = from_base(np.concatenate([[[HALF_LENGTH_M - PAST_LINE_M, 0.0]], known[known[:, 0] > HALF_LENGTH_M]]), ego)
    arc = HALF_LENGTH_M - PAST_LINE_M + np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(way, axis=0).T))])
    way = _cut(way, arc, RED_REACH_M)
    ends = (np.stack([shown["stop_x0"], shown["stop_y0"]], -1), np.stack([shown["stop_x1"], shown["stop_y1"]], -1))
    return bool(segments_cross(way[:-1, None], way[1:, None], ends[0][None], ends[1][None]).any())


def _cut(way: np.ndarray, arc: np.ndarray, end: float) -> np.ndarray:
    """The part of polyline ``way`` [K, 2] up to arc length ``end``."""
    inside = arc < end
    last = [[np.interp(end, arc, way[:, 0]), np.interp(end, arc, way[:, 1])]]
    return np.concatenate([way[inside], last])


def rule_classes(junction: float, red: float, stop_sign: float) -> np.ndarray:
    """Classes int64 [3] of the junction, light and stop heads; NaN = not recorded, hence UNKNOWN.

    Junction 1 where the car is in one; light 0 where a red one holds it, else 1; stop 1 where a stop sign does. The
    controller reads the probability of class 0 of each.
    """
    values = (junction, 1.0 - red, stop_sign)
    return np.array([UNKNOWN if math.isnan(value) else int(value > 0.5) for value in values], np.int64)
