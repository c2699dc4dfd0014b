"""The small contract every planner keeps, learned or not. A node, the evaluator and a notebook hold a Planner."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.core.sensors import SensorRig

if TYPE_CHECKING:
    from torch import Tensor


class Planner(ABC):
    """Turns one Frame into one Plan. Declares the sensors it needs, so nothing else is mounted or subscribed.

    ``name`` is a non-empty text, ``rig`` a SensorRig and ``rate_hz`` the rate it was made for. Each is an attribute of
    the class or set by ``__init__``. A class that breaks the contract fails when it is defined.
    """

    name: str
    rig: SensorRig
    rate_hz: float

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        for method, arguments in (("reset", 1), ("plan", 2)):
            function = cls.__dict__.get(method)
            if function is not None and len(inspect.signature(function).parameters) != arguments:
                raise PlannerError(f"{cls.__name__}.{method} with {arguments - 1} argument(s) beside self",
                                   str(inspect.signature(function)), "keep to networks/planner.py")
        for field, kind in (("name", str), ("rig", SensorRig), ("rate_hz", (int, float))):
            value = cls.__dict__.get(field)
            if value is not None and not isinstance(value, (kind, property)):
                raise PlannerError(f"{cls.__name__}.{field} to be of the contract's type", repr(value),
                                   "keep to networks/planner.py")

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

    def reset(self) -> None:
        """Forget frames seen before; nothing to forget unless the processor says so."""


def require_planner(planner: Planner) -> Planner:
    """``planner`` itself, checked.

    Raises:
        PlannerError: it is no Planner, or lacks a usable name, rig or rate.
    """
    if not isinstance(planner, Planner):
        raise PlannerError("a Planner", type(planner).__name__, "derive it from networks/planner.py")
    if not isinstance(getattr(planner, "name", None), str) or not planner.name:
        raise PlannerError(f"a name on {type(planner).__name__}", "none", "set 'name' in the class or in __init__")
    if not isinstance(getattr(planner, "rig", None), SensorRig):
        raise PlannerError(f"a SensorRig on planner '{planner.name}'", repr(getattr(planner, "rig", None)),
                           "set 'rig' in the class or in __init__")
    rate = getattr(planner, "rate_hz", None)
    if not isinstance(rate, (int, float)) or not 0.0 < rate <= 100.0:
        raise PlannerError(f"rate_hz in (0, 100] on planner '{planner.name}'", repr(rate), "set 'rate_hz'")
    return planner
