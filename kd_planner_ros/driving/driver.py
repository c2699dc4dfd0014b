"""The whole way from frame to control, as the graph and the evaluator both run it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Protocol

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Control, EgoState, Frame, NavigationGoal, Plan
from kd_planner_ros.core.route import Route
from kd_planner_ros.driving.pilot import Pilot, pilot_for
from kd_planner_ros.driving.route_planner import RoutePlanner
from kd_planner_ros.driving.supervisor import Reason

__all__ = ["Driver", "Pilot", "Plans"]


class Plans(Protocol):
    """What the driver needs of a planner (networks/planner.py's Planner fits). A ``rate_hz`` sets the plan age limit."""

    def reset(self) -> None: ...

    def plan(self, frame: Frame) -> Plan: ...


class Driver:
    """Route, planner and pilot in one: the evaluator's and the notebook's way to drive.

    Whoever builds a Frame asks ``goal(ego)`` for its navigation goal; ``step`` takes the Frame as it is. The graph has
    the same parts in two processes: the planner node holds route planner and planner, the controller node a Pilot.

    Args:
        pilot: one of the caller's own; else its plan age limit follows from the planner's ``rate_hz`` (10 where it has none)
            and ``latency_s``.
        latency_s: the longest time that a plan takes, see ``step``.
    """

    def __init__(self, planner: Plans, route: Route, pilot: Pilot | None = None, latency_s: float = 0.0,
                 roll_forward: bool = True):
        self.planner = planner
        self.route_planner = RoutePlanner(route)
        self.pilot = pilot or pilot_for(1.0 / getattr(planner, "rate_hz", 10.0), latency_s, roll_forward=roll_forward)
        self.reset()

    def reset(self) -> None:
        """Back to the start of the route; planner, controller and supervisor forget everything."""
        self.planner.reset()
        self.route_planner.reset()
        self.pilot.reset()
        self.last_error = ""
        self._ages_s: Mapping[str, float] = {}
        self._under_way: deque[tuple[int, Plan | str]] = deque()

    def goal(self, ego: EgoState) -> NavigationGoal:
        """The navigation goal seen from ``ego``: for the Frame that is being built. Advances along the route."""
        return self.route_planner.step(ego)

    def step(self, frame: Frame | None, ego: EgoState, delay_s: float = 0.0) -> tuple[Control, Plan | None]:
        """The control for this tick, and the plan that begins to act in it (None where there is none).

        The plan of ``frame`` acts from the first tick on that is ``delay_s`` or more behind the frame's stamp: 0 in this
        tick, 0.1 two ticks of 20 Hz later. Plans become ready in the order of their frames.

        A planner that raises does not stop the run: the pilot falls back (``Pilot``) when the fault would have been
        known, the control carries the reason, and ``last_error`` the sentence.
        """
        if frame is not None:
            self._ages_s = frame.ages_s
            self._under_way.append((frame.stamp_ns + round(delay_s * 1e9), self._plan(frame)))
        acting = None
        while self._under_way and self._under_way[0][0] <= ego.stamp_ns:
            outcome = self._under_way.popleft()[1]
            acting = self._deliver(outcome) or acting
        return self.pilot.step(ego, ego.stamp_ns, self._ages_s), acting

    def _plan(self, frame: Frame) -> Plan | str:
        """The plan for ``frame``, or the reason why there is none."""
        try:
            return self.planner.plan(frame)
        except SensorError as error:
            self.last_error = str(error)
            return Reason.INPUT_FAILED
        except Exception as error:  # noqa: BLE001  a planner is anybody's code: whatever it raises, the car must stop
            self.last_error = f"{type(error).__name__}: {error}"
            return Reason.PLANNER_FAILED

    def _deliver(self, outcome: Plan | str) -> Plan | None:
        """Hand a finished plan, or the fault, to the pilot; gives the plan back where it is followed from now on."""
        if isinstance(outcome, str):
            self.pilot.fail(outcome)
            return None
        try:
            self.pilot.take(outcome)
        except Exception as error:  # noqa: BLE001  a plan for a controller that there is none of
            self.last_error = f"{type(error).__name__}: {error}"
            self.pilot.fail(Reason.PLANNER_FAILED)
        return outcome
