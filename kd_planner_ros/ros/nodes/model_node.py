"""What every node with a model shares: load, open the ports, run on one worker thread, report to the diagnostics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

from std_msgs.msg import Bool, Float64

from kd_planner_ros.core.records import Frame
from kd_planner_ros.geometry.calibration import Limits
from kd_planner_ros.networks.planner import Model
from kd_planner_ros.ros.clock import InputWatch
from kd_planner_ros.ros.diagnostics import OK, WARN, Health
from kd_planner_ros.ros.inference import Inference, needs_route, tell_plugins, work_of
from kd_planner_ros.ros.managed import ManagedNode
from kd_planner_ros.ros.params import declare
from kd_planner_ros.ros.ports.model_inputs import ModelInputs, mounted_names
from kd_planner_ros.ros.ports.route_inputs import RouteInputs
from kd_planner_ros.ros.profiles import make_adapter
from kd_planner_ros.ros.qos import LATCHED, STATE, advertise
from kd_planner_ros.ros.specs.base import PROCESSING_TIME, NodeSpec


class ModelNode(ManagedNode):
    """configure: load and warm up. activate: open the gate. One executor thread and one inference thread.

    A node of one role says how its model is loaded (``load_model``), what its results become (``open_outputs``: an object with
    ``publish(result, frame)``, ``fault(stamp_ns, name)`` and ``close()``) and which word its work has (``verb``).
    """

    verb = "running"

    def __init__(self, spec: NodeSpec, **options: Any) -> None:
        super().__init__(spec.name, **options)
        self.params = p = declare(self, spec.params)
        self.adapter = make_adapter(p.carla_profile, p.role_name, p.carla_version)
        self._inference: Any = None
        self._inputs: Any = None
        self._outputs, self._active = None, False
        self.health = Health(self, self._values)
        self._watch = InputWatch(self, self.health, p.unseen_after_s, self._time_jump)
        self._ready = advertise(self, Bool, f"{spec.name}_ready", LATCHED)
        self._time = advertise(self, Float64, PROCESSING_TIME, STATE)
        self._told_ready: bool | None = None
        self.health.set("state", WARN, "unconfigured")

    @abstractmethod
    def load_model(self) -> Model:
        """The model that the parameters name, ready to run."""

    @abstractmethod
    def open_outputs(self, model: Model) -> Any:
        """The publishers of the model's results."""

    def open_work(self, model: Any) -> Callable[[Frame], Any]:
        """What is done with each frame."""
        return work_of(model)

    def input_options(self) -> dict[str, Any]:
        """Further arguments of ``ModelInputs``."""
        p = self.params
        limits = Limits(p.max_focal_error, p.max_mount_error_m, p.max_mount_error_deg)
        return {"camera_info": p.camera_info, "roadside_topics": p.roadside_topics, "tell_roadside": p.tell_roadside, "limits": limits}

    def on_configure(self, state: Any) -> Any:
        """Load the model, run it once, open the ports."""
        tell_plugins(self.health)
        return self.configured(self._open)

    def _open(self) -> None:
        model = self.load_model()
        self.adapter.mounted = mounted_names(self, model.rig)
        work, self._outputs = self.open_work(model), self.open_outputs(model)
        wait_s = self.params.route_wait_s if model.rig.route_optional else float("inf")
        route = RouteInputs(self, self.adapter, self.health, self._watch.mark, self._begin, wait_s) if needs_route(model) else None
        self._inputs = ModelInputs(self, self.adapter, model.rig, 1.0 / model.rate_hz, self.params.max_skew_s, self.health,
                                   on_set=self._take_set, on_jump=self._forget, mark=self._watch.mark, route=route,
                                   **self.input_options())
        self._inference = Inference(model, self.health, self._inputs.frame, work, self._send, self._outputs.fault,
                                    self._inputs.forget_frames, self.params.max_latency_s, self.params.max_late_results, self._tell_time)

    def on_activate(self, state: Any) -> Any:
        """Open the gate."""
        result = super().on_activate(state)
        self._active = True
        self._watch.start(self._inputs.ports())
        if not self._inputs.ready:
            self.health.set("state", WARN, f"waiting for the route on {self._inputs.route.topic}")
        self._begin()
        return result

    def stand_down(self) -> None:
        """Close the gate: no more results, and readers are told."""
        self._active = False
        if self._inference is not None:
            self._inference.forget()
            self._tell_ready(False)
        self._watch.stop()

    def give_back(self) -> None:
        """End the worker and drop the ports."""
        inference, inputs, outputs = self._inference, self._inputs, self._outputs
        self._inference = self._inputs = self._outputs = None
        if inference is not None:
            inference.close()
        if inputs is not None:
            inputs.close(self)
        if outputs is not None:
            outputs.close()

    def _begin(self) -> None:
        """Start anew where everything that the model needs is there: at activation, and with each route."""
        if self._active and self._inputs.ready:
            self._inference.forget()
            self.health.set("state", OK, f"{self.verb} with {self._inference.model.name}")
            self._tell_ready(True)

    def _tell_ready(self, ready: bool) -> None:
        if ready != self._told_ready:
            self._told_ready = ready
            self._ready.publish(Bool(data=ready))

    def _tell_time(self, took_ms: float) -> None:
        if self._time.get_subscription_count():
            self._time.publish(Float64(data=took_ms))

    def _take_set(self, inputs: Any) -> None:
        if self._active:
            self._inference.put(inputs)

    def _send(self, result: Any, frame: Frame) -> None:
        self._outputs.publish(result, frame)
        self.health.clear("sync")

    def _time_jump(self) -> None:
        if self._inference is not None and self._watch.lies_ahead(self._inputs.newest_ns):
            self._forget()

    def _forget(self) -> None:
        self._inference.forget()
        self._inputs.reset()

    def _values(self) -> dict[str, Any]:
        values = {"device": self.params.device, "engine": self.params.engine, **self.adapter.notes()}
        inference, inputs = self._inference, self._inputs  # the worker thread may ask while they are given back
        if inference is not None and inputs is not None:
            values |= {**inference.values(), **inputs.values(self._watch.now_ns)}
        return values
