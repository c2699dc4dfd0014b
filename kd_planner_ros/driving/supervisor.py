"""The last check before the actuators: limits, plausibility, staleness and the safe stop. Never raises."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.records import Control, Plan
from kd_planner_ros.driving.caution import NO_BOUND, Bound


class Reason:
    """Names that ``Control.reason`` can carry. LIMITED is the planner's wish within limits; HIDDEN_OBJECT and RED_SIGNAL that wish made
    more cautious for road users and signal phases that roadside stations report; the names of FALLBACKS say what drives instead of the
    newest plan's trajectory; everything else means a safe stop."""

    LIMITED = "limited"
    HIDDEN_OBJECT = "hidden_object"
    RED_SIGNAL = "red_signal"
    NEXT_CANDIDATE = "next_candidate"
    LAST_PLAN = "last_plan"
    SLOWER_PLAN = "slower_plan"
    COMFORTABLE_STOP = "comfortable_stop"
    PLAN_LATE = "plan_late"
    NO_PLAN = "no_plan"
    PLAN_STALE = "plan_stale"
    SENSOR_STALE = "sensor_stale"
    INPUT_FAILED = "input_failed"
    PLANNER_FAILED = "planner_failed"
    PLAN_NOT_FINITE = "plan_not_finite"
    PLAN_TIMES = "plan_times"
    PLAN_INTERVAL = "plan_interval"
    PLAN_START = "plan_start"
    PLAN_CURVATURE = "plan_curvature"
    PLAN_ACCELERATION = "plan_acceleration"
    PLAN_UNSAFE = "plan_unsafe"
    OFF_ROUTE = "off_route"
    CONTROL_NOT_FINITE = "control_not_finite"
    EGO_NOT_FINITE = "ego_not_finite"


WISHES = ("", Reason.LIMITED, Reason.HIDDEN_OBJECT, Reason.RED_SIGNAL)
"""Reasons under which the newest plan is followed, its steering at least."""
FALLBACKS = (Reason.NEXT_CANDIDATE, Reason.LAST_PLAN, Reason.SLOWER_PLAN, Reason.COMFORTABLE_STOP)
SILENCES = frozenset({Reason.PLAN_LATE, Reason.PLAN_STALE, Reason.INPUT_FAILED, Reason.PLANNER_FAILED})
"""Faults of a planner that gives no plan: an older plan or path can still be followed."""
MIN_PLAN_AGE_S, PERIODS_OF_GRACE = 0.5, 2.5


def plan_age_limit_s(period_s: float, latency_s: float = 0.0) -> float:
    """The age in seconds from which a plan is stale, for a planner that plans every ``period_s`` and takes ``latency_s``.

    A plan acts ``latency_s`` after its picture at the earliest and is replaced by the next one at most a period and two
    latencies after its picture, so the limit is 2.5 periods and two latencies, at least 0.5 s: one lost plan is forgiven.
    10 Hz: 0.5 s; 2 Hz with 0.3 s: 1.85 s.
    """
    return max(MIN_PLAN_AGE_S, PERIODS_OF_GRACE * period_s + 2.0 * latency_s)


@dataclass(frozen=True)
class Limits:
    """What is accepted. The trajectory's limits are those of Autoware's planning validator where it has one."""

    max_plan_age_s: float = MIN_PLAN_AGE_S  # plan_age_limit_s
    max_sensor_age_s: float = 0.5
    max_interval_m: float = 100.0
    max_speed_mps: float = 45.0
    max_start_gap_m: float = 10.0
    max_behind_m: float = 50.0  # of the target point: the search window of the route's follower
    max_curvature_per_m: float = 1.0
    max_lateral_mps2: float = 9.8
    max_acceleration_mps2: float = 9.8
    min_segment_m: float = 1.0  # the heading of shorter segments is noise
    max_throttle: float = 0.8
    brake_rise_per_s: float = 1.0
    stop_brake: float = 0.8
    tick_s: float = 0.05


