"""What student and teacher remember between frames: entries 0.5 s apart whatever the rate of the frames, as seen from now.

At 10 Hz five chains of entries interleave: each frame goes on from the one 0.5 s before it. Node, evaluator and trainer use this class
alike.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.records import Frame
from kd_planner_ros.geometry.frames import rotation_2d, wrap_angle
from kd_planner_ros.networks.distilldrive.boxes import STILL
from kd_planner_ros.networks.distilldrive.config import MEASURED, SceneConfig

YOUNGER_S = 0.1
"""An entry that is at most so much younger than wanted will do: half the time between two frames at 5 Hz, the least rate."""
MOST = 64
"""Entries kept at most: 0.5 s of any camera in use."""


@dataclass(frozen=True)
class Entry:
    """The memory after one frame: stamp, the ego's x, y and yaw in ``map``, the tensors [1, ...], and the ids of the road users in them."""

    stamp_ns: int
    pose: tuple[float, float, float]
    state: Mapping[str, Tensor]
    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))


class Memory:
    """The entries of one drive. Time that is set back makes it forget; an entry older than ``max_memory_s`` is dropped."""

    def __init__(self, config: SceneConfig):
        self._wanted_s, self._most_s = config.memory_s, config.max_memory_s
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.entries: deque[Entry] = deque(maxlen=MOST)

    def before(self, stamp_ns: int) -> Entry | None:
        """The entry whose age at ``stamp_ns`` is nearest to ``memory_s``, at most ``YOUNGER_S`` less; None where there is none."""
        if self.entries and stamp_ns < self.entries[-1].stamp_ns:
            self.reset()
        while self.entries and stamp_ns - self.entries[0].stamp_ns > self._most_s * 1e9:
            self.entries.popleft()
        old = [one for one in self.entries if stamp_ns - one.stamp_ns >= (self._wanted_s - YOUNGER_S) * 1e9]
        return min(old, key=lambda one: abs(stamp_ns - one.stamp_ns - self._wanted_s * 1e9), default=None)

    def put(self, entry: Entry) -> None:
        """Remember ``entry``; one of the same stamp is replaced, one without a finite pose cannot be used and is left out."""
        if not all(math.isfinite(one) for one in entry.pose):
            return
        if self.entries and entry.stamp_ns < self.entries[-1].stamp_ns:
            self.reset()
        if self.entries and entry.stamp_ns == self.entries[-1].stamp_ns:
            self.entries.pop()
        self.entries.append(entry)
        while len(self.entries) > 1 and entry.stamp_ns - self.entries[1].stamp_ns >= self._wanted_s * 1e9:
            self.entries.popleft()

    def plain(self) -> list[Any]:
        """The entries for a checkpoint."""
        return [[one.stamp_ns, list(one.pose), dict(one.state), one.ids] for one in self.entries]

    def restore(self, plain: Sequence[Any]) -> None:
        """Back to what ``plain`` gave."""
        self.reset()
        for stamp, pose, state, ids in plain:
            self.entries.append(Entry(int(stamp), (float(pose[0]), float(pose[1]), float(pose[2])), dict(state), np.asarray(ids, np.int64)))


def motion_since(entry: Entry, stamp_ns: int, pose: Sequence[float]) -> list[float]:
    """The ego's way since ``entry`` (``boxes.MOTION``): where the old origin lies in the frame at ``pose`` (x, y, yaw in ``map``), and how
    its axes are turned there."""
    x, y = (np.array(entry.pose[:2]) - np.array(pose[:2], float)) @ rotation_2d(float(pose[2]))
    turn = float(wrap_angle(entry.pose[2] - pose[2]))
    return [float(x), float(y), math.cos(turn), math.sin(turn), (stamp_ns - entry.stamp_ns) * 1e-9]


