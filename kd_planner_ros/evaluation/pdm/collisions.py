"""Collisions that are the car's own fault (NC), and those that are about to happen (TTC).

Source: navsim v2.2 and nuPlan. Where we differ: the speed of another is that of the instant, theirs that of its first one. Who touches the
car at the first instant counts, as in navsim; ``without_touching`` leaves such others out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from kd_planner_ros.evaluation.pdm.area import Areas
from kd_planner_ros.evaluation.pdm.motion import Motion
from kd_planner_ros.evaluation.pdm.scene import STEP_S, Others
from kd_planner_ros.geometry.boxes import overlap

STANDING_MPS = 0.05
"""At or below it a car, or another, counts as standing in a collision."""
STILL_MPS = 0.005
"""Below it nothing is about to happen."""
AHEAD_RAD, BEHIND_RAD = math.radians(30.0), math.radians(150.0)
PROJECTED_STEPS = (0, 3, 6, 9)
STATIC_SCORE = 0.5


def no_fault_collision(motion: Motion, others: Others, areas: Areas) -> float:
    """NC: 1 without a collision that is the car's fault, 0.5 with one with a static object, 0 with one with a road user.

    It is the car's fault where it moves and hits what stands, or hits with its front bumper, or with its side while it is astride two
    lanes or off the road. Who was hit without fault does not count any more.
    """
    boxes, score, ignored = motion.boxes, 1.0, set[int]()
    bumpers = _front_bumpers(boxes)
    for step, row in np.argwhere(_touching(boxes, others.boxes)):
        if row in ignored:
            continue
        other = others.boxes[step, row]
        if _at_fault(motion, int(step), other, float(others.speeds[step, row]), bumpers, areas):
            score = min(score, STATIC_SCORE if others.static[row] else 0.0)
        else:
            ignored.add(int(row))
    return score


def _at_fault(motion: Motion, step: int, other: np.ndarray, speed_mps: float, bumpers: np.ndarray, areas: Areas) -> bool:
    if abs(motion.speeds[step]) <= STANDING_MPS:
        return False
    if speed_mps <= STANDING_MPS:
        return True
    if _bearing(motion, step, other) > BEHIND_RAD:
        return False
    return bool(overlap(bumpers[step], other)) or bool(areas.astride[step] or areas.off_road[step])


def time_to_collision(motion: Motion, others: Others, areas: Areas) -> float:
    """TTC: 0 where the car, if it went on straight at its speed, would touch another within 0.9 s, else 1.

    Looked at are 0, 0.3, 0.6 and 0.9 s after every instant that has so much future. Only another ahead (within 30 degrees) counts, and
    where the car is astride two lanes, off the road or in a junction everyone who is not behind.
    """
    ignored: set[int] = set()
    free = areas.astride | areas.off_road | areas.rear_in_junction
    for step, row, other in _upcoming(motion, others):
        if row in ignored or abs(motion.speeds[step]) < STILL_MPS:
            continue
        bearing = _bearing(motion, step, other)
        if bearing < AHEAD_RAD or (free[step] and bearing <= BEHIND_RAD):
            return 0.0
        ignored.add(row)
    return 1.0


def without_touching(others: Others, box: np.ndarray) -> Others:
    """``others`` without those that touch ``box`` [5], the car, at the first instant."""
    kept = ~_touching(box[None], others.boxes[:1])[0]
    return Others(others.boxes[:, kept], others.speeds[:, kept], others.static[kept])


def _upcoming(motion: Motion, others: Others) -> Iterator[tuple[int, int, np.ndarray]]:
    """(step, row of the other, its box then) of every projected contact, in the order of time."""
    last = len(motion.poses) - 1 - max(PROJECTED_STEPS)
    if last < 0:
        return
    way = np.abs(motion.speeds[:last + 1, None]) * np.stack([np.cos(motion.poses[:last + 1, 2]), np.sin(motion.poses[:last + 1, 2])], 1)
    hits = []
    for ahead in PROJECTED_STEPS:
        boxes = motion.boxes[:last + 1].copy()
        boxes[:, :2] += way * ahead * STEP_S
        hits.append(_touching(boxes, others.boxes[ahead:ahead + last + 1]))
    for step, number, row in np.argwhere(np.stack(hits, axis=1)):
        yield int(step), int(row), others.boxes[step + PROJECTED_STEPS[number], row]


def _touching(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether ``boxes`` [T, 5] touch each of ``others`` [T, N, 5] at the same instant, bool [T, N]; who is absent touches nobody."""
    return overlap(boxes[:, None], others) & np.isfinite(others[..., 0])


def _front_bumpers(boxes: np.ndarray) -> np.ndarray:
    """The front edges of ``boxes`` [T, 5], as boxes without length."""
    half = boxes[:, 3] / 2.0
    front = boxes.copy()
    front[:, 0] += half * np.cos(boxes[:, 2])
    front[:, 1] += half * np.sin(boxes[:, 2])
    front[:, 3] = 0.0
    return front


def _bearing(motion: Motion, step: int, other: np.ndarray) -> float:
    """The angle in [0, pi] between the car's heading and the way from its rear axle to the centre of ``other``."""
    way = other[:2] - motion.rear_axles[step]
    turn = math.atan2(way[1], way[0]) - motion.poses[step, 2]
    return abs(math.remainder(turn, 2.0 * math.pi))
