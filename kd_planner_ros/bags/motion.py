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
from kd_planner_ros.core.timeline import Timeline, series
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.motion import speed_of
from kd_planner_ros.wire.topics import TRUTH_STATE, Topics


def read_motion(recording: Contents) -> Timeline:
    """Ego, controls and named truth at full rate, without goals. Topics whose stamps cannot be believed are left out, and odometry
    without finite numbers is; ``recording.notes`` says so.

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
        raise BagError(f"finite numbers on {topics.odometry} in {recording.path}", f"none in {len(found.odometry)} messages",
                       "check the localisation, and record again")
    if found.renamed:
        notes.append(f"{found.renamed} messages on {TRUTH_STATE} are left out: other names than in the first one")
    ego = decode.join_ego(rows, found.speeds, series(found.imu[::-1]), notes, topics.speed)
    return Timeline(ego, series(found.controls, 3), series(found.states[::-1], len(found.names)), found.names)


@dataclass
class _Found:
    """Rows of the messages so far, in their order. Of equal stamps the first row counts, of controls the last: the car did that."""

    odometry: list[tuple[int, int, list[float]]] = field(default_factory=list)
    speeds: list[tuple[int | None, int, float]] = field(default_factory=list)
    imu: list[tuple[int, float]] = field(default_factory=list)
    controls: list[tuple[int, list[float]]] = field(default_factory=list)
    states: list[tuple[int, np.ndarray]] = field(default_factory=list)
    names: tuple[str, ...] = ()
    renamed: int = 0

    def take(self, topics: Topics, topic: str, bag_ns: int, message: Any) -> None:
        """Keep one message's numbers."""
        if topic == topics.odometry:
            self.odometry.append((stamp_of(message), bag_ns, decode.ego_row(message)))
        elif topic == topics.speed:
            stamp, speed_mps = speed_of(message)
            self.speeds.append((stamp, bag_ns, speed_mps))
        elif topic == topics.imu:
            self.imu.append((stamp_of(message), message.linear_acceleration.x))
        elif topic == topics.control:
            self.controls.append((stamp_of(message), decode.control_row(message, topic)))
        else:
            self.names = self.names or tuple(message.name)
            if tuple(message.name) == self.names and len(message.position) == len(self.names):
                self.states.append((stamp_of(message), np.asarray(message.position)))
            else:
                self.renamed += 1