def recalled(entries: Sequence[Entry | None], stamps_ns: Sequence[int], poses: Sequence[Sequence[float]],
             nothing: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``motion`` [B, 5], ``known`` [B] and the memory's tensors [B, ...]; ``nothing`` [1, ...] stands where there is no entry, or where
    the ego's pose is not known."""
    used = [one if one is not None and all(map(math.isfinite, pose)) else None for one, pose in zip(entries, poses, strict=True)]
    motion = [list(STILL) if one is None else motion_since(one, int(stamp), pose)
              for one, stamp, pose in zip(used, stamps_ns, poses, strict=True)]
    device = next(iter(nothing.values())).device
    found = {"motion": torch.tensor(motion, dtype=torch.float32, device=device),
             "known": torch.tensor([float(one is not None) for one in used], device=device)}
    for name, none in nothing.items():
        found[name] = torch.cat([none if one is None else one.state[name].to(device) for one in used])
    return found


def with_ego(past: Mapping[str, Tensor], speeds: np.ndarray, targets: np.ndarray, config: SceneConfig) -> dict[str, Tensor]:
    """``past`` (``recalled``) with the measured ``speeds`` [B] m/s in place of ``ego_speed``, and with ``target`` [B, 3], the route's next
    points ``targets`` [B, 2] in ``base_link`` and 1, both if ``config`` says so. Where the speed is not finite, what was predicted stays;
    where the point is not, ``target`` is zeros."""
    before = past["ego_speed"]
    measured = torch.from_numpy(np.asarray(speeds, np.float32)).to(before.device)
    speed = torch.where(measured.isfinite(), measured, before) if config.speed == MEASURED else before
    known = np.isfinite(targets).all(1, keepdims=True) & config.target
    target = np.concatenate([np.where(known, targets, 0.0), known], 1).astype(np.float32)
    return {**past, "ego_speed": speed, "target": torch.from_numpy(target).to(before.device)}


def targets_of(frames: Sequence[Frame]) -> np.ndarray:
    """The route's next point [B, 2] of each frame in ``base_link``, NaN without one: a recording without a route gives VOID."""
    return np.array([[np.nan, np.nan] if frame.goal is None or frame.goal.command == Command.VOID
                     else np.asarray(frame.goal.target_point)[:2] for frame in frames], float)


class Slots:
    """The memories of the slots of a training batch; a task calls ``begin``, ``recall`` and ``keep`` in this order in each step."""

    def __init__(self, config: SceneConfig, nothing: Mapping[str, Tensor]):
        self._config, self._nothing = config, nothing
        self._slots: list[Memory] = []
        self._now: list[tuple[int, tuple[float, float, float], np.ndarray]] = []

    def begin(self, reset: np.ndarray) -> None:
        """A step begins; ``reset`` bool [B]: these slots begin another recording."""
        if len(self._slots) != len(reset):
            self._slots = [Memory(self._config) for _ in reset]
        for slot, new in zip(self._slots, reset, strict=True):
            if new:
                slot.reset()

    def entries(self, stamps_ns: np.ndarray) -> list[Entry | None]:
        """The entry that each slot goes on from at ``stamps_ns`` [B]."""
        if len(self._slots) != len(stamps_ns):
            self._slots = [Memory(self._config) for _ in stamps_ns]
        return [slot.before(int(stamp)) for slot, stamp in zip(self._slots, stamps_ns, strict=True)]

    def recall(self, stamps_ns: np.ndarray, poses: np.ndarray, device: torch.device, ids: np.ndarray | None = None,
               entries: Sequence[Entry | None] | None = None) -> dict[str, Tensor]:
        """The network's inputs that come from memory, see ``recalled``; ``ids`` [B, A] of this frame's road users are kept with it,
        ``entries`` are given where they were put into another order."""
        found = self.entries(stamps_ns) if entries is None else entries
        everyone = np.zeros((len(stamps_ns), 0), np.int64) if ids is None else ids
        self._now = [(int(stamp), (float(pose[0]), float(pose[1]), float(pose[2])), np.asarray(own, np.int64))
                     for stamp, pose, own in zip(stamps_ns, poses, everyone, strict=True)]
        return recalled(found, [int(one) for one in stamps_ns], [list(map(float, pose)) for pose in poses],
                        {name: one.to(device) for name, one in self._nothing.items()})

    def keep(self, outputs: Mapping[str, Tensor]) -> None:
        """Remember what the network gave as ``next_NAME``."""
        new = {name: outputs[f"next_{name}"].detach().float() for name in self._nothing}
        for row, (slot, (stamp, pose, ids)) in enumerate(zip(self._slots, self._now, strict=True)):
            slot.put(Entry(stamp, pose, {name: one[row:row + 1].clone() for name, one in new.items()}, ids))

    def plain(self) -> list[Any]:
        """All slots for a checkpoint."""
        return [slot.plain() for slot in self._slots]

    def restore(self, plain: Sequence[Any] | None) -> None:
        """Back to what ``plain`` gave; None: every slot begins anew."""
        self._slots = []
        for one in plain or ():
            slot = Memory(self._config)
            slot.restore(one)
            self._slots.append(slot)
