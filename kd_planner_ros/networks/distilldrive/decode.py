"""The student's and the teacher's answers as a Plan: candidates with scores, road users with forecasts, map lines. numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import Command, NavigationGoal
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections, LineKind, MapLines
from kd_planner_ros.core.records import Frame, Plan, Trajectory
from kd_planner_ros.geometry.boxes import overlap
from kd_planner_ros.networks.distilldrive.config import (
    COMMANDS,
    FORWARD_SPEED,
    KINDS,
    LIKELIEST,
    LINES,
    MODES,
    SIGNALS,
    STEP_S,
    SceneConfig,
)

SHOWN = 0.3
"""Road users and lines below this confidence are not reported."""
GROWN = 1.1
"""The car's box is so much larger where a candidate is tested for collisions."""
STANDING_M, STILL_M = 0.5, 0.1
"""A way shorter than the first, and a step shorter than the second, say nothing of the heading."""
ASIDE_M, ASIDE_RAD = 2.0, np.radians(10.0)
"""A target point at least so far aside, and at least so far off the car's heading, is a turn (nuScenes' 2 m; a lane's bend is less)."""
AHEAD_S, NEAR_M = 3.0, 10.0
"""A target point counts once the car reaches it within so many seconds, or within so many metres."""
_RIGHT, _LEFT, _STRAIGHT = range(len(COMMANDS))
_OF_COMMAND = {Command.RIGHT: _RIGHT, Command.CHANGE_LANE_RIGHT: _RIGHT, Command.LEFT: _LEFT, Command.CHANGE_LANE_LEFT: _LEFT,
               Command.STRAIGHT: _STRAIGHT, Command.LANE_FOLLOW: _STRAIGHT}


def command_rows(targets: np.ndarray, commands: np.ndarray, speeds: np.ndarray) -> np.ndarray:
    """Index [B] in ``COMMANDS`` of where the route leads in the next seconds: the side of the target point, or, while it lies straight on
    and is reached within ``AHEAD_S``, the side that its route command names; straight on where nothing is known.

    A route command belongs to its point alone: it says LEFT up to the point where a turn begins, and follows the lane from there on, so
    within the turn the geometry speaks. Source: the rule of nuScenes' converters, the lateral place 3 s ahead, on the route.

    Args:
        targets: next points of the route [B, 2] in ``base_link``, metres. commands: of these points [B]. speeds: m/s [B].
    """
    points = np.asarray(targets, float).reshape(-1, 2)
    away, bearing = np.hypot(points[:, 0], points[:, 1]), np.arctan2(points[:, 1], points[:, 0])
    table = np.full(256, _STRAIGHT)
    for command, row in _OF_COMMAND.items():
        table[int(command)] = row
    near = away <= np.maximum(AHEAD_S * np.asarray(speeds, float), NEAR_M)
    named = np.where(near, table[np.asarray(commands).astype(np.int64) % 256], _STRAIGHT)
    aside = (np.abs(points[:, 1]) >= ASIDE_M) & (np.abs(bearing) >= ASIDE_RAD) & (np.asarray(commands) != int(Command.VOID))
    return np.where(aside, np.where(points[:, 1] > 0.0, _LEFT, _RIGHT), named)


def command_of(frame: Frame) -> tuple[int, bool]:
    """(index in ``COMMANDS``, whether the route gave it)."""
    goal = frame.goal
    if goal is None or goal.command == Command.VOID:
        return _STRAIGHT, False
    return int(command_rows(goal.target_point[None], np.array([int(goal.command)]), np.array([frame.ego.speed_mps]))[0]), True


@dataclass(frozen=True)
class Scene:
    """One instant's answers: ``boxes`` [N, 10], ``kinds`` [N], ``confidence`` [N], ``ids`` [N], ``forecasts`` [N, 6, T, 2] places,
    ``chances`` [N, 6]; ``lines`` [L, P, 2], ``line_kinds`` [L] (index of the network's classes), ``line_scores`` [L]."""

    boxes: np.ndarray
    kinds: np.ndarray
    confidence: np.ndarray
    ids: np.ndarray
    forecasts: np.ndarray
    chances: np.ndarray
    lines: np.ndarray
    line_kinds: np.ndarray
    line_scores: np.ndarray


