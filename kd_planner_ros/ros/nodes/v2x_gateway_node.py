"""The V2X gateway's node: radio messages in, what the car may use out. Wiring only."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from nav_msgs.msg import Odometry
from sensor_msgs.msg import PointCloud2

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.v2x import CoopState
from kd_planner_ros.ros.diagnostics import OK, WARN
from kd_planner_ros.ros.lifecycle import guarded, leave, run
from kd_planner_ros.ros.pace import Pace
from kd_planner_ros.ros.ports.free_space_inputs import FreeSpaceInputs
from kd_planner_ros.ros.qos import SENSOR_IN, STATE
from kd_planner_ros.ros.radio_gate import RadioGate
from kd_planner_ros.ros.radio_node import RadioNode
from kd_planner_ros.ros.specs.v2x_gateway import NODE
from kd_planner_ros.ros.stamps import CLOCK_START_NS
from kd_planner_ros.v2x.free_space import FreeSpace
from kd_planner_ros.v2x.log import GatewayLog

NS = 1_000_000_000
WATCH_S = 0.1
SILENT_NS = NS // 2
"""After so long without an answer the clock asks for one: there is no odometry."""


class V2xGatewayNode(RadioNode):
    """Asks its gateway once each ``period_s`` of odometry."""

    keys = ("public", "allowed")

    def __init__(self, **options: Any) -> None:
        self._gate: RadioGate | None = None
        self._sight: FreeSpaceInputs | None = None
        self._ego: EgoState | None = None
        self._answered_ns, self._pace = 0, Pace()
        super().__init__(NODE, **options)
        self._log = GatewayLog(Path(self.params.run_dir), CLOCK_START_NS) if self.params.run_dir else None
        self.create_timer(WATCH_S, partial(guarded(self.health, self._by_clock, name="watch"), None), clock=self.health.clock)

    def begin(self, stations: tuple[Station, ...]) -> None:
        """Hear ``stations``."""
        self.end()
        self._gate = RadioGate(self, self.adapter, self.params, stations, self.health, lambda: self._watch.now_ns,
                               self._log)

    def end(self) -> None:
        """Hear nobody."""
        gate, self._gate = self._gate, None
        if gate is not None:
            gate.close()

    def open_ports(self) -> None:
        """Where the car is, and what its LiDAR sees."""
        self.hear(Odometry, "odometry", self._take_odometry, STATE)
        if self.params.lidar:
            self._sight = FreeSpaceInputs(self.adapter, self.params.lidar, self.params.lidar_pose, self._see)
            self.hear(PointCloud2, self.params.lidar, self._sight.take, SENSOR_IN)

    def _see(self, free: FreeSpace) -> None:
        if self._gate is not None:
            self._gate.see(free)

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics."""
        return {**(self._gate.values() if self._gate else {}), **(self._sight.values() if self._sight else {})}

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

    def _take_odometry(self, message: Odometry) -> None:
        self._watch.mark("odometry")
        self._ego = ego = self.adapter.odometry_from_msg(message)
        if self._sight is not None:
            self._sight.locate(ego)
        if self._gate is not None:
            self._gate.locate(ego)
            if self._pace.is_due("", ego.stamp_ns, round(self.params.period_s * NS)):
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

    def forget(self) -> None:
        """Begin anew, with the stations that are known."""
        self._answered_ns, self._pace, self._ego = 0, Pace(), None
        if self._sight is not None:
            self._sight.reset()
        if self._gate is not None:
            self._gate.reset()


def main() -> None:
    """Run the gateway's node as a process."""
    leave(run(V2xGatewayNode))


if __name__ == "__main__":
    main()
