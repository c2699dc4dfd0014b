"""The row of numbers that every sample has, whatever its network: what the car does now and on its way ahead."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.planning_states import STATE_NAMES
from kd_planner_ros.core.timeline import POSE_COLUMNS, Timeline
from kd_planner_ros.geometry.frames import to_base
from kd_planner_ros.networks.samples import SampleMaker

STEP_NS = round(SampleMaker.step_s * 1e9)
STEPS = round(SampleMaker.horizon_s / SampleMaker.step_s)
"""The way ahead of a sample of a task that does not declare another."""
GAP = 1.5
"""A sequence ends where the next sample is later than this many of the recording's usual intervals."""
STATES = STATE_NAMES
"""PlanKD's planning states, in its order."""


@lru_cache
def sample_dtype(steps: int = STEPS) -> np.dtype:
    """A sample's row with ``steps`` steps up to its horizon.

    ``stamp`` ns; ``speed`` m/s; ``target`` and ``future`` (at the steps) metres in ``base_link`` of now, NaN = masked or
    unknown; ``command`` of ``core/ego.py``; ``actions`` (throttle - brake, steer positive LEFT) now and at the steps,
    NaN = masked; ``states`` classes of the planning states, -1 = not recorded; ``ahead_m`` how far the car drives in the next
    2 s, known also where ``future`` is masked, NaN where the drive ends before.
    """
    return np.dtype([
        ("stamp", "<i8"), ("speed", "<f4"), ("target", "<f4", (2,)), ("command", "i1"), ("future", "<f4", (steps, 2)),
        ("actions", "<f4", (steps + 1, 2)), ("states", "i1", (len(STATES),)), ("ahead_m", "<f4"),
    ])


SAMPLE_DTYPE = sample_dtype()
"""The row with the default horizon, 2 s in steps of 0.5 s."""


def label(timeline: Timeline, stamps: np.ndarray, steps: int = STEPS,
          step_ns: int = STEP_NS) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Samples at ``stamps`` [N]: rows ``sample_dtype(steps)`` [N], which of them to keep [N] bool, and why others are not.

    Left out: samples nearer than the horizon to the end of a drive (no future), and to a collision before or after them; with
    0 steps none. Masked: future and later actions of samples whose horizon contains a steering disturbance, because the
    disturbed car left the expert's path; the expert's action of now stays. The expert's wish is the label where it
    was recorded, else what was executed.
    """
    rows = np.zeros(len(stamps), sample_dtype(steps))
    index = timeline.ego.at(stamps)
    rows["stamp"], rows["speed"] = stamps, timeline.ego.values[index][:, 6]
    if timeline.targets is None or timeline.commands is None:
        rows["target"], rows["command"] = np.nan, Command.VOID
    else:
        rows["target"], rows["command"] = timeline.targets[index], timeline.commands[index]
    later = stamps[:, None] + step_ns * np.arange(steps + 1)
    places = _places(timeline, later)
    for row in range(len(stamps)):
        rows["future"][row] = to_base(places[row, 1:], timeline.ego_state(int(index[row])).pose)
    rows["ahead_m"] = _ahead(timeline, stamps)
    rows["actions"] = _actions(timeline, later.reshape(-1)).reshape(len(stamps), steps + 1, 2)
    for column, name in enumerate(STATES):
        known = timeline.states(name, stamps)
        rows["states"][:, column] = np.where(np.isfinite(known), known, -1)
    horizon_ns = steps * step_ns
    disturbed = _happens(timeline, "disturbance", stamps, 0, horizon_ns)
    rows["future"][disturbed] = np.nan
    rows["actions"][disturbed, 1:] = np.nan
    ended = ~np.isfinite(places).all((1, 2))
    crashed = _happens(timeline, "collision", stamps, -horizon_ns, horizon_ns) & ~ended if steps else np.zeros(len(stamps), bool)
    return rows, ~(ended | crashed), {"end of route": int(ended.sum()), "collision": int(crashed.sum()),
                                      "waypoints masked": int((disturbed & ~ended & ~crashed).sum())}


def _places(timeline: Timeline, stamps: np.ndarray) -> np.ndarray:
    """Positions [N, K, 2] in ``map`` at ``stamps`` [N, K]: of the row of that instant, else between two; NaN where the drive does not
    reach."""
    flat = stamps.reshape(-1)
    found = timeline.ego.take(flat)
    lost = ~np.isfinite(found[:, :2]).all(axis=1)
    found[lost] = timeline.ego.between(flat[lost])
    return found.reshape(*stamps.shape, len(POSE_COLUMNS))[..., :2]


def _ahead(timeline: Timeline, stamps: np.ndarray) -> np.ndarray:
    """Metres [N] driven in the 2 s after ``stamps`` [N]."""
    places = _places(timeline, stamps[:, None] + STEP_NS * np.arange(STEPS + 1))
    return np.linalg.norm(np.diff(places, axis=1), axis=-1).sum(1)


def _actions(timeline: Timeline, stamps: np.ndarray) -> np.ndarray:
    """(throttle - brake, steer left) [N, 2]: the expert's wish, else the executed control."""
    wish = np.stack([timeline.states(f"expert_{name}", stamps) for name in ("throttle", "steer", "brake")], 1)
    done = timeline.control.take(stamps)
    chosen = np.where(np.isfinite(wish).all(1, keepdims=True), wish, done)
    return np.stack([chosen[:, 0] - chosen[:, 2], chosen[:, 1]], 1)


def _happens(timeline: Timeline, name: str, stamps: np.ndarray, before_ns: int, after_ns: int) -> np.ndarray:
    """Whether the named flag is set anywhere in [stamp + before_ns, stamp + after_ns], for each of ``stamps``."""
    if name not in timeline.state_names:
        return np.zeros(len(stamps), bool)
    flags = timeline.state.values[:, timeline.state_names.index(name)] > 0
    count = np.concatenate([[0], np.cumsum(flags)])
    first = np.searchsorted(timeline.state.stamps, stamps + before_ns, side="left")
    last = np.searchsorted(timeline.state.stamps, stamps + after_ns, side="right")
    return count[last] > count[first]


def begins(stamps: np.ndarray) -> np.ndarray:
    """bool [N]: the samples of a recording, at ``stamps`` [N] in ns, at which a stretch without a gap begins, the first one among
    them. Whatever remembers the samples before forgets there."""
    steps = np.diff(stamps)
    later = steps > GAP * np.median(steps) if len(steps) else np.zeros(0, bool)
    return np.concatenate([np.ones(min(len(stamps), 1), bool), later])