class Supervisor:
    """Checks one wish a tick.

    Attributes:
        counts: how often each reason was given since ``reset``.
        cautious: whether reported road users or signals changed the control of the last tick, whatever reason it carries.
        cautious_ticks: in how many ticks they did since ``reset``.
        wished_brake: the brake of the last tick before they did.
    """

    def __init__(self, limits: Limits = Limits()):
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self.reset()

    def reset(self) -> None:
        """Forget the last control and all counts."""
        self.counts.clear()
        self.cautious, self.cautious_ticks, self.wished_brake = False, 0, 0.0
        self._last = Control(brake=0.0)
        self._last_ns: int | None = None
        self._judged: tuple[Plan, float, str] | None = None

    def accepts(self, plan: Plan, ego: EgoState) -> bool:
        """Whether the controller may be run on ``plan``: a NaN would stay in its error windows for two seconds."""
        return bool(np.isfinite(ego.speed_mps)) and not self._judge(plan, ego.speed_mps)

    def check(self, control: Control | None, plan: Plan | None, ego: EgoState, now_ns: int,
              sensor_ages_s: Mapping[str, float] | None = None, failed: str = "") -> Control:
        """The control to send: the wish, limited; or the safe stop with the name of the first rule that failed.

        Args:
            control: the controller's wish, or None when there is none.
            plan: what the wish follows, or None before the first one.
            now_ns: the time of this tick on the clock that stamps the sensors.
            sensor_ages_s: age of each sensor's newest message; one that is too old stops the car.
            failed: a reason that the caller found itself (INPUT_FAILED, PLANNER_FAILED).
        """
        return self.send(control, ego, now_ns, failed or self.fault(control, plan, ego, now_ns, sensor_ages_s))

    def send(self, control: Control | None, ego: EgoState, now_ns: int, fault: str = "", bound: Bound = NO_BOUND) -> Control:
        """End the tick: ``control`` limited, or the safe stop for ``fault``, each within ``bound``. A control whose reason is one of
        FALLBACKS is sent in spite of the fault; both names are counted then."""
        if control is None or (fault and control.reason not in FALLBACKS):
            sent = self._stop(ego, now_ns, fault or Reason.NO_PLAN)
        else:
            sent = self._limit(control)
        free, sent = sent, bound.apply(sent, Reason.HIDDEN_OBJECT)
        self.wished_brake, self.cautious = free.brake, sent is not free
        self.cautious_ticks += self.cautious
        self.counts.update({name for name in (sent.reason, fault) if name})
        self._last, self._last_ns, self._judged = sent, now_ns, None
        return sent

    def state_fault(self, ego: EgoState, sensor_ages_s: Mapping[str, float] | None = None) -> str:
        """EGO_NOT_FINITE, SENSOR_STALE or "": faults that no plan can repair."""
        if not all(map(np.isfinite, (ego.pose.x, ego.pose.y, ego.pose.yaw, ego.speed_mps))):
            return Reason.EGO_NOT_FINITE
        if any(not age <= self.limits.max_sensor_age_s for age in (sensor_ages_s or {}).values()):
            return Reason.SENSOR_STALE
        return ""

    def fresh(self, plan: Plan, now_ns: int, max_age_s: float | None = None) -> bool:
        """Whether ``plan`` is younger than ``max_age_s`` (the limits' own unless given)."""
        limit_s = self.limits.max_plan_age_s if max_age_s is None else max_age_s
        return -limit_s <= (now_ns - plan.stamp_ns) * 1e-9 <= limit_s

    def _judge(self, plan: Plan, speed_mps: float) -> str:
        """What ``check_trajectory`` says, asked once in a tick: by ``accepts``, and by ``check``, which ends the tick."""
        if self._judged is None or self._judged[0] is not plan or self._judged[1] != speed_mps:
            self._judged = plan, speed_mps, check_trajectory(plan, speed_mps, self.limits)
        return self._judged[2]

    def fault(self, control: Control | None, plan: Plan | None, ego: EgoState, now_ns: int,
              sensor_ages_s: Mapping[str, float] | None = None) -> str:
        """The name of the first rule that does not hold, or "". Arguments as in ``check``."""
        if reason := self.state_fault(ego, sensor_ages_s):
            return reason
        if plan is None:
            return Reason.NO_PLAN
        if not self.fresh(plan, now_ns):
            return Reason.PLAN_STALE
        if reason := self._judge(plan, ego.speed_mps):
            return reason
        if control is None:
            return Reason.NO_PLAN
        if not all(map(np.isfinite, (control.throttle, control.steer, control.brake))):
            return Reason.CONTROL_NOT_FINITE
        return ""

    def _limit(self, control: Control) -> Control:
        throttle = float(np.clip(control.throttle, 0.0, self.limits.max_throttle))
        steer, brake = float(np.clip(control.steer, -1.0, 1.0)), float(np.clip(control.brake, 0.0, 1.0))
        changed = (throttle, steer, brake) != (control.throttle, control.steer, control.brake)
        return replace(control, throttle=throttle, steer=steer, brake=brake,
                       reason=Reason.LIMITED if changed and not control.reason else control.reason)

    def _stop(self, ego: EgoState, now_ns: int, reason: str) -> Control:
        """Brake rising at a steady rate to ``stop_brake`` and never falling, full once the car stands; steering fading to
        straight."""
        passed_s = self.limits.tick_s if self._last_ns is None else (now_ns - self._last_ns) * 1e-9
        passed_s = min(max(passed_s, 0.0), 0.5)
        standing = np.isfinite(ego.speed_mps) and abs(ego.speed_mps) < 0.1
        risen = min(self.limits.stop_brake, self._last.brake + self.limits.brake_rise_per_s * passed_s)
        brake = 1.0 if standing else max(self._last.brake, risen)
        return Control(now_ns, 0.0, self._last.steer * 0.5 ** (passed_s / 0.5), brake, reason)


