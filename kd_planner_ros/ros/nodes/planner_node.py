"""The planner node: sensor topics in, plans out. Wiring only."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Bool

from kd_planner_ros.core.errors import KdPlannerError
from kd_planner_ros.core.records import EgoState, Plan
from kd_planner_ros.ros.clock import InputWatch
from kd_planner_ros.ros.diagnostics import ERROR, OK, WARN, Health
from kd_planner_ros.ros.inference import Inference, load
from kd_planner_ros.ros.lifecycle import FAILURE, SUCCESS, leave, run
from kd_planner_ros.ros.params import declare
from kd_planner_ros.ros.ports.planner_inputs import PlannerInputs, blank_frame
from kd_planner_ros.ros.ports.planner_outputs import PlannerOutputs
from kd_planner_ros.ros.profiles import make_adapter
from kd_planner_ros.ros.qos import LATCHED, advertise
from kd_planner_ros.ros.specs.planner import PlannerParams


class PlannerNode(LifecycleNode):
    """configure: load and warm up. activate: open the gate. One executor thread and one inference thread."""

    def __init__(self, **options: Any) -> None:
        super().__init__("planner", **options)
        self.params = declare(self, PlannerParams)
        self.adapter = make_adapter(self.params.carla_profile, self.params.role_name, self.params.carla_version)
        self._inference = self._inputs = self._outputs = None
        self._active = False
        self.health = Health(self, self._values)
        self._watch = InputWatch(self, self.health, self.params.unseen_after_s, self._time_jump)
        self._ready = advertise(self, Bool, "planner_ready", LATCHED)
        self.health.set("state", WARN, "unconfigured")

    def on_configure(self, state: Any) -> Any:
        """Load the planner, run it once, open the ports."""
        p = self.params
        try:
            planner = load(p.planner, p.device, p.engine, p.models_dir, p.threads, blank_frame)
        except KdPlannerError as error:
            self.health.set("configure", ERROR, str(error))
            return FAILURE
        cameras = planner.rig.cameras
        self._outputs = PlannerOutputs(self, self.adapter, cameras[0].id if cameras else "")
        self._inputs = PlannerInputs(self, self.adapter, planner.rig, 1.0 / planner.rate_hz, p.max_skew_s, self.health,
                                     on_set=self._take_set, on_route=self._new_route, on_jump=self._forget,
                                     mark=self._watch.mark)
        self._inference = Inference(planner, self.health, self._inputs.frame, self._send, self._outputs.fault)
        self.health.clear("configure")
        self.health.set("state", WARN, "inactive")
        return SUCCESS

    def on_activate(self, state: Any) -> Any:
        """Open the gate."""
        result = super().on_activate(state)
        self._active = True
        self._watch.start(PlannerInputs.topics(self._inference.planner.rig))
        self.health.set("state", WARN, f"waiting for the route on {self.resolve_topic_name('route')}")
        self._new_route()
        return result

    def on_deactivate(self, state: Any) -> Any:
        """Close the gate: no more plans."""
        self._active = False
        self._watch.stop()
        self._ready.publish(Bool(data=False))
        self.health.set("state", WARN, "inactive")
        return super().on_deactivate(state)

    def on_cleanup(self, state: Any) -> Any:
        """Give everything back that configure took."""
        self.close()
        self.health.set("state", WARN, "unconfigured")
        return SUCCESS

    def close(self) -> None:
        """End the worker and drop the ports."""
        self._active = False
        if self._inference is not None:
            self._inference.close()
            self._inputs.close(self)
            self._outputs.close()
            self._inference = self._inputs = self._outputs = None

    def _new_route(self) -> None:
        if self._active and self._inputs.has_route:
            self._inference.forget()
            self.health.set("state", OK, f"planning with {self._inference.planner.name}")
            self._ready.publish(Bool(data=True))

    def _take_set(self, inputs: Any) -> None:
        if self._active:
            self._inference.put(inputs)

    def _send(self, plan: Plan, ego: EgoState) -> None:
        self._outputs.publish(plan, ego)
        self.health.clear("sync")

    def _time_jump(self) -> None:
        if self._inference is not None and self._watch.lies_ahead(self._inputs.newest_ns):
            self._forget()

    def _forget(self) -> None:
        self._inference.forget()
        self._inputs.reset()

    def _values(self) -> dict[str, Any]:
        values = {"planner": self.params.planner, "device": self.params.device, "engine": self.params.engine,
                  **self.adapter.notes()}
        if self._inference is not None:
            values |= {**self._inference.values(), **self._inputs.values(self._watch.now_ns)}
        return values


def main() -> None:
    """Run the planner node as a process."""
    leave(run(PlannerNode))


if __name__ == "__main__":
    main()
