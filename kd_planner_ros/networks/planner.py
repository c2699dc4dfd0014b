"""The small contract every planner keeps, learned or not. A node, the evaluator and a notebook hold a Planner."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Mapping, Sequence

from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.core.sensors import SensorRig

if TYPE_CHECKING:
    from torch import Tensor


class Planner(ABC):
    """Turns one Frame into one Plan. Declares the sensors it needs, so nothing else is mounted or subscribed."""

    name: str
    rig: SensorRig
    rate_hz: float

    @abstractmethod
    def reset(self) -> None:
        """Forget everything recurrent: called at the start of a route and after a jump in time."""

    @abstractmethod
    def plan(self, frame: Frame) -> Plan:
        """The plan for ``frame``; its stamp is the frame's.

        Raises:
            SensorError: a declared sensor is missing from the frame, or has the wrong size.
        """


class Processor(ABC):
    """The border between records and tensors; one implementation serves node, trainer and evaluator."""

    @abstractmethod
    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """Model inputs for a batch of frames, leading axis B."""

    @abstractmethod
    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Plan:
        """The plan in ``outputs`` (batch of one) for ``frame``."""
