"""The newest plan, the controller, the fallback chain and the supervisor: what the controller node runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.core.v2x import ReportedObjects, SignalPhases, SilentStations
from kd_planner_ros.driving.candidates import CandidateGate
from kd_planner_ros.driving.caution import NO_BOUND, Bound, Caution, CautionSettings
from kd_planner_ros.driving.clearance import GateSettings
from kd_planner_ros.driving.comfortable_stop import ComfortableStop, StopSettings
from kd_planner_ros.driving.controllers import Controller, build_controller
from kd_planner_ros.driving.occlusion import Occlusion
from kd_planner_ros.driving.roll import EgoTrack, roll_forward
from kd_planner_ros.driving.signals import Signals, SignalSettings
from kd_planner_ros.driving.supervisor import SILENCES, Limits, Reason, Supervisor, plan_age_limit_s
from kd_planner_ros.geometry.frames import from_base

MADE_FOR_LOCK_RAD = StopSettings.full_lock_rad
"""Wheel angle at full lock of CARLA's default car: networks learn, and controllers are tuned, in shares of it."""


class Pilot:
    """One ``step`` a tick: what is followed is the first of

    1. the newest plan (no reason, or ``limited``); where its best trajectory fails and it has candidates, the next best that passes
       (``next_candidate``, ``candidates.py``),
    2. the last plan that was followed, while it is fresh (``last_plan``),
    3. the last plan of a slower planner, while it is fresh (``slower_plan``),
    4. the last path at constant velocity, then a comfortable stop on it (``comfortable_stop``),
    5. the supervisor's safe stop, with the name of what is wrong.

    2 to 4 answer a planner that fails or is silent (``SILENCES``). A planner whose plans are implausible is not trusted
    with its older ones either, and a car that does not know its own state, or whose sensors are too old, can follow
    nothing: both go to 5 at once. Each tick counts the step's name and the fault's in ``supervisor.counts``.

    The controller is ticked every time, because its PIDs are made for 20 Hz, with the plan rolled forward from its stamp
    to now (``roll.py``) and the car's present speed. Unless one is given, the controller is the one that the plans ask for.

    Whatever is followed, road users (``hear``) and signal phases (``hear_phases``) that stations report, and stations that report none
    (``hear_silent``), can make the control more cautious (``caution.py``, ``occlusion.py``, ``signals.py``).

    Args:
        slower_age_s: age up to which a slower planner's plan is fresh (``plan_age_limit_s`` of its period).
        roll_forward: False holds a plan between frames as it was made, as TCP's and InterFuser's agents do.
        stop: how step 4 stops, and the car's figures. car: its box.
    """

    def __init__(self, controller: Controller | None = None, supervisor: Supervisor | None = None,
                 slower_age_s: float = 1.25, roll_forward: bool = True, stop: StopSettings = StopSettings(), car: Car = Car()):
        self._given, self._stop_settings = controller, stop
        self._built: dict[str, Controller] = {}
        self.supervisor = supervisor or Supervisor()
        self._slower_age_s, self._rolls = slower_age_s, roll_forward
        self._track = EgoTrack()
        self.caution, self.signals = Caution(CautionSettings(car=car)), Signals(SignalSettings(car=car))
        self.occlusion, self._gate = Occlusion(caution=self.caution.settings), CandidateGate(GateSettings(car=car))
        self.reset()

    def reset(self) -> None:
        """Forget the plans, the controller's state and the supervisor's counts."""
        self.plan: Plan | None = None
        self._followed: Plan | None = None
        self._slower: Plan | None = None
        self._failed = ""
        self._reported: ReportedObjects | None = None
        self._phases: SignalPhases | None = None
        self._silent: SilentStations | None = None
        self._stop: ComfortableStop | None = None
        self._stopping = False
        self._track.reset()
        self._gate.reset()
        self.caution.reset()
        self.occlusion.reset()
        self.signals.reset()
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

    def take(self, plan: Plan, slower: bool = False) -> None:
        """Follow ``plan`` from now on. The plan of a ``slower`` planner is kept until the planner fails. A plan older than
        the present one is left out.

        Raises:
            PlannerError: there is no controller of the name that it asks for.
        """
        self.controller(plan)
        if slower:
            if self._slower is None or plan.stamp_ns >= self._slower.stamp_ns:
                self._slower = plan
        elif self.plan is None or plan.stamp_ns >= self.plan.stamp_ns:
            self.plan, self._failed = plan, ""

    def hear(self, reported: ReportedObjects) -> None:
        """What a gateway lets through; it counts until the next list, and no longer than ``CautionSettings.max_age_s``."""
        self._reported = reported

    def hear_phases(self, phases: SignalPhases) -> None:
        """The signals that a gateway lets through; they count until the next ones, and no longer than ``SignalSettings.max_age_s``;
        those that the car stops for ``hold_s`` longer."""
        self._phases = phases

    def hear_silent(self, silent: SilentStations) -> None:
        """Stations without an object list; they count until the next ones, and no longer than ``OcclusionSettings.kept_s``."""
        self._silent = silent

    def knows_later(self, stamp_ns: int) -> bool:
        """Whether a plan is later than ``stamp_ns``: then time was set back, and all that is known is of another time."""
        return any(plan is not None and plan.stamp_ns > stamp_ns for plan in (self.plan, self._slower))

    @property
    def failed(self) -> bool:
        """Whether the planner has said, or was found, to have no plan since its last one."""
        return bool(self._failed)

    def fail(self, reason: str) -> None:
        """Fall back, or stop, for ``reason`` until the next plan comes."""
        self._failed = reason

    def step(self, ego: EgoState, now_ns: int | None = None,
             sensor_ages_s: Mapping[str, float] | None = None) -> Control:
        """The control of this tick; ``now_ns`` is ``ego``'s stamp unless given. Never raises for bad values."""
        now_ns = ego.stamp_ns if now_ns is None else now_ns
        self._track.add(ego)
        supervisor, wish, fault = self.supervisor, None, self._failed
        unfit = supervisor.state_fault(ego, sensor_ages_s)
        plan, why = (self.plan, "") if fault or self.plan is None else self._gate.choose(self.plan, ego, supervisor.limits)
        refused = bool(why) and plan is self.plan
        if plan is not None and not fault and not refused and supervisor.accepts(plan, ego):
            wish = self._follow(plan, ego)
            fault = unfit or (Reason.PLAN_STALE if wish is None else "")
        fault = fault or supervisor.fault(wish, plan, ego, now_ns, sensor_ages_s)
        fault = why if refused and fault == Reason.NO_PLAN else fault
        if not fault:
            self._followed, self._stop, self._stopping = plan, None, False
            wish, fault = (replace(wish, reason=Reason.NEXT_CANDIDATE), why) if why and wish is not None else (wish, "")
        elif fault in SILENCES and not unfit:
            wish = self._fall_back(ego, now_ns)
        sent = supervisor.send(wish, ego, now_ns, fault, NO_BOUND if unfit else self._bound(ego, now_ns))
        self.caution.acted(supervisor.cautious and not self.signals.holds)  # who waits at red waits for no road user
        return sent

    def _bound(self, ego: EgoState, now_ns: int) -> Bound:
        """What reported road users, vehicles that hide others, and signals leave of throttle and brake."""
        path = self._path()
        hidden = self.occlusion.bound(self._reported, path, ego, now_ns, self._silent)
        users = self.caution.bound(self._reported, path, ego, now_ns).with_other(hidden)
        signals = self.signals.bound(self._phases, path, ego, now_ns)
        return users.with_other(replace(signals, reason=Reason.RED_SIGNAL))

    def _path(self) -> np.ndarray:
        """The path [P, 2] in ``map`` of the plan that is followed, or was last; none where nothing is known of it."""
        plan = self._followed or self.plan
        then = None if plan is None else self._track.pose_at(plan.trajectory.stamp_ns)
        if plan is None or then is None:
            return np.zeros((0, 2))
        return from_base(np.asarray(plan.trajectory.points, float).reshape(-1, 2), then)

    def _follow(self, plan: Plan, ego: EgoState) -> Control | None:
        """The controller's wish for ``plan`` as it looks from ``ego``; None where its time has passed."""
        controller = self.controller(plan)
        then = self._track.pose_at(plan.trajectory.stamp_ns) if self._rolls else None
        if then is not None:
            rolled = roll_forward(plan, then, ego.pose, ego.stamp_ns, getattr(controller, "timed", True))
            if rolled is None:
                return None
            plan = rolled
        return self._at_this_lock(controller.step(plan, ego))

    def _at_this_lock(self, wish: Control) -> Control:
        """``wish`` with the same wheel angle in a car of another lock than the one that plans and controllers are made for."""
        lock_rad = self._stop_settings.full_lock_rad
        if lock_rad == MADE_FOR_LOCK_RAD:
            return wish
        return replace(wish, steer=float(np.clip(wish.steer * MADE_FOR_LOCK_RAD / lock_rad, -1.0, 1.0)))

    def _fall_back(self, ego: EgoState, now_ns: int) -> Control | None:
        """Steps 2 to 4 of the chain; None where the safe stop must take over."""
        own_age_s = self.supervisor.limits.max_plan_age_s
        for plan, age_s, name in ((self._followed, own_age_s, Reason.LAST_PLAN), (self._slower, self._slower_age_s, Reason.SLOWER_PLAN)):
            if plan is None or not self.supervisor.fresh(plan, now_ns, age_s) or not self.supervisor.accepts(plan, ego):
                continue
            wish = self._follow(plan, ego)
            if wish is not None and np.isfinite([wish.throttle, wish.steer, wish.brake]).all():
                self._stop, self._stopping = None, False
                return replace(wish, reason=name)
        wish = self._stop_gently(ego, now_ns)
        return None if wish is None else replace(wish, reason=Reason.COMFORTABLE_STOP)

    def _stop_gently(self, ego: EgoState, now_ns: int) -> Control | None:
        """Step 4: begun once, on the newest path that there is; once it is over it does not begin again."""
        if self._stop is None:
            plan = max((one for one in (self._followed, self._slower) if one is not None), key=lambda one: one.stamp_ns, default=None)
            then = None if plan is None or self._stopping else self._track.pose_at(plan.trajectory.stamp_ns)
            if plan is None or then is None:
                return None
            points = np.concatenate([np.zeros((1, 2)), np.asarray(plan.trajectory.points, float)])
            self._stop, self._stopping = ComfortableStop(from_base(points, then), self._stop_settings), True
        wish = self._stop.step(ego, now_ns, self.supervisor.wished_brake)
        if wish is None:
            self._stop = None
        return wish


def pilot_for(period_s: float, latency_s: float = 0.0, max_plan_age_s: float = 0.0, roll_forward: bool = True,
              slower_period_s: float = 0.0, slower_latency_s: float = 0.0, full_lock_rad: float = StopSettings.full_lock_rad,
              car: Car = Car()) -> Pilot:
    """A pilot for a planner that plans every ``period_s`` and takes ``latency_s``; its plan age limit is ``max_plan_age_s``,
    or follows from the two (``plan_age_limit_s``) where that is 0. The limit of a slower planner's plans follows from its own two
    numbers; a period of 0 means that there is none. The car's box is ``car``, its wheels turn by ``full_lock_rad`` at most."""
    limits = Limits(max_plan_age_s=max_plan_age_s or plan_age_limit_s(period_s, latency_s))
    return Pilot(supervisor=Supervisor(limits), slower_age_s=plan_age_limit_s(slower_period_s, slower_latency_s), roll_forward=roll_forward,
                 stop=StopSettings(full_lock_rad=full_lock_rad), car=car)
