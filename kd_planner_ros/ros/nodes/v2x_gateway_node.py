"""The V2X gateway's node: radio messages in, what the car may use out. Wiring only."""

from __future__ import annotations

from functools import partial
from typing import Any

from nav_msgs.msg import Odometry
from std_msgs.msg import String

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import EgoState
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.stations import read_stations_file
from kd_planner_ros.core.v2x import CoopState
from kd_planner_ros.ros.clock import InputWatch
from kd_planner_ros.ros.diagnostics import ERROR, OK, WARN, Health
from kd_planner_ros.ros.lifecycle import FAILURE, SUCCESS, guarded, leave, run
from kd_planner_ros.ros.managed import ManagedNode
from kd_planner_ros.ros.params import declare
from kd_planner_ros.ros.profiles import make_adapter
from kd_planner_ros.ros.qos import LATCHED, STATE, subscribe
from kd_planner_ros.ros.radio_gate import RadioGate
from kd_planner_ros.ros.specs.base import STATIONS
from kd_planner_ros.ros.specs.v2x_gateway import V2xGatewayParams

NS = 1_000_000_000
WATCH_S = 0.1
SILENT_NS = NS // 2
"""After so long without an answer the clock asks for one: there is no odometry."""


class V2xGatewayNode(ManagedNode):
    """Asks its gateway once each ``period_s`` of odometry."""

    def __init__(self, **options: Any) -> None:
        super().__init__("v2x_gateway", **options)
        self.params = p = declare(self, V2xGatewayParams)
        self.adapter = make_adapter(p.carla_profile, p.role_name, p.carla_version)
        self._gate: RadioGate | None = None
        self._ego: EgoState | None = None
        self._ports: list[Any] = []
        self._active, self._answered_ns, self._heard_ns = False, 0, 0
        self.health = Health(self, lambda: self._gate.values() if self._gate else {})
        self._watch = InputWatch(self, self.health, p.unseen_after_s, self._forget)
        self.health.set("state", WARN, "unconfigured")
        self.create_timer(WATCH_S, partial(guarded(self.health, self._by_clock, name="watch"), None), clock=self.health.clock)

    def on_configure(self, state: Any) -> Any:
        """Read the keys, where the stations are known, and open the ports."""
        try:
            self._open()
        except ConfigError as error:
            self.health.set("configure", ERROR, str(error))
            self.give_back()
            return FAILURE
        self.health.clear("configure")
        self.health.set("state", WARN, "inactive")
        return SUCCESS

    def _open(self) -> None:
        p = self.params
        if not p.keys:
            raise ConfigError("parameter keys: the folder of the stations' public keys", "none",
                              "make keys with 'kd-planner v2x keys' and give their folder 'allowed'")
        if p.stations:
            self._hear(read_stations_file(p.stations))
        else:
            self._ports.append(self._port(String, STATIONS, self._take_stations, LATCHED))
        self._ports.append(self._port(Odometry, "odometry", self._take_odometry, STATE))

    def _port(self, kind: type, topic: str, work: Any, profile: Any) -> Any:
        return subscribe(self, kind, topic, guarded(self.health, work, name=topic), profile, partial(self.health.set, "qos", WARN))

    def _take_stations(self, message: String) -> None:
        self._hear(self.adapter.from_msg("stations", message))

    def _hear(self, stations: tuple[Station, ...]) -> None:
        self._end()
        self._gate = RadioGate(self, self.adapter, self.params, stations, self.health, lambda: self._watch.now_ns)

    def on_activate(self, state: Any) -> Any:
        """Answer from now on."""
        result = super().on_activate(state)
        self._active = True
        self._watch.start(["odometry"])
        self.health.set("state", WARN, "waiting for the stations and odometry")
        return result

    def stand_down(self) -> None:
        """Say that nothing from outside takes part any more."""
        if self._active and self._gate is not None:
            self._gate.stand_down()
        self._active = False
        self._watch.stop()

    def give_back(self) -> None:
        """Drop the ports and the keys."""
        for one in self._ports:
            self.destroy_subscription(one)
        self._ports = []
        self._end()

    def _end(self) -> None:
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.close()

    def _take_odometry(self, message: Odometry) -> None:
        self._watch.mark("odometry")
        self._ego = ego = self.adapter.odometry_from_msg(message)
        if self._gate is not None:
            self._gate.locate(ego)
            if ego.stamp_ns - self._heard_ns >= round(self.params.period_s * NS):
                self._heard_ns = ego.stamp_ns
                self._answer(ego.stamp_ns)

    def _by_clock(self, _: Any = None) -> None:
        now_ns = self._watch.now_ns
        if self._gate is None or now_ns is None:
            return
        self._gate.expire(now_ns)
        self._answered_ns = self._answered_ns or now_ns
        if now_ns - self._answered_ns > SILENT_NS:
            self._answer(now_ns)

    def _answer(self, now_ns: int) -> None:
        if not self._active or self._gate is None:
            return
        self._answered_ns = now_ns
        answer = self._gate.answer(now_ns, self._ego)
        good = answer.state <= CoopState.COOP_OBJECTS
        self.health.set("state", OK if good else WARN, answer.state.name + (f": {answer.why}" if answer.why else ""))

    def _forget(self) -> None:
        self._answered_ns, self._heard_ns, self._ego = 0, 0, None
        if self._gate is not None:
            self._gate.reset()


def main() -> None:
    """Run the gateway's node as a process."""
    leave(run(V2xGatewayNode))


if __name__ == "__main__":
    main()