def last_stop(last: Control, stamp_ns: int, reason: str, limits: Limits = Limits()) -> Control:
    """The control to leave the car with when none will follow: the whole brake of a safe stop at once, because nobody is there to
    raise it, and the steering of ``last``."""
    return Control(stamp_ns, 0.0, last.steer, max(last.brake, limits.stop_brake), reason)


def check_trajectory(plan: Plan, speed_mps: float, limits: Limits = Limits()) -> str:
    """The name of the first rule that ``plan``'s trajectory breaks, or "".

    Checked: finite values, a target point that does not lie behind the car, increasing times, length and speed of every segment, the
    gap to the car, curvature where the car really moves, lateral and longitudinal acceleration.
    """
    points, times = np.asarray(plan.trajectory.points, float), np.asarray(plan.trajectory.times_s, float)
    if points.ndim != 2 or len(points) < 2 or len(points) != len(times):
        return Reason.PLAN_TIMES
    goal = np.asarray(plan.goal.target_point, float)
    if not (np.isfinite(points).all() and np.isfinite(times).all() and np.isfinite(goal).all()):
        return Reason.PLAN_NOT_FINITE
    if goal[0] < -limits.max_behind_m:
        return Reason.OFF_ROUTE
    if times[0] < 0.0 or (np.diff(times) <= 0.0).any():
        return Reason.PLAN_TIMES
    steps = np.diff(points, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    speeds = lengths / np.diff(times)
    if lengths.max() > limits.max_interval_m or speeds.max() > limits.max_speed_mps:
        return Reason.PLAN_INTERVAL
    if np.hypot(*points[0]) > limits.max_start_gap_m + abs(speed_mps) * times[0]:
        return Reason.PLAN_START
    curvature = _curvature(steps, lengths, limits.min_segment_m)
    lateral = curvature * np.minimum(speeds[1:], speeds[:-1]) ** 2
    if len(curvature) and curvature.max() > limits.max_curvature_per_m:
        return Reason.PLAN_CURVATURE
    gains = np.abs(np.diff(speeds)) / np.diff((times[1:] + times[:-1]) / 2.0)
    if (len(lateral) and lateral.max() > limits.max_lateral_mps2) or (
            len(gains) and gains.max() > limits.max_acceleration_mps2):
        return Reason.PLAN_ACCELERATION
    return ""


def _curvature(steps: np.ndarray, lengths: np.ndarray, min_segment_m: float) -> np.ndarray:
    """Absolute curvature [T - 2] in 1/m at the inner points; 0 where a neighbouring segment is too short to tell."""
    before, after = steps[:-1], steps[1:]
    turn = np.abs(np.arctan2(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(1)))
    short = np.minimum(lengths[:-1], lengths[1:]) < min_segment_m
    return np.where(short, 0.0, turn / np.maximum((lengths[:-1] + lengths[1:]) / 2.0, 1e-6))
