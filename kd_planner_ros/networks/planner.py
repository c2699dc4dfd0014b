"""The contracts of models by role. A node, the evaluator and a notebook hold a Planner or a Perceiver, learned or not."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.parts import WHOLE, Part

if TYPE_CHECKING:
    from torch import Tensor

    from kd_planner_ros.core.outputs import Perception

PLANNER, PERCEIVER = "planner", "perceiver"
ROLES = (PLANNER, PERCEIVER)
_CONTRACT = "keep to networks/planner.py"
Out = TypeVar("Out")


def _check_methods(kind: type, arguments: Mapping[str, int]) -> None:
    """Refuse class ``kind`` if one of its own methods takes another number of arguments than the contract says."""
    for name, count in arguments.items():
        function = kind.__dict__.get(name)
        if function is None:
            continue
        if not callable(function) or len(inspect.signature(function).parameters) != count + 1:
            got = str(inspect.signature(function)) if callable(function) else type(function).__name__
            raise PlannerError(f"{kind.__name__}.{name} with {count} argument(s) beside self", got, _CONTRACT)


class Model(ABC):
    """What planners and perceivers share. A model declares the sensors it needs, so nothing else is mounted or subscribed.

    ``name`` is a non-empty text, ``rig`` a SensorRig and ``rate_hz`` the rate the model was made for. Each is an attribute of
    the class or set by ``__init__``. ``role`` is set by Planner or Perceiver. A class that breaks the contract fails when it
    is defined.
    """

    name: str
    rig: SensorRig
    rate_hz: float
    role: ClassVar[str]

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        _check_methods(cls, {"reset": 0, "plan": 1, "perceive": 1})
        for name, kind in (("name", str), ("rig", SensorRig), ("rate_hz", (int, float)), ("role", str)):
            value = cls.__dict__.get(name)
            if value is not None and not isinstance(value, (kind, property)):
                raise PlannerError(f"{cls.__name__}.{name} to be of the contract's type", repr(value), _CONTRACT)
        roles = {base.__dict__["role"] for base in cls.__mro__ if "role" in base.__dict__}
        if len(roles) > 1 or not roles <= set(ROLES):
            raise PlannerError(f"one role for {cls.__name__}, out of {', '.join(ROLES)}", ", ".join(sorted(roles)),
                               "derive it from Planner or from Perceiver, and leave 'role' alone")

    @abstractmethod
    def reset(self) -> None:
        """Forget everything recurrent: called at the start of a route and after a jump in time."""


class Planner(Model):
    """Turns one Frame into one Plan."""

    role = PLANNER

    @abstractmethod
    def plan(self, frame: Frame) -> Plan:
        """The plan for ``frame``; its stamp is the frame's. A planner that needs no route (``rig.needs_route``) gets no goal, and
        gives the point that it heads for as the plan's.

        Raises:
            SensorError: a declared sensor is missing from the frame, or has the wrong size.
        """


class Perceiver(Model):
    """Turns one Frame into one Perception: dense arrays of one camera and named numbers.

    Attributes:
        parts: what can be left out of a frame, in the order in which it runs; one part where nothing can.
        due: names of the parts that run on the next frames; None: all. A perceiver of one part does not read it.
        made_of: output -> the parts that it is made of, where they are several, its own first: it is absent from a frame for which one of
            them did not run.
        cut_by: part whose output another part cuts -> (that other part, what it cuts out). It is given uncut for a frame for which the
            other one did not run.
    """

    role = PERCEIVER
    parts: tuple[Part, ...] = WHOLE
    due: Collection[str] | None = None
    made_of: Mapping[str, tuple[str, ...]] = {}
    cut_by: Mapping[str, tuple[str, str]] = {}

    @abstractmethod
    def perceive(self, frame: Frame) -> Perception:
        """What is seen in ``frame``; its stamp is the frame's. The names and kinds of the outputs never change; outputs of parts that
        are not ``due`` are absent.

        Raises:
            SensorError: a declared sensor is missing from the frame, or has the wrong size.
        """


class Processor(ABC, Generic[Out]):
    """The border between records and tensors; one implementation serves node, trainer and evaluator.

    ``Out`` is Plan for a planner's network and Perception for a perceiver's. ``made_of`` and ``cut_by`` are a
    perceiver's.
    """

    made_of: Mapping[str, tuple[str, ...]] = {}
    cut_by: Mapping[str, tuple[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        _check_methods(cls, {"encode": 1, "decode": 2, "reset": 0})

    @abstractmethod
    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """Model inputs for a batch of frames, leading axis B."""

    @abstractmethod
    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Out:
        """The plan or perception in ``outputs`` (batch of one) for ``frame``. Of a network in parts (``networks/parts.py``) the outputs of
        parts that did not run are absent: the perception holds what can be made of the others."""

    def reset(self) -> None:
        """Forget frames seen before; there is nothing to forget unless the processor says so."""


def require_model(model: Any, role: str | None = None) -> Any:
    """``model`` itself, checked; ``role`` (planner or perceiver) is demanded where it is given.

    Raises:
        PlannerError: it is no Planner and no Perceiver, has another role, or lacks a usable name, rig or rate.
    """
    kinds: dict[str, Any] = {PLANNER: Planner, PERCEIVER: Perceiver}
    wanted_kinds: tuple[Any, ...] = (kinds[role],) if role else tuple(kinds.values())
    if not isinstance(model, wanted_kinds):
        wanted = f"a {kinds[role].__name__}" if role else "a Planner or a Perceiver"
        got = f"'{model.name}', a {model.role}" if isinstance(model, Model) and hasattr(model, "role") else type(model).__name__
        raise PlannerError(wanted, got, f"name a {role or 'model'}, or derive the class from {wanted[2:]} of networks/planner.py")
    if not isinstance(getattr(model, "name", None), str) or not model.name:
        raise PlannerError(f"a name on {type(model).__name__}", "none", "set 'name' in the class or in __init__")
    if not isinstance(getattr(model, "rig", None), SensorRig):
        raise PlannerError(f"a SensorRig on {model.role} '{model.name}'", repr(getattr(model, "rig", None)),
                           "set 'rig' in the class or in __init__")
    rate = getattr(model, "rate_hz", None)
    if not isinstance(rate, (int, float)) or not 0.0 < rate <= 100.0:
        raise PlannerError(f"rate_hz in (0, 100] on {model.role} '{model.name}'", repr(rate), "set 'rate_hz'")
    return model


def require_planner(planner: Any) -> Planner:
    """``planner`` itself, checked.

    Raises:
        PlannerError: it is no Planner, or lacks a usable name, rig or rate.
    """
    return require_model(planner, PLANNER)


def require_perceiver(perceiver: Any) -> Perceiver:
    """``perceiver`` itself, checked.

    Raises:
        PlannerError: it is no Perceiver, or lacks a usable name, rig or rate.
    """
    return require_model(perceiver, PERCEIVER)
