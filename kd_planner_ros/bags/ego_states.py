"""The ego state of data sets that publish places alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kd_planner_ros.core.records import EgoState, Pose


def ego_states(stamps_ns: Sequence[int], poses: Sequence[Pose]) -> list[EgoState]:
    """The ego at each of ``poses`` (map frame, z up); speed (m/s, forward), acceleration and yaw rate are differences to the pose before,
    so that a planner is told nothing of what comes. The first state has those of the second, for nothing lies before it.

    Raises:
        ValueError: fewer than two poses, or stamps that do not increase.
    """
    seconds = np.asarray(stamps_ns, np.int64) / 1e9
    if len(poses) < 2 or not (np.diff(seconds) > 0.0).all():
        raise ValueError("two poses or more, with increasing stamps")
    yaws = np.unwrap([pose.yaw for pose in poses])
    steps = _rates(np.array([(pose.x, pose.y) for pose in poses]), seconds)
    middles = (yaws + np.concatenate([yaws[1:2], yaws[:-1]])) / 2.0  # the heading between two poses, not that at the end
    speeds = steps[:, 0] * np.cos(middles) + steps[:, 1] * np.sin(middles)
    return [EgoState(int(stamp), pose, float(speed), yaw_rate_rps=float(turn), acceleration_mps2=float(pull))
            for stamp, pose, speed, pull, turn in zip(stamps_ns, poses, speeds, _rates(speeds, seconds), _rates(yaws, seconds),
                                                      strict=True)]


def _rates(values: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Change a second since the row before; the first row has the second's."""
    steps = np.diff(values, axis=0) / np.diff(seconds).reshape(-1, *[1] * (values.ndim - 1))
    return np.concatenate([steps[:1], steps])
