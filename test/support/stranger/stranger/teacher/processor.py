"""A car has no ground truth: the teacher can only be read by the trainer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Frame
from stranger.perception.config import Config
from stranger.perception.processor import PerceptionProcessor


class TeacherProcessor(PerceptionProcessor):
    """Decodes as the student does, and encodes nothing."""

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        raise SensorError("ground truth", "a car's sensors", "use the teacher with 'kd-planner train' only")


def build_processor(config: Config) -> TeacherProcessor:
    return TeacherProcessor(config)
