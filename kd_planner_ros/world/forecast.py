"""Where every other road user near the ego will be in the next seconds, from privileged truth.

Vehicles follow their lane (indicators choose the way at forks), go on speeding up or slowing down, and stop at red lights if they
still can; all others, and vehicles off every lane, keep their velocity and turn rate.
"""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.road import Lane, RoadMap
from kd_planner_ros.core.scene import INDICATOR_LEFT, INDICATOR_RIGHT, LightState
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc
from kd_planner_ros.world.actor_view import ActorView
from kd_planner_ros.world.lane_index import LaneHit, LaneIndex

_STEP_M, _COUNT = 2.0, 40
_LINE_END_M = _STEP_M * (_COUNT - 1)
_RENEW_S, _MEMORY_S = 2.0, 0.25
_RISE_S, _RISE_TO_MPS = 2.5, 10.0
HARDEST_STOP_MPS2 = 4.5
"""A vehicle that would need more than this to stop at a red light is expected to run it."""


class Forecaster:
    """Forecasts actors over fixed ``times_s`` [T]; remembers each actor's line and speed from tick to tick."""

    def __init__(self, road: RoadMap, index: LaneIndex, times_s: np.ndarray):
        self.road, self.index, self.times_s = road, index, np.asarray(times_s, float)
        self._lines_at_signal = np.array([s.stop_line.mean(axis=0) for s in road.signals], float).reshape(-1, 2)
        yaws = np.array([_end_yaw(road.lanes[s.lane]) for s in road.signals])
        self._signal_cos, self._signal_sin = np.cos(yaws), np.sin(yaws)
        self.reset()

    def reset(self) -> None:
        """Forget every actor."""
        self._lines: dict[int, tuple[float, int, np.ndarray]] = {}  # id -> (time, indicator, line)
        self._motion: dict[int, tuple[float, float, float, float, float]] = {}  # id -> (time, speed, yaw, accel, turn rate)
        self._now_s, self._tidied_s = 0.0, 0.0

    def boxes(self, actors: ActorView, signals: np.ndarray, now_s: float) -> np.ndarray:
        """Boxes [T, K, 5] (x, y, yaw, length, width; ``map``) of ``actors`` [K] under ``signals`` (SIGNAL_DTYPE [S]). ``now_s``
        is the scene's time, increasing from call to call."""
        self._now_s = now_s
        if now_s - self._tidied_s > 20.0:
            self._tidied_s = now_s
            self._motion = {k: v for k, v in self._motion.items() if now_s - v[0] < 2.0}
            self._lines = {k: v for k, v in self._lines.items() if now_s - v[0] < _RENEW_S}
        accel, turn = self._track(actors.id.tolist(), actors.speed.tolist(), actors.yaw.tolist())
        travelled = _travelled(actors.speed, accel, self.times_s[:, None])
        on_road = ~(actors.pedestrian | actors.static) & (actors.speed > 0.3)
        out = np.empty((len(self.times_s), len(actors.x), 5))
        self._straight(out, actors, turn, travelled, on_road)
        out[..., 3], out[..., 4] = actors.length, actors.width
        moving = np.flatnonzero(on_road)
        if len(moving):
            self._along_lanes(out, moving, actors.take(moving), travelled[:, moving], signals)
        return out

    def _track(self, ids: list, speeds: list, yaws: list) -> tuple[np.ndarray, np.ndarray]:
        """Smoothed acceleration and turn rate of each actor from its last ticks."""
        accel, turn = np.zeros(len(ids)), np.zeros(len(ids))
        for k, (identity, speed, yaw) in enumerate(zip(ids, speeds, yaws, strict=True)):
            before = self._motion.get(identity)
            a = w = 0.0
            dt = self._now_s - before[0] if before is not None else 0.0
            if 0.0 < dt < 0.25:
                new = min(1.0, dt / _MEMORY_S)
                a = (1.0 - new) * before[3] + new * (speed - before[1]) / dt
                w = (1.0 - new) * before[4] + new * ((yaw - before[2] + np.pi) % (2 * np.pi) - np.pi) / dt
            self._motion[identity] = (self._now_s, speed, yaw, a, w)
            accel[k], turn[k] = min(max(a, -4.0), 2.5), min(max(w, -0.7), 0.7)
        return accel, turn

    def _straight(self, out, actors: ActorView, turn, travelled, on_road) -> None:
        """Constant velocity; vehicles turn on at their rate for one second."""
        direction = np.where(actors.speed > 0.1, np.arctan2(actors.vy, actors.vx), actors.yaw)
        bend = np.where(on_road & (actors.speed > 1.0), turn, 0.0) * np.minimum(self.times_s[:, None], 1.0)
        middle = direction + 0.5 * bend
        out[..., 0] = actors.x + travelled * np.cos(middle)
        out[..., 1] = actors.y + travelled * np.sin(middle)
        out[..., 2] = actors.yaw + bend

    def _along_lanes(self, out, moving, actors: ActorView, travelled, signals) -> None:
        """Overwrites ``out`` for those of the ``moving`` vehicles that keep to a lane."""
        lines = np.array([self._line(*one) for one in zip(actors.id.tolist(), actors.lights.tolist(), actors.x.tolist(),
                                                          actors.y.tolist(), actors.yaw.tolist(), strict=True)])
        start, along = lines[:, :-1], lines[:, 1:] - lines[:, :-1]
        rel = np.stack([actors.x, actors.y], axis=1)[:, None] - start
        fraction = (rel * along).sum(axis=2) / np.maximum((along * along).sum(axis=2), 1e-9)
        fraction = np.minimum(np.maximum(fraction, 0.0), 1.0)
        gap = rel - fraction[..., None] * along
        segment = (gap * gap).sum(axis=2).argmin(axis=1)
        k = np.arange(len(moving))
        tangent = along[k, segment]
        heading = np.arctan2(tangent[:, 1], tangent[:, 0])
        cos, sin = np.cos(heading), np.sin(heading)
        offset = rel[k, segment, 1] * cos - rel[k, segment, 0] * sin
        keeps = (np.abs(offset) < 1.6) & (np.cos(heading - actors.yaw) > 0.82)
        arc = (segment + fraction[k, segment]) * _STEP_M
        reach = np.minimum(travelled, self._room_to_red(actors, signals))
        position = np.minimum((arc + reach) / _STEP_M, _COUNT - 1.001)
        cell = position.astype(int)
        step = along[k, cell]
        base = start[k, cell] + (position - cell)[..., None] * step
        side = offset / np.maximum(np.hypot(step[..., 0], step[..., 1]), 1e-6)
        out[:, moving[keeps], 0] = (base[..., 0] - step[..., 1] * side)[:, keeps]
        out[:, moving[keeps], 1] = (base[..., 1] + step[..., 0] * side)[:, keeps]
        out[:, moving[keeps], 2] = np.arctan2(step[..., 1], step[..., 0])[:, keeps]

    def _line(self, identity: int, lights: int, x: float, y: float, yaw: float) -> np.ndarray:
        """The line [40, 2] every 2 m that the actor is expected to follow, from a little behind it."""
        indicator = lights & (INDICATOR_LEFT | INDICATOR_RIGHT)
        kept = self._lines.get(identity)
        if kept is not None and self._now_s - kept[0] < _RENEW_S and kept[1] == indicator:
            return kept[2]
        hit = self.index.nearest(x, y, yaw)
        line = _ahead(self.road, hit, indicator) if hit is not None else np.tile([x, y + 1e3], (_COUNT, 1))
        self._lines[identity] = (self._now_s, indicator, line)
        return line

    def _room_to_red(self, actors: ActorView, signals: np.ndarray) -> np.ndarray:
        """How far [K] each vehicle may still go before a red or yellow light it can stop at; inf where none."""
        state, middle = signals["state"], (actors.x.mean(), actors.y.mean())
        lit = np.flatnonzero(((state == LightState.RED) | (state == LightState.YELLOW))
                             & (np.abs(self._lines_at_signal - middle).max(axis=1) < 130.0))
        if len(lit) == 0:
            return np.full(len(actors.x), np.inf)
        c, s = self._signal_cos[lit], self._signal_sin[lit]
        dx = self._lines_at_signal[lit, 0] - actors.x[:, None]
        dy = self._lines_at_signal[lit, 1] - actors.y[:, None]
        ahead = dx * c + dy * s - 0.5 * actors.length[:, None]
        governs = ((ahead > -0.5) & (ahead < 60.0) & (np.abs(dy * c - dx * s) < 1.7)
                   & (np.cos(actors.yaw)[:, None] * c + np.sin(actors.yaw)[:, None] * s > 0.9))
        can = actors.speed[:, None] ** 2 < 2.0 * HARDEST_STOP_MPS2 * np.maximum(ahead, 0.3)
        return np.where(governs & can, np.maximum(ahead, 0.0), np.inf).min(axis=1)


