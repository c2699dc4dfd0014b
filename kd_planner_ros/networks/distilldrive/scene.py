"""The scene around the car as arrays of fixed size: what the student learns to see, and what the teacher reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.scene import LightState
from kd_planner_ros.core.tracks import Tracks
from kd_planner_ros.core.true_scene import TrueScene
from kd_planner_ros.geometry.frames import rotation_2d, to_base
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc, resample
from kd_planner_ros.networks.distilldrive.config import ANCHOR, KINDS, LINES, STEP_NS, SceneConfig

FINE_M = 1.0
"""Lines are cut at the edge of the looked-at part to about this."""
NOBODY, NO_LINE = -1, -1
_LIGHT: dict[int, int] = {LightState.RED: 0, LightState.YELLOW: 1, LightState.GREEN: 2}
FACES = -0.5
"""Cosine between the car's heading and that of a lamp that shows its light to the car, at most."""


@dataclass(frozen=True)
class Caps:
    """At most so many road users and lines, the nearest first; ``points`` of a line, steps of a road user's ``past`` and ``future``."""

    agents: int
    lines: int
    points: int
    past: int
    future: int


def nearest_actors(actors: np.ndarray, ego: Pose, config: SceneConfig, most: int) -> np.ndarray:
    """The rows of ``actors`` (ACTOR_DTYPE [N]) of known kinds within range of ``ego``, the nearest first, at most ``most``."""
    place = to_base(np.stack([actors["x"], actors["y"]], -1).astype(float), ego).reshape(-1, 2)
    away = np.hypot(place[:, 0], place[:, 1])
    known = np.isin(actors["kind"], [int(kind) for kind in KINDS]) & (away <= config.range_m)
    order = np.argsort(away, kind="stable")
    return actors[order[known[order]][:most]]


def agent_boxes(actors: np.ndarray, ego: Pose) -> np.ndarray:
    """Boxes float32 [N, 10] (``config.ANCHOR``) of ``actors`` in ``base_link``; z is the box's centre above the car's ground."""
    place = to_base(np.stack([actors["x"], actors["y"]], -1).astype(float), ego).reshape(-1, 2)
    velocity = np.stack([actors["vx"], actors["vy"]], -1).astype(float) @ rotation_2d(ego.yaw)
    turn = actors["yaw"].astype(float) - ego.yaw
    size = np.stack([actors[name] for name in ("length", "width", "height")], -1).astype(float).clip(0.05)
    z = actors["z"].astype(float) - ego.z + size[:, 2] / 2.0
    return np.concatenate([place, z[:, None], np.log(size), np.stack([np.sin(turn), np.cos(turn)], 1), velocity], 1).astype(np.float32)


def agent_arrays(actors: np.ndarray, past: np.ndarray, future: np.ndarray, ego: Pose, caps: Caps) -> dict[str, np.ndarray]:
    """``boxes`` [A, 10], ``kinds`` int8 [A] (index in ``KINDS``, -1: nobody), ``ids`` int32 [A], ``past`` [A, H, 2] and ``future``
    [A, T, 2] in ``base_link``, NaN where unknown; ``past`` and ``future`` come in ``map``, for the rows of ``actors``."""
    count = len(actors)
    found: dict[str, np.ndarray] = {"boxes": np.zeros((caps.agents, ANCHOR), np.float32), "kinds": np.full(caps.agents, NOBODY, np.int8),
             "ids": np.full(caps.agents, NOBODY, np.int32), "past": np.full((caps.agents, caps.past, 2), np.nan, np.float32),
             "future": np.full((caps.agents, caps.future, 2), np.nan, np.float32)}
    order = {int(kind): index for index, kind in enumerate(KINDS)}
    found["boxes"][:count] = agent_boxes(actors, ego)
    found["kinds"][:count] = [order[int(kind)] for kind in actors["kind"]]
    found["ids"][:count] = actors["id"]
    found["past"][:count], found["future"][:count] = to_base(past, ego), to_base(future, ego)
    return found


def scene_arrays(scene: TrueScene, ego: Pose, stamp_ns: int, config: SceneConfig, caps: Caps) -> dict[str, np.ndarray]:
    """``agent_arrays`` and ``line_arrays`` of the instant ``stamp_ns`` of ``scene``, seen from ``ego``."""
    actors = nearest_actors(scene.actors, ego, config, caps.agents)
    return {**agent_arrays(actors, *ways(scene.tracks, actors, stamp_ns, caps), ego, caps),
            **line_arrays(scene.lines, scene.signals, ego, config, caps)}


