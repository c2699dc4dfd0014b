"""The small messages of a recording, one a tick: odometry, speed, acceleration, control and named truth."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from kd_planner_ros.bags import decode
from kd_planner_ros.bags.contents import Contents
from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.timeline import Series, Timeline, series
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.motion import speed_of
from kd_planner_ros.wire.topics import MAP_FRAME, TRUTH_STATE, Topics

JUMP_M, JUMP_MPS = 3.0, 100.0
"""A car that is further away than this in the next message, and would have gone faster, was put there."""


def read_motion(recording: Contents) -> Timeline:
    """Ego, controls and named truth at full rate, without goals. Topics whose stamps cannot be believed are left out, and so is odometry
    without finite numbers or an orientation, before and after the longest drive, and controls that do not drive ahead;
    ``recording.notes`` says so.

    Raises:
        BagError: there is no odometry, or none that can be believed.
    """
    topics, notes = recording.topics, recording.notes
    recording.require(topics.odometry, "record it too: without it pictures can be read (Recording.pictures), but no Frame")
    wanted = [topics.odometry, *filter(recording.usable, (topics.speed, topics.imu, topics.control, TRUTH_STATE))]
    found = _Found()
    for topic, bag_ns, message in recording.messages(wanted):
        decoded(partial(found.take, topics, topic, bag_ns), message, topic)
    rows = [row for row in found.odometry if np.isfinite(row[2]).all()]
    if lost := len(found.odometry) - len(rows):
        notes.append(f"{lost} of {len(found.odometry)} messages on {topics.odometry} are left out: numbers that are not finite")
    if not rows:
        raise BagError(f"finite numbers and orientations on {topics.odometry} in {recording.path}",
                       f"none in {len(found.odometry) + found.unturned} messages",
                       "check the localisation, and record again")
    notes += found.odd(topics)
    ego = _one_drive(decode.join_ego(rows, found.speeds, series(found.imu[::-1]), notes, topics.speed), notes, topics.odometry)
    return Timeline(ego, series(found.controls, 3), series(found.states[::-1], len(found.names)), found.names)


def _one_drive(ego: Series, notes: list[str], topic: str) -> Series:
    """The longest part of ``ego`` in which the car is not put to another place, as a simulator does that spawns it anew: what lies
    before and after is another drive, and no label may reach from one into the other."""
    steps = np.linalg.norm(np.diff(ego.values[:, :2], axis=0), axis=1)
    jumps = np.flatnonzero((steps > JUMP_M) & (steps > JUMP_MPS * np.diff(ego.stamps) / 1e9)) + 1
    if not len(jumps):
        return ego
    starts, ends = np.concatenate([[0], jumps]), np.concatenate([jumps, [len(ego.stamps)]])
    longest = int((ends - starts).argmax())
    kept, at = slice(starts[longest], ends[longest]), jumps[0]
    notes.append(f"{len(ego.stamps) - (kept.stop - kept.start)} of {len(ego.stamps)} states of {topic} are left out: the car is put to "
                 f"another place {len(jumps)} times, first by {steps[at - 1]:.1f} m at {ego.stamps[at] / 1e9:.3f} s; the longest "
                 "drive is read")
    return Series(ego.stamps[kept], ego.values[kept])


@dataclass
class _Found:
    """Rows of the messages so far, in their order. Of equal stamps the first row counts, of controls the last: the car did that."""

    odometry: list[tuple[int, int, list[float]]] = field(default_factory=list)
    speeds: list[tuple[int | None, int, float]] = field(default_factory=list)
    imu: list[tuple[int, float]] = field(default_factory=list)
    controls: list[tuple[int, list[float]]] = field(default_factory=list)
    states: list[tuple[int, np.ndarray]] = field(default_factory=list)
    names: tuple[str, ...] = ()
    frame: str = MAP_FRAME
    renamed: int = 0
    unturned: int = 0
    strange: int = 0

    def odd(self, topics: Topics) -> list[str]:
        """What was left out, and what was taken for something else."""
        frame = f"the frame '{self.frame}' of {topics.odometry} is taken for '{MAP_FRAME}', that of the route and the road users"
        left_out = ((self.renamed, TRUTH_STATE, "other names than in the first one"),
                    (self.unturned, topics.odometry, "an orientation of four zeros"),
                    (self.strange, topics.control, "reverse gear, hand brake, or a number outside 0 to 1 (steer -1 to 1)"))
        return [*([frame] if self.frame != MAP_FRAME else []),
                *(f"{count} messages on {topic} are left out: {why}" for count, topic, why in left_out if count)]

    def take(self, topics: Topics, topic: str, bag_ns: int, message: Any) -> None:
        """Keep one message's numbers."""
        if topic == topics.odometry:
            self._take_odometry(bag_ns, message)
        elif topic == topics.speed:
            stamp, speed_mps = speed_of(message)
            self.speeds.append((stamp, bag_ns, speed_mps))
        elif topic == topics.imu:
            self.imu.append((stamp_of(message), message.linear_acceleration.x))
        elif topic == topics.control:
            row = decode.control_row(message, topic)
            if decode.is_forward(message, row):
                self.controls.append((stamp_of(message), row))
            else:
                self.strange += 1
        else:
            self.names = self.names or tuple(message.name)
            if tuple(message.name) == self.names and len(message.position) == len(self.names):
                self.states.append((stamp_of(message), np.asarray(message.position)))
            else:
                self.renamed += 1

    def _take_odometry(self, bag_ns: int, message: Any) -> None:
        q = message.pose.pose.orientation
        if q.x == q.y == q.z == q.w == 0.0:
            self.unturned += 1
            return
        if not self.odometry:
            self.frame = message.header.frame_id.lstrip("/") or MAP_FRAME
        self.odometry.append((stamp_of(message), bag_ns, decode.ego_row(message)))
