"""The controller node: plans and odometry in, exactly one control per tick out. Wiring only."""

from __future__ import annotations

from functools import partial
from typing import Any

from nav_msgs.msg import Odometry
from std_msgs.msg import Bool

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.driving.pilot import pilot_for
from kd_planner_ros.ros.clock import InputWatch
from kd_planner_ros.ros.diagnostics import OK, WARN, Health
from kd_planner_ros.ros.lifecycle import SUCCESS, guarded, leave, run
from kd_planner_ros.ros.managed import ManagedNode
from kd_planner_ros.ros.messages import find_type
from kd_planner_ros.ros.params import declare
from kd_planner_ros.ros.plan_gate import CLOCK_MISSING, ODOMETRY_STALE, PlanGate
from kd_planner_ros.ros.ports.controller_outputs import ControllerOutputs
from kd_planner_ros.ros.ports.gateway_inputs import GatewayInputs
from kd_planner_ros.ros.ports.plan_inputs import PlanInputs
from kd_planner_ros.ros.profiles import make_adapter
from kd_planner_ros.ros.qos import LATCHED, STATE, advertise, subscribe
from kd_planner_ros.ros.specs.controller import ControllerParams
from kd_planner_ros.sync.aligner import JUMP_NS


class ControllerNode(ManagedNode):
    """Holds a Pilot behind a PlanGate. Tells the world that the agent is ready once it and the planner are."""

    def __init__(self, **options: Any) -> None:
        super().__init__("controller", **options)
        self.params = p = declare(self, ControllerParams)
        self.adapter = make_adapter(p.carla_profile, p.role_name, p.carla_version)
        self.adapter.max_steer_rad = p.max_steer_rad
        self.health = Health(self, self._values)
        self._watch = InputWatch(self, self.health, p.unseen_after_s, self._time_jump)
        pilot = pilot_for(p.plan_period_s, p.plan_latency_s, p.max_plan_age_s, full_lock_rad=p.max_steer_rad,
                          slower_period_s=p.fallback_period_s, slower_latency_s=p.fallback_latency_s,
                          car=Car(p.car_length_m, p.car_width_m, p.car_ahead_m))
        self._gate = PlanGate(pilot, p.plan_period_s, p.lockstep, p.plan_timeout_s,
                              lambda control, ego: self._outputs.send(control, ego), slower_period_s=p.fallback_period_s)
        self._ego: EgoState | None = None
        self._active = False
        self._told_ready, self._outputs, self._plans, self._ports = None, None, None, []
        self._status = advertise(self, Bool, "status", LATCHED)
        self.health.set("state", WARN, "unconfigured")
        self.create_timer(0.05, self._watchdog, clock=self.health.clock)

    def on_configure(self, state: Any) -> Any:
        """Open the ports."""
        self._outputs = ControllerOutputs(self, self.adapter, self.params.max_steer_rad, self.health)
        mismatch = partial(self.health.set, "qos", WARN)

        def port(kind: type, topic: str, work: Any, profile: Any, on_fault: Any = None) -> Any:
            return subscribe(self, kind, topic, guarded(self.health, work, on_fault, topic), profile, mismatch)

        self._plans = PlanInputs(self, self.health, self._gate, self.params.fallback_period_s > 0.0, self._tell_ready)
        reports = {name: (find_type(kind), take) for name, (kind, take) in self.adapter.reports.items()}
        self._ports = [*self._plans.subscriptions, *(port(kind, name, take, STATE) for name, (kind, take) in reports.items() if kind),
                       *(GatewayInputs(port, self.adapter, self._gate.pilot).subscriptions if self.params.v2x else []),
                       port(Odometry, "odometry", self._take_odometry, STATE, self._bad_odometry)]
        self.health.set("state", WARN, "inactive")
        return SUCCESS

    def on_activate(self, state: Any) -> Any:
        """Open the gate."""
        result = super().on_activate(state)
        self._gate.reset()
        self._active = True
        self._watch.start(["odometry"], sent=["control"])
        self._tell_ready()
        return result

    def stand_down(self) -> None:
        """Brake once if the car was being driven, and say that nobody drives."""
        self._active = False
        if self._outputs is not None:
            if self._gate.leave(self._watch.now_ns, "deactivated"):
                self._outputs.flush()
            self._tell_ready()
        self._watch.stop()

    def give_back(self) -> None:
        """Drop the ports."""
        for one in self._ports:
            self.destroy_subscription(one)
        self._gate.reset()
        if self._outputs is not None:
            self._outputs.close()
        self._ports, self._outputs = [], None

    def _tell_ready(self) -> None:
        ready = self._active and self._plans is not None and self._plans.ready
        self.health.set("state", OK if ready else WARN, "driving" if ready else
                        f"waiting for the {self._plans.missing}" if self._active and self._plans else "inactive")
        if ready != self._told_ready:
            self._told_ready = ready
            self._status.publish(Bool(data=ready))

    def _take_odometry(self, message: Odometry) -> None:
        self._watch.mark("odometry")
        ego = self.adapter.odometry_from_msg(message)
        if self._ego is not None and ego.stamp_ns < self._ego.stamp_ns - JUMP_NS:
            self._forget()
        self._ego = ego
        if not self._active:
            return
        if self._watch.clock_missing():
            self._gate.stop(ego, ego.stamp_ns, CLOCK_MISSING)
        else:
            self._gate.tick(ego)

    def _bad_odometry(self, error: str) -> None:
        if self._active:
            self._gate.stop(self._ego, self._watch.now_ns, "odometry_invalid")

    def _watchdog(self) -> None:
        self._gate.expire()
        now_ns = self._watch.now_ns
        known = self._active and self._ego is not None and now_ns is not None
        if known and now_ns - self._ego.stamp_ns > self.params.odometry_timeout_s * 1e9:
            self._gate.stop(self._ego, now_ns, ODOMETRY_STALE)

    def _time_jump(self) -> None:
        if self._ego is not None and self._watch.lies_ahead(self._ego.stamp_ns):
            self._forget()

    def _forget(self) -> None:
        self._ego = None
        self._gate.reset()
        if self._ports:
            self._plans.reset()

    def _values(self) -> dict[str, Any]:
        return {**self.adapter.notes(), **(self._outputs.values() if self._outputs else {}), **self._gate.values(),
                "lockstep": self.params.lockstep, **(self._plans.values() if self._ports else {})}


def main() -> None:
    """Run the controller node as a process."""
    leave(run(ControllerNode))


if __name__ == "__main__":
    main()
