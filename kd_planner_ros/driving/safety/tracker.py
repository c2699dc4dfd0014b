"""Association of detected road users over time, and their measured motion."""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.geometry.frames import from_base, wrap_angle

MATCH_M = 2.0
ALIVE_STEPS = 6
KEPT_STEPS = 10
STEP_S = 0.1
STEP_RANGE_S = (0.05, 0.5)
"""What a step may really take; anything else (time was set back, plans were lost) counts as a usual one."""
SPEED_MARGIN_MPS, MAX_SPEED_MPS = 0.2, 7.0
HEADING_SPEED_MPS = 1.0
BLEND = 0.04
_HEADING_SCALE, _SPEED_SCALE = 2.0 * math.pi, 8.0  # of the network's channels


class _Track:
    """Where one road user was: (step, seconds, x, y) in ``map``, newest last."""

    def __init__(self) -> None:
        self.seen: deque[tuple[int, float, float, float]] = deque(maxlen=KEPT_STEPS)

    def motion(self) -> tuple[float, float] | None:
        """(speed m/s, heading rad in ``map``) over the last two samples; None from one sample alone."""
        if len(self.seen) < 2:
            return None
        _, now_s, x, y = self.seen[-1]
        _, past_s, px, py = self.seen[-min(3, len(self.seen))]
        dx, dy = x - px, y - py
        speed = math.hypot(dx, dy) / (now_s - past_s) - SPEED_MARGIN_MPS
        return min(max(speed, 0.0), MAX_SPEED_MPS), math.atan2(dy, dx)


class Tracker:
    """Follows road users through plans, 10 a second, and corrects the speed and heading that the network gives them.

    A road user is the nearest track's within 2 m (each track once, nearest pairs first); a track ends 6 steps after it
    was last seen. Speed and heading become (1 - w) of the network's and w of the track's, w = 0.04 sqrt(n / 10) for n
    samples; heading only where the track is faster than 1 m/s.

    Args:
        legacy: take (1 - w) of the network's heading channel for the speed, as the original does by mistake: half the
            speed range for whoever drives along, whatever they do.

    Source: InterFuser ``team_code/tracker.py``.
    """

    def __init__(self, legacy: bool = False):
        self.legacy = legacy
        self.reset()

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracks: list[_Track] = []
        self._step, self._time_s = 0, 0.0

    def update(self, objects: np.ndarray, ego: Pose, passed_s: float = STEP_S) -> np.ndarray:
        """``objects`` ROAD_USER_DTYPE [K] of a new plan at ``ego``, ``passed_s`` after the last one, with corrected speeds and
        headings."""
        self._step += 1
        self._time_s += passed_s if STEP_RANGE_S[0] <= passed_s <= STEP_RANGE_S[1] else STEP_S
        self._tracks = [track for track in self._tracks if self._step - track.seen[-1][0] <= ALIVE_STEPS]
        places = from_base(np.stack([objects["x"], objects["y"]], axis=-1), ego).reshape(-1, 2)
        matched = self._match(places)
        out = objects.copy()
        for row, (x, y) in enumerate(places.tolist()):
            if not (math.isfinite(x) and math.isfinite(y)):
                continue
            track = matched.get(row)
            if track is None:
                track = _Track()
                self._tracks.append(track)
            track.seen.append((self._step, self._time_s, x, y))
            self._correct(out[row], track, ego)
        return out

    def _match(self, places: np.ndarray) -> dict[int, _Track]:
        if not len(places) or not self._tracks:
            return {}
        last = np.array([track.seen[-1][2:] for track in self._tracks])
        distance = np.hypot(*(places[:, None] - last[None]).transpose(2, 0, 1))
        pairs = np.argwhere(distance <= MATCH_M)
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for row, track in pairs[distance[pairs[:, 0], pairs[:, 1]].argsort(kind="stable")].tolist():
            if row not in matched and track not in taken:
                matched[row] = self._tracks[track]
                taken.add(track)
        return matched

    def _correct(self, seen: np.void, track: _Track, ego: Pose) -> None:
        motion = track.motion()
        if motion is None:
            return
        speed, heading = motion
        share = BLEND * math.sqrt(len(track.seen) / KEPT_STEPS)
        base_speed = seen["speed"]
        if self.legacy:
            planner_heading = (1.5 * math.pi - seen["yaw"]) % (2.0 * math.pi)
            base_speed = planner_heading / _HEADING_SCALE * _SPEED_SCALE
        seen["speed"] = (1.0 - share) * base_speed + share * speed
        if speed > HEADING_SPEED_MPS:
            turn = float(wrap_angle(heading - ego.yaw - seen["yaw"]))
            seen["yaw"] = float(wrap_angle(seen["yaw"] + share * turn))