def ways(tracks: Tracks | None, actors: np.ndarray, stamp_ns: int, caps: Caps) -> tuple[np.ndarray, np.ndarray]:
    """(past [N, H, 2], newest first, future [N, T, 2]) of ``actors`` in ``map``; NaN where ``tracks`` does not know."""
    if tracks is None:
        return np.full((len(actors), caps.past, 2), np.nan), np.full((len(actors), caps.future, 2), np.nan)
    stamps = stamp_ns + np.concatenate([steps_ns(caps.past, -1), steps_ns(caps.future, 1)])
    places = tracks.states(actors["id"], stamps)[..., :2]
    return places[:, :caps.past], places[:, caps.past:]


def steps_ns(count: int, sign: int) -> np.ndarray:
    """Offsets int64 [count] of the steps of a past (-1) or future (1), in ns."""
    return sign * STEP_NS * np.arange(1, count + 1)


def line_arrays(rows: np.ndarray, signals: np.ndarray, ego: Pose, config: SceneConfig, caps: Caps) -> dict[str, np.ndarray]:
    """``lines`` float32 [L, P, 2] in ``base_link`` and ``line_kinds`` int8 [L] (index of the network's classes, -1: none), the nearest
    first. A line that leaves the looked-at part and comes back gives two.

    Args:
        rows: MAP_LINE_DTYPE. signals: SIGNAL_DTYPE; of each that faces the car its stop line, with ``config.signals``.
    """
    pieces = [(kind, piece) for kind, line in _map_lines(rows, ego) for piece in _inside(line, config)]
    if config.signals:
        pieces += _stop_lines(signals, ego, config)
    pieces.sort(key=lambda one: float(np.hypot(*one[1].T).min()))
    lines, kinds = np.zeros((caps.lines, caps.points, 2), np.float32), np.full(caps.lines, NO_LINE, np.int8)
    for row, (kind, piece) in enumerate(pieces[:caps.lines]):
        arc = arc_lengths(piece)
        lines[row], kinds[row] = at_arc(piece, arc, np.linspace(0.0, arc[-1], caps.points)), kind
    return {"lines": lines, "line_kinds": kinds}


def _map_lines(rows: np.ndarray, ego: Pose) -> list[tuple[int, np.ndarray]]:
    classes = {int(kind): index for index, kind in enumerate(LINES)}
    if not len(rows):
        return []
    places = to_base(np.stack([rows["x"], rows["y"]], -1), ego).reshape(-1, 2)
    borders = np.flatnonzero(np.diff(rows["line"])) + 1
    return [(classes[int(kind[0])], line) for kind, line in zip(np.split(rows["kind"], borders), np.split(places, borders), strict=True)
            if int(kind[0]) in classes and len(line) >= 2]


def _inside(line: np.ndarray, config: SceneConfig) -> list[np.ndarray]:
    """The runs [K >= 2, 2] of ``line`` in the looked-at part; a closed outline that lies in it whole stays closed."""
    low, high = np.array([-config.behind_m, -config.side_m]), np.array([config.ahead_m, config.side_m])
    if (line.min(0) > high).any() or (line.max(0) < low).any():
        return []
    fine = resample(line, FINE_M)
    near = ((fine >= low) & (fine <= high)).all(1)
    edges = np.flatnonzero(np.diff(near.astype(int))) + 1
    runs = [run for run, inside in zip(np.split(fine, edges), np.split(near, edges), strict=True) if inside[0]]
    return [run for run in runs if len(run) >= 2]


def _stop_lines(signals: np.ndarray, ego: Pose, config: SceneConfig) -> list[tuple[int, np.ndarray]]:
    found = []
    for signal in signals:
        state = _LIGHT.get(int(signal["state"]))
        ends = to_base(np.array([[signal["stop_x0"], signal["stop_y0"]], [signal["stop_x1"], signal["stop_y1"]]], float), ego)
        middle = ends.mean(0)
        shown = -config.behind_m <= middle[0] <= config.ahead_m and abs(middle[1]) <= config.side_m
        if state is not None and shown and np.cos(float(signal["yaw"]) - ego.yaw) < FACES:
            found.append((len(LINES) + state, ends))
    return found


def padded(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """``arrays`` [B, ...] of ``agent_arrays`` and ``line_arrays`` as the teacher's network takes them: zeros and masks for NaN."""
    found = {"boxes": arrays["boxes"], "kinds": np.maximum(arrays["kinds"], 0).astype(np.int64),
             "there": (arrays["kinds"] >= 0).astype(np.float32), "lines": arrays["lines"],
             "line_kinds": np.maximum(arrays["line_kinds"], 0).astype(np.int64),
             "line_there": (arrays["line_kinds"] >= 0).astype(np.float32)}
    for name in ("past", "future"):
        found[name] = np.nan_to_num(arrays[name]).astype(np.float32)
        found[f"{name}_known"] = np.isfinite(arrays[name]).all(-1).astype(np.float32)
    return found


CROSSING = LINES.index(LineKind.CROSSING)
