"""Controllers by the name that a plan asks for (``Plan.follow``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.driving.steering_controller import SteeringController
from kd_planner_ros.driving.tcp_controller import TCPController


class Controller(Protocol):
    """Turns the newest plan into a control; ticked at 20 Hz. ``timed``: the controller follows a trajectory in time;
    otherwise a path without times."""

    timed: bool

    def reset(self) -> None: ...

    def step(self, plan: Plan, ego: EgoState) -> Control: ...


def _safety() -> Controller:
    from kd_planner_ros.driving.safety.controller import SafetyController  # OpenCV is loaded for those who need it

    return SafetyController()


CONTROLLERS: dict[str, Callable[[], Controller]] = {"pid": TCPController, "safety": _safety, "steering": SteeringController}
"""``pid`` follows a trajectory in time; ``safety`` a path, at the fastest speed that meets nobody; ``steering`` takes the plan's own
steering, at the speed of its trajectory."""


def build_controller(name: str) -> Controller:
    """A new controller.

    Raises:
        PlannerError: none of that name.
    """
    if name not in CONTROLLERS:
        raise PlannerError(f"a plan for a controller out of {', '.join(CONTROLLERS)}", repr(name),
                           "set 'follow' of the planner's plans")
    return CONTROLLERS[name]()
