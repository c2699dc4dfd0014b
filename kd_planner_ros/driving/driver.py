"""The whole way from frame to control, as the graph and the evaluator both run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Control, EgoState, Frame, NavigationGoal, Plan
from kd_planner_ros.core.route import Route
from kd_planner_ros.driving.controllers import Controller, build_controller
from kd_planner_ros.driving.route_planner import RoutePlanner
from kd_planner_ros.driving.supervisor import Reason, Supervisor


class Plans(Protocol):
    """What the driver needs of a planner (networks/planner.py's Planner fits)."""

    def reset(self) -> None: ...

    def plan(self, frame: Frame) -> Plan: ...


class Pilot:
    """The newest plan, the controller and the supervisor: what the controller node runs, one ``step`` a tick.

    The controller is ticked every time, with the newest plan and the car's present speed, because its PIDs are made
    for 20 Hz; the plan itself is held between frames, until the supervisor calls it stale. Unless one is given, the
    controller is the one that the plans ask for.
    """

    def __init__(self, controller: Controller | None = None, supervisor: Supervisor | None = None):
        self._given = controller
        self._built: dict[str, Controller] = {}
        self.supervisor = supervisor or Supervisor()
        self.reset()

    def reset(self) -> None:
        """Forget the plan, the controller's state and the supervisor's counts."""
        self.plan: Plan | None = None
        self._failed = ""
        for controller in (*self._built.values(), *([self._given] if self._given else [])):
            controller.reset()
        self.supervisor.reset()

    def controller(self, plan: Plan) -> Controller:
        """The controller that ``plan`` is made for.

        Raises:
            PlannerError: there is none of that name.
        """
        if self._given is not None:
            return self._given
        if plan.follow not in self._built:
            self._built[plan.follow] = build_controller(plan.follow)
        return self._built[plan.follow]

    def take(self, plan: Plan) -> None:
        """Follow ``plan`` from now on. One older than the present plan is left out.

        Raises:
            PlannerError: nobody knows how to follow it.
        """
        self.controller(plan)
        if self.plan is None or plan.stamp_ns >= self.plan.stamp_ns:
            self.plan, self._failed = plan, ""

    def fail(self, reason: str) -> None:
        """Stop for ``reason`` until the next plan comes."""
        self._failed = reason

    def step(self, ego: EgoState, now_ns: int | None = None,
             sensor_ages_s: Mapping[str, float] | None = None) -> Control:
        """The control of this tick; ``now_ns`` is ``ego``'s stamp unless given. Never raises for bad values."""
        now_ns = ego.stamp_ns if now_ns is None else now_ns
        supervisor, plan = self.supervisor, self.plan
        wish = None
        if plan is not None and not self._failed and supervisor.accepts(plan, ego):
            wish = self.controller(plan).step(plan, ego)
        return supervisor.check(wish, plan, ego, now_ns, dict(sensor_ages_s or {}), self._failed)


class Driver:
    """Route, planner and pilot in one: the evaluator's and the notebook's way to drive.

    Whoever builds a Frame asks ``goal(ego)`` for its navigation goal; ``step`` takes the Frame as it is. The graph has
    the same parts in two processes: the planner node holds route planner and planner, the controller node a Pilot.
    """

    def __init__(self, planner: Plans, route: Route, pilot: Pilot | None = None):
        self.planner = planner
        self.route_planner = RoutePlanner(route)
        self.pilot = pilot or Pilot()
        self.reset()

    def reset(self) -> None:
        """Back to the start of the route; planner, controller and supervisor forget everything."""
        self.planner.reset()
        self.route_planner.reset()
        self.pilot.reset()
        self.last_error = ""
        self._ages_s: Mapping[str, float] = {}

    def goal(self, ego: EgoState) -> NavigationGoal:
        """The navigation goal seen from ``ego``: for the Frame that is being built. Advances along the route."""
        return self.route_planner.step(ego)

    def step(self, frame: Frame | None, ego: EgoState) -> tuple[Control, Plan | None]:
        """The control for this tick, and the plan made in it (None where ``frame`` is None or the planner failed).

        A planner that raises does not stop the run: the car is brought to a safe stop, the control carries the
        reason, and ``last_error`` the sentence.
        """
        plan = None
        if frame is not None:
            self._ages_s = frame.ages_s
            try:
                plan = self.planner.plan(frame)
                self.pilot.take(plan)
            except SensorError as error:
                self.last_error = str(error)
                self.pilot.fail(Reason.INPUT_FAILED)
            except Exception as error:  # noqa: BLE001  a planner is anybody's code: whatever it raises, the car must stop
                self.last_error = f"{type(error).__name__}: {error}"
                self.pilot.fail(Reason.PLANNER_FAILED)
        return self.pilot.step(ego, ego.stamp_ns, self._ages_s), plan