def softmax(logits: np.ndarray) -> np.ndarray:
    """Along the last axis."""
    raised = np.exp(logits - logits.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def headings(places: np.ndarray, start: np.ndarray | None = None, yaw: np.ndarray | float = 0.0) -> np.ndarray:
    """Heading [..., T] of who begins at ``start`` [..., 2] (the origin), looking to ``yaw`` [...], and goes through ``places`` [..., T, 2]:
    central differences. Who stands goes on looking as before; on a short way that is ``yaw``."""
    first = np.zeros_like(places[..., 0, :]) if start is None else start
    way = np.concatenate([first[..., None, :], places], -2)
    chord = np.concatenate([way[..., 2:, :] - way[..., :-2, :], way[..., -1:, :] - way[..., -2:-1, :]], -2)
    moves = np.linalg.norm(way[..., -1, :] - first, axis=-1) >= STANDING_M
    sure = moves[..., None] & (np.linalg.norm(chord, axis=-1) > STILL_M)
    last = np.maximum.accumulate(np.where(sure, np.arange(places.shape[-2]), -1), -1)
    turned = np.take_along_axis(np.arctan2(chord[..., 1], chord[..., 0]), np.maximum(last, 0), -1)
    return np.where(last >= 0, turned, np.asarray(yaw, float)[..., None])


def collides(candidates: np.ndarray, scene: Scene, config: SceneConfig, least: float) -> np.ndarray:
    """Which of ``candidates`` [K, T, 2] meet the likeliest future of a road user of confidence ``least`` or more: bool [K]."""
    asked = scene.confidence >= least
    steps = min(candidates.shape[1], scene.forecasts.shape[2])
    if not asked.any() or steps == 0:
        return np.zeros(len(candidates), bool)
    best = scene.chances[asked].argmax(1)
    others, boxes = scene.forecasts[asked][np.arange(len(best)), best], scene.boxes[asked]
    yaws = headings(others, boxes[:, :2], np.arctan2(boxes[:, 6], boxes[:, 7]))[:, :steps]
    size = np.exp(np.clip(boxes[:, 3:5], -3.0, 3.5))
    theirs = np.concatenate([others[:, :steps], yaws[..., None], np.broadcast_to(size[:, None], (*yaws.shape, 2))], -1)
    places, turned = candidates[:, :steps], headings(candidates)[:, :steps]
    ahead = np.stack([np.cos(turned), np.sin(turned)], -1) * config.ego_ahead_m
    own = np.concatenate([places + ahead, turned[..., None], np.broadcast_to(
        GROWN * np.array([config.ego_length_m, config.ego_width_m]), (*places.shape[:2], 2))], -1)
    with np.errstate(invalid="ignore"):
        return np.asarray(overlap(own[:, None], theirs[None]).any((1, 2)))


def expected_distance(ways: np.ndarray, chances: np.ndarray) -> np.ndarray:
    """How far [..., K] metres each of ``ways`` [..., K, T, 2] is from the driven one on average over its steps, if that is one of them with
    ``chances`` [..., K]."""
    apart = np.linalg.norm(ways[..., :, None, :, :] - ways[..., None, :, :, :], axis=-1).mean(-1)
    return np.asarray((apart * chances[..., None, :]).sum(-1))


def preference(ways: np.ndarray, logits: np.ndarray, how: str) -> np.ndarray:
    """Logits [..., K] of the choice among the K ``ways`` [..., K, T, 2] of one command, whose own ``logits`` are [..., K].

    ``likeliest``: as they are. ``expected``: minus the distance that is expected in metres, so the most central way is best. A standing car
    before a green light may stand on with a chance of 0.3 or start in one of five ways with 0.14 each: the likeliest is to stand.
    """
    return logits if how == LIKELIEST else -expected_distance(ways, softmax(logits))


def choice(logits: np.ndarray, command: int, hit: np.ndarray, candidates: np.ndarray, how: str) -> np.ndarray:
    """Scores [18] of all ``candidates`` [18, T, 2] from ``logits`` [18]: the six of ``command`` share 1, those that hit somebody next to
    nothing of it unless all do; candidates of other commands are at most -1, so nobody follows them. ``how``: see ``preference``."""
    by_command = logits.reshape(len(COMMANDS), MODES).astype(float)
    scores = softmax(by_command) - 2.0  # below 0 also where one candidate has all of its command's probability
    own, meets = by_command[command].copy(), hit.reshape(len(COMMANDS), MODES)[command]
    refused = 999.0 * meets if not meets.all() else np.zeros(MODES)
    ways = candidates.reshape(len(COMMANDS), MODES, *candidates.shape[1:])[command]
    scores[command] = softmax(preference(ways, own - refused, how) - refused)
    return scores.reshape(-1)


def seen_users(scene: Scene, times_s: np.ndarray) -> Detections:
    """The road users of enough confidence."""
    shown = np.flatnonzero(scene.confidence >= SHOWN)
    boxes = scene.boxes[shown].astype(float)
    rows = np.zeros(len(shown), DETECTION_DTYPE)
    rows["id"], rows["kind"] = scene.ids[shown], np.array([int(kind) for kind in KINDS], np.uint8)[scene.kinds[shown]]
    size = np.exp(np.clip(boxes[:, 3:6], -3.0, 3.5))
    rows["x"], rows["y"], rows["z"] = boxes[:, 0], boxes[:, 1], boxes[:, 2] - size[:, 2] / 2.0
    rows["length"], rows["width"], rows["height"] = size.T
    rows["yaw"], rows["vx"], rows["vy"] = np.arctan2(boxes[:, 6], boxes[:, 7]), boxes[:, 8], boxes[:, 9]
    rows["probability"] = scene.confidence[shown]
    return Detections(rows, scene.forecasts[shown].astype(np.float32), scene.chances[shown].astype(np.float32), times_s)


def seen_lines(scene: Scene) -> MapLines:
    """The lines of enough confidence; a stop line's light is not in its kind."""
    shown = np.flatnonzero(scene.line_scores >= SHOWN)
    kinds = np.array([int(kind) for kind in LINES] + [int(LineKind.STOP)] * len(SIGNALS), np.uint8)
    return MapLines(scene.lines[shown].astype(np.float32), kinds[scene.line_kinds[shown]], scene.line_scores[shown].astype(np.float32))


def make_plan(offsets: np.ndarray, logits: np.ndarray, status: np.ndarray, scene: Scene, frame: Frame, config: SceneConfig,
              rescore: float | None, notes: Mapping[str, float], mode: str) -> Plan:
    """The plan of one instant: the best candidate of the route's command is its trajectory.

    Args:
        offsets: [18, T, 2] metres a step. logits: [18]. status: [10], or [18, 10] where each candidate has its own.
        rescore: confidence from which on road users count for the collision rescoring; None: it is off.
    """
    candidates = offsets.astype(float).cumsum(1)
    command, _ = command_of(frame)
    hit = np.zeros(len(candidates), bool) if rescore is None else collides(candidates, scene, config, rescore)
    scores = choice(logits, command, hit, candidates, config.choice)
    times_s = STEP_S * np.arange(1, offsets.shape[1] + 1)
    chosen = int(scores.argmax())
    best, status = candidates[chosen], status if status.ndim == 1 else status[chosen]
    goal = frame.goal if frame.goal is not None else NavigationGoal(best[-1], Command.VOID)
    red = scene.line_scores[scene.line_kinds == len(LINES)]
    told = {"memory": 0.0, "speed_mps": float(status[FORWARD_SPEED]), "rescored": float(hit.reshape(len(COMMANDS), MODES)[command].sum()),
            **({"red_light": float(red.max())} if len(red) else {}), **notes}
    forecast_s = STEP_S * np.arange(1, scene.forecasts.shape[2] + 1)
    return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, best, times_s), goal, candidates=candidates, scores=scores, notes=told,
                detections=seen_users(scene, forecast_s), lines=seen_lines(scene), mode=mode)
