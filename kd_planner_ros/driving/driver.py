"""The whole way from frame to control, as the graph and the evaluator both run it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Protocol

from kd_planner_ros.core.ego import EgoState, NavigationGoal
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Control, Frame, Plan
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.v2x import ReportedObjects, SignalPhases, SilentStations
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
        pilot: one of the caller's own; else its plan age limits follow from the planners' ``rate_hz`` (10 where one has none)
            and latencies.
        latency_s: the longest time that a plan takes, see ``step``.
        slower: a second planner, whose plans are followed while the first one is silent (``Pilot``); None: there is none.
        slower_latency_s: the longest time that one of its plans takes.
    """

    def __init__(self, planner: Plans, route: Route, pilot: Pilot | None = None, latency_s: float = 0.0,
                 roll_forward: bool = True, slower: Plans | None = None, slower_latency_s: float = 0.0):
        self.planner, self.slower = planner, slower
        self.route_planner = RoutePlanner(route)
        self.pilot = pilot or pilot_for(_period_s(planner), latency_s, roll_forward=roll_forward, slower_latency_s=slower_latency_s,
                                        slower_period_s=0.0 if slower is None else _period_s(slower))
        self._work = _Work(planner)
        self._slower_work = None if slower is None else _Work(slower)
        self.reset()

    def reset(self) -> None:
        """Back to the start of the route; planners, controller and supervisor forget everything."""
        for work in (self._work, self._slower_work):
            if work is not None:
                work.reset()
        self.route_planner.reset()
        self.pilot.reset()
        self._ages_s: Mapping[str, float] = {}

    @property
    def last_error(self) -> str:
        """What the planner raised last, in one sentence; "" where nothing was raised."""
        return self._work.last_error

    @property
    def slower_error(self) -> str:
        """``last_error`` of the slower planner."""
        return "" if self._slower_work is None else self._slower_work.last_error

    def goal(self, ego: EgoState) -> NavigationGoal:
        """The navigation goal seen from ``ego``: for the Frame that is being built. Advances along the route."""
        return self.route_planner.step(ego)

    def hear(self, reported: ReportedObjects) -> None:
        """Road users that roadside stations report, for the supervisor (``Pilot``)."""
        self.pilot.hear(reported)

    def hear_phases(self, phases: SignalPhases) -> None:
        """Signal phases that roadside stations report, for the supervisor."""
        self.pilot.hear_phases(phases)

    def hear_silent(self, silent: SilentStations) -> None:
        """Roadside stations that send no object list, for the supervisor."""
        self.pilot.hear_silent(silent)

    def step(self, frame: Frame | None, ego: EgoState, delay_s: float = 0.0, slower_frame: Frame | None = None,
             slower_delay_s: float = 0.0) -> tuple[Control, Plan | None]:
        """The control for this tick, and the planner's plan that begins to act in it (None where there is none).

        The plan of ``frame`` acts from the first tick on that is ``delay_s`` or more behind the frame's stamp: 0 in this
        tick, 0.1 two ticks of 20 Hz later. Plans become ready in the order of their frames. The same holds for the slower planner,
        its frames and its delays.

        A planner that raises does not stop the run: the pilot falls back (``Pilot``) when the fault would have been
        known, the control carries the reason, and ``last_error`` the sentence. A slower planner that raises gives no plan.
        """
        if slower_frame is not None and self._slower_work is not None:
            self._slower_work.ask(slower_frame, slower_delay_s)
        if frame is not None:
            self._ages_s = frame.ages_s
            self._work.ask(frame, delay_s)
        for outcome in () if self._slower_work is None else self._slower_work.ready(ego.stamp_ns):
            self._keep(outcome)
        acting = None
        for outcome in self._work.ready(ego.stamp_ns):
            acting = self._deliver(outcome) or acting
        return self.pilot.step(ego, ego.stamp_ns, self._ages_s), acting

    def _keep(self, outcome: Plan | str) -> None:
        """Hand a slower planner's plan to the pilot; a fault leaves the pilot with its last one."""
        if isinstance(outcome, str) or self._slower_work is None:
            return
        try:
            self.pilot.take(outcome, slower=True)
        except Exception as error:  # noqa: BLE001  a plan for a controller that there is none of
            self._slower_work.last_error = f"{type(error).__name__}: {error}"

    def _deliver(self, outcome: Plan | str) -> Plan | None:
        """Hand a finished plan, or the fault, to the pilot; gives the plan back where it is followed from now on."""
        if isinstance(outcome, str):
            self.pilot.fail(outcome)
            return None
        try:
            self.pilot.take(outcome)
        except Exception as error:  # noqa: BLE001  a plan for a controller that there is none of
            self._work.last_error = f"{type(error).__name__}: {error}"
            self.pilot.fail(Reason.PLANNER_FAILED)
        return outcome


class _Work:
    """One planner and its plans under way: each is made at once and handed out when it would be ready."""

    def __init__(self, planner: Plans):
        self._planner = planner
        self._under_way: deque[tuple[int, Plan | str]] = deque()
        self.last_error = ""

    def reset(self) -> None:
        self._planner.reset()
        self._under_way.clear()
        self.last_error = ""

    def ask(self, frame: Frame, delay_s: float) -> None:
        self._under_way.append((frame.stamp_ns + round(delay_s * 1e9), self._plan(frame)))

    def ready(self, now_ns: int) -> Iterator[Plan | str]:
        """The plans, and the reasons for those that there are none of, that are ready at ``now_ns``."""
        while self._under_way and self._under_way[0][0] <= now_ns:
            yield self._under_way.popleft()[1]

    def _plan(self, frame: Frame) -> Plan | str:
        try:
            return self._planner.plan(frame)
        except SensorError as error:
            self.last_error = str(error)
            return Reason.INPUT_FAILED
        except Exception as error:  # noqa: BLE001  a planner is anybody's code: whatever it raises, the car must stop
            self.last_error = f"{type(error).__name__}: {error}"
            return Reason.PLANNER_FAILED


def _period_s(planner: Plans) -> float:
    return 1.0 / getattr(planner, "rate_hz", 10.0)
