"""The camera's motion from frame to frame, and the way that its steps add up to."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from kd_planner_ros.evaluation.dense.measure import Baseline, Counts, Measure, mean
from kd_planner_ros.geometry.frames import matrix

SPEEDS, RATES = ("forward_mps", "left_mps", "up_mps"), ("roll_rate_rps", "pitch_rate_rps", "yaw_rate_rps")
"""Numbers of a Perception that give the camera's mean velocity since the frame before, along its axes then, and its turn since as axis
times angle over time, about the same axes (forward, left, up). Those that a network does not give count as 0."""
SNIPPET = 5
"""Frames of a snippet."""
STILL_M = 0.05
"""A shorter step has no direction."""
_CAR_OF_CAMERA = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])


@dataclass(frozen=True)
class Step:
    """The camera's motion between two frames: ``move`` [4, 4] from the camera now to the camera before."""

    recording: str
    before_ns: int
    now_ns: int
    move: np.ndarray


def move_of(numbers: Mapping[str, float], over_s: float) -> np.ndarray | None:
    """The motion [4, 4] that the ``numbers`` of a Perception give; None where one of them is unknown."""
    speeds, rates = (np.array([numbers.get(name, 0.0) for name in names]) for names in (SPEEDS, RATES))
    if not (np.isfinite(speeds).all() and np.isfinite(rates).all()):
        return None
    turn, _ = cv2.Rodrigues(_CAR_OF_CAMERA.T @ rates * over_s)
    return matrix(turn, _CAR_OF_CAMERA.T @ speeds * over_s)


class PoseMeasure(Measure):
    """Mean errors of single steps: ``rotation_deg``, ``translation_m`` and ``direction_deg`` (between the ways, where the camera moved).

    And of ways: ``ate_snippet_m``, the mean over snippets of five frames of the error that SfMLearner's evaluation defines (root of the
    summed squares over the number of frames, lengths scaled by least squares), ``ate_snippet_metric_m`` without scaling;
    ``ate_route_m``, the root mean square distance over whole unbroken runs after the best rigid motion, ``ate_route_scaled_m`` with the
    best scale too.
    """

    kind = "pose"

    def counts(self, found: np.ndarray | None, truth: Step) -> Counts:
        """``found`` [4, 4] as in ``Step``; None: the network is not ready."""
        return {"not_ready": 1} if found is None else {"frames": 1, "steps": [(truth, found)]}

    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """As the class says, with ``frames``, ``runs``, ``metres`` (of the runs) and ``left_out``."""
        steps = sums.get("steps", [])
        runs = list(_runs(steps))
        ways = [(_way([one.move for one, _ in run]), _way([move for _, move in run])) for run in runs]
        pairs = [pair for run in runs for pair in _snippets(run)]
        turns = [_angle(one.move[:3, :3].T @ move[:3, :3]) for one, move in steps]
        off = [float(np.linalg.norm(one.move[:3, 3] - move[:3, 3])) for one, move in steps]
        directions = [_between(one.move[:3, 3], move[:3, 3]) for one, move in steps if np.linalg.norm(one.move[:3, 3]) > STILL_M]
        return {"frames": int(sums.get("frames", 0)), "runs": len(ways), "metres": float(sum(_length(true) for true, _ in ways)),
                "left_out": {"not_ready": int(sums.get("not_ready", 0))}, "rotation_deg": mean(turns), "translation_m": mean(off),
                "direction_deg": mean(directions), "ate_snippet_m": mean([snippet_error(*pair) for pair in pairs]),
                "ate_snippet_metric_m": mean([snippet_error(*pair, scaled=False) for pair in pairs]),
                "ate_route_m": _pooled(ways, False), "ate_route_scaled_m": _pooled(ways, True)}

    def baselines(self) -> dict[str, Baseline]:
        """The camera stands; it goes on as it did in the step before."""
        return {"zero": Standing(), "constant_velocity": GoingOn()}

    def where_told(self, guess: np.ndarray, found: np.ndarray | None) -> np.ndarray | None:
        """None where ``found`` is."""
        return None if found is None else guess


