"""The first pictures of a recording, to measure a perceiver on."""

from __future__ import annotations

from pathlib import Path

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.evaluation.perceive.inputs import open_shots
from kd_planner_ros.evaluation.perceive.run import looked, only_camera
from kd_planner_ros.networks.planner import Perceiver


def recorded_frames(perceiver: Perceiver, bag: Path, most: int) -> list[Frame]:
    """The first ``most`` pictures of a recording as frames of ``perceiver``.

    Raises:
        ConfigError, BagError: it needs more than one camera, or the recording lacks it.
    """
    own = only_camera(perceiver)
    if not Path(bag).exists():
        raise BagError(f"a recording at {bag}", "nothing", "correct --bag")
    frames = [frame for _, frame, _ in looked(perceiver, open_shots(bag, 0.0, perceiver.rate_hz, (), own), most)]
    if not frames:
        raise BagError(f"pictures of camera '{own.id}' in {bag}", "none", "give another recording")
    return frames