def _travelled(speed: np.ndarray, accel: np.ndarray, times_s: np.ndarray) -> np.ndarray:
    """Distance [T, K]: slowing down to a stand, or speeding up for at most 2.5 s and to at most 10 m/s."""
    slowing = np.where(accel < -0.05, speed / np.maximum(-accel, 0.05), np.inf)
    rising = np.minimum(_RISE_S, np.maximum(_RISE_TO_MPS - speed, 0.0) / np.maximum(accel, 0.05))
    until = np.where(accel > 0.0, rising, slowing)
    t = np.minimum(times_s, until)
    held = np.where(accel > 0.0, times_s - t, 0.0)
    return speed * t + 0.5 * accel * t * t + (speed + accel * t) * held


def _end_yaw(lane: Lane) -> float:
    step = lane.centre[-1] - lane.centre[-2]
    return float(np.arctan2(step[1], step[0]))


def _ahead(road: RoadMap, hit: LaneHit, indicator: int) -> np.ndarray:
    """Lane centres from 6 m behind the hit onwards, joined over successors and cut to 40 points 2 m apart."""
    wanted = {INDICATOR_LEFT: "l", INDICATOR_RIGHT: "r"}.get(indicator, "s")
    lane, pieces = hit.lane, [hit.lane.centre]
    length = float(arc_lengths(lane.centre)[-1]) - hit.arc_m
    while length < _LINE_END_M and len(pieces) < 12:
        onward = [road.lanes[s] for s in lane.successors if s in road.lanes and road.lanes[s].kind == "driving"]
        if not onward:
            break
        lane = min(onward, key=lambda other: (other.turn != wanted if other.junction else False, other.turn == "t", other.id))
        pieces.append(lane.centre)
        length += float(arc_lengths(lane.centre)[-1])
    points = np.concatenate(pieces)
    keep = np.concatenate([[True], np.hypot(*np.diff(points, axis=0).T) > 1e-3])
    points = points[keep]
    arc = arc_lengths(points)
    wanted_arc = max(hit.arc_m - 6.0, 0.0) + _STEP_M * np.arange(_COUNT)
    line = at_arc(points, arc, wanted_arc)
    beyond = wanted_arc - arc[-1]
    end = points[-1] - points[-2]
    return line + np.maximum(beyond, 0.0)[:, None] * end / max(float(np.hypot(*end)), 1e-6)
