"""Where and when road users get in the car's way: what a planner would otherwise have to learn from places, speeds and headings."""

from __future__ import annotations

import math

import numpy as np

REACH_M, STEP_M = 45.0, 1.0
"""How far along the car's way is looked, and in which steps; a step is one number of the prompt."""
FRONT_M = 2.5
"""Who gets into the way nearer to the car's middle than this follows it, or runs into its side: no plan of the car's speed avoids him."""
WINDOW_S, STEP_S = 6.0, 0.25
"""How far ahead in time is looked, and in which steps; a step is one number of the prompt."""
IN_LANE_M = 0.8
"""A target less far aside is that of a car beside the middle of its lane: the way is straight. A circle through a target 4 m ahead and
0.6 m aside would lead to the next lane within 30 m."""
IN_THE_WAY_M = 2.0
"""A road user whose middle is no further than this from the way is in it: half a car's width, and what the other one needs."""


def way_to(target: np.ndarray) -> np.ndarray:
    """The way [N, 2] in metres of ``base_link``, a point every ``STEP_M``: the circle that leaves the car straight ahead and goes through
    ``target`` [2], and straight on from there; straight ahead for a target less than ``IN_LANE_M`` aside. A target beside or behind the
    car bends the way by a quarter of a turn at most."""
    x, y = max(float(target[0]), abs(float(target[1]))), float(target[1])
    along = np.arange(0.0, REACH_M + STEP_M / 2.0, STEP_M)
    if abs(y) < IN_LANE_M:
        return np.stack([along, np.zeros_like(along)], axis=-1)
    turn = 2.0 * math.atan2(y, x)
    bend = 2.0 * math.sin(turn / 2.0) / math.hypot(x, y)
    angle = np.clip(along * bend, -abs(turn), abs(turn))
    beyond = along - angle / bend
    return np.stack([np.sin(angle) / bend + beyond * math.cos(turn), (1.0 - np.cos(angle)) / bend + beyond * math.sin(turn)], axis=-1)


def beside_way(places: np.ndarray, target: np.ndarray) -> np.ndarray:
    """How far along the car's way the nearest point of it to each of ``places`` [M, 2] is, and how far beside it the place is, to the left
    positive [M, 2]: metres, ``base_link``."""
    way = way_to(target)
    at = ((places[:, None] - way) ** 2).sum(-1).argmin(1)
    forward = np.gradient(way, axis=0)[at]
    offset = places - way[at]
    across = forward[:, 0] * offset[:, 1] - forward[:, 1] * offset[:, 0]
    return np.stack([at * STEP_M, np.copysign(np.hypot(*offset.T), across)], axis=-1)


def meetings(objects: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Where along the car's way each road user is first in it [M, 2]: metres from the car, and seconds from now, if it keeps its speed and
    heading; NaN where that is not between ``FRONT_M`` and ``REACH_M``, within ``WINDOW_S``. How fast the car drives plays no part.

    Args:
        objects: [M, 5], as ``prompt.station_objects`` gives them.
        target: the route's target point [2], ``base_link``.
    """
    times = np.arange(0.0, WINDOW_S + STEP_S / 2.0, STEP_S)
    found, way = np.full((len(objects), 2), np.nan), way_to(target)
    if not len(objects):
        return found
    _, x, y, speed, heading = np.asarray(objects, float).T
    motion = np.stack([speed * np.cos(heading), speed * np.sin(heading)], axis=-1)
    places = np.stack([x, y], axis=-1)[:, None] + motion[:, None] * times[:, None]
    away_sq = ((places[:, :, None] - way) ** 2).sum(-1)
    inside = away_sq.min(2) <= IN_THE_WAY_M**2
    first = inside.argmax(1)
    along_m = away_sq[np.arange(len(objects)), first].argmin(1) * STEP_M
    meets = inside.any(1) & (along_m >= FRONT_M)
    found[meets] = np.stack([along_m, times[first]], axis=-1)[meets]
    return found


def most_urgent_first(met: np.ndarray) -> np.ndarray:
    """The order [M] of road users by when they meet the way (``meetings`` [M, 2]), and of equal times the nearest one first; those that do
    not meet it come last, in the order that they have."""
    return np.lexsort((np.nan_to_num(met[:, 0], nan=np.inf), np.nan_to_num(met[:, 1], nan=np.inf)))