def _runs(steps: Sequence[tuple[Step, np.ndarray]]) -> Iterator[list[tuple[Step, np.ndarray]]]:
    """Unbroken runs of steps, each of which begins where the one before ended."""
    run: list[tuple[Step, np.ndarray]] = []
    for one, move in steps:
        if run and (run[-1][0].recording, run[-1][0].now_ns) != (one.recording, one.before_ns):
            yield run
            run = []
        run.append((one, move))
    if run:
        yield run


def _way(moves: Sequence[np.ndarray]) -> np.ndarray:
    """Places [N + 1, 3] of the camera after each of N steps, in the axes of the first camera."""
    camera, out = np.eye(4), [np.zeros(3)]
    for move in moves:
        camera = camera @ move
        out.append(camera[:3, 3].copy())
    return np.array(out)


def _snippets(run: Sequence[tuple[Step, np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(true, found) places [SNIPPET, 3] of every SNIPPET frames in a row, in the axes of the first of them."""
    for first in range(len(run) - SNIPPET + 2):
        part = run[first:first + SNIPPET - 1]
        yield _way([one.move for one, _ in part]), _way([move for _, move in part])


def snippet_error(true: np.ndarray, found: np.ndarray, scaled: bool = True) -> float:
    """Root of the summed squared distances of two ways [N, 3] over N, after ``found`` was scaled by least squares."""
    scale = float((true * found).sum() / max((found * found).sum(), 1e-12)) if scaled else 1.0
    return float(np.sqrt(((scale * found - true) ** 2).sum()) / len(true))


def aligned(true: np.ndarray, found: np.ndarray, scaled: bool) -> np.ndarray:
    """``found`` [N, 3] after the rotation and shift, and with ``scaled`` the scale, that bring it nearest to ``true`` (Umeyama 1991)."""
    middle, own = true.mean(0), found.mean(0)
    u, values, vt = np.linalg.svd((true - middle).T @ (found - own) / len(true))
    signs = np.array([1.0, 1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt)) or 1.0])
    spread = ((found - own) ** 2).sum() / len(found)
    scale = float((values * signs).sum() / spread) if scaled and spread > 1e-12 else 1.0
    return scale * (found - own) @ ((u * signs) @ vt).T + middle


def _pooled(ways: Sequence[tuple[np.ndarray, np.ndarray]], scaled: bool) -> float | None:
    squares = [((aligned(true, found, scaled) - true) ** 2).sum(1) for true, found in ways]
    return math.sqrt(float(np.concatenate(squares).mean())) if squares else None


def _length(way: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(way, axis=0), axis=1).sum())


def _angle(turn: np.ndarray) -> float:
    """Angle of a rotation [3, 3] in degrees; exact for small ones."""
    skew = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]])
    return math.degrees(math.atan2(float(np.linalg.norm(skew)), float(np.trace(turn)) - 1.0))


def _between(one: np.ndarray, other: np.ndarray) -> float:
    """Angle between two vectors in degrees; 90 where one is zero."""
    if not np.linalg.norm(other):
        return 90.0
    return math.degrees(math.atan2(float(np.linalg.norm(np.cross(one, other))), float(one @ other)))


class Standing(Baseline):
    """The camera stands."""

    rule = "the camera does not move"

    def guess(self, truth: Step) -> np.ndarray:
        """The identity."""
        return np.eye(4)


class GoingOn(Baseline):
    """The true motion of the step before, for as long as this one."""

    rule = "the camera's true motion of the step before, at the same velocity"

    def __init__(self) -> None:
        self._last: Step | None = None

    def follow(self, truth: Step) -> None:
        """Remember a step."""
        self._last = truth

    def guess(self, truth: Step) -> np.ndarray:
        """The motion [4, 4]; the identity in a recording's first step."""
        last = self._last
        if last is None or last.recording != truth.recording or last.now_ns != truth.before_ns:
            return np.eye(4)
        share = (truth.now_ns - truth.before_ns) / (last.now_ns - last.before_ns)
        turn, _ = cv2.Rodrigues(cv2.Rodrigues(last.move[:3, :3])[0] * share)
        return matrix(turn, last.move[:3, 3] * share)
