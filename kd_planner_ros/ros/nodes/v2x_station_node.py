"""The node of roadside stations: what they see in, signed radio messages out. Wiring only."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2

from kd_planner_ros.core.sensors import Station
from kd_planner_ros.ros.diagnostics import OK, WARN
from kd_planner_ros.ros.lifecycle import leave, run
from kd_planner_ros.ros.pace import Pace
from kd_planner_ros.ros.ports.station_inputs import bridge_type
from kd_planner_ros.ros.qos import LATCHED, STATE
from kd_planner_ros.ros.radio_node import RadioNode
from kd_planner_ros.ros.sending import SendingStation
from kd_planner_ros.ros.specs.v2x_station import NODE, channel_settings
from kd_planner_ros.ros.stamps import from_stamp
from kd_planner_ros.v2x.channel import Channel
from kd_planner_ros.v2x.key_files import read_signers

CHANNEL_PERIOD_S = 0.02
NS = 1_000_000_000


class V2xStationNode(RadioNode):
    """Sends for the stations that it has keys for, through one channel."""

    keys = ("private", "private")

    def __init__(self, **options: Any) -> None:
        self._channel = Channel()
        self._sending: dict[str, SendingStation] = {}
        self._signals: np.ndarray | None = None
        self._pace = Pace()
        super().__init__(NODE, **options)
        self._channel = Channel(channel_settings(self.params))

    def open_ports(self) -> None:
        """The signals, and what sends by the clock."""
        if topic := self.params.bridge_objects_topic:
            self.hear(bridge_type(self.params), topic, self._take_objects, STATE)
        if self.params.signals:
            self.hear(PointCloud2, "traffic_lights_table", self._take_signals, LATCHED)
        self.repeat(CHANNEL_PERIOD_S, self._publish, "channel")
        self.repeat(self.params.phases_period_s, self._send_phases, "phases")

    def begin(self, stations: tuple[Station, ...]) -> None:
        """Send for those of ``stations`` that there are keys for."""
        p = self.params
        self.end()
        for station, signer in read_signers(Path(p.keys), stations, p.station, time.time()):
            self._sending[station.id] = SendingStation(self, self.adapter, p, station, signer, self._channel, self.health,
                                                       lambda: self._watch.now_ns, self._publish)
        self._tell_state()

    def end(self) -> None:
        """Send for nobody."""
        for one in self._sending.values():
            one.close()
        self._sending = {}
        self.forget()  # what is under way has nobody who could send it, and numbers above those of the next stations

    def forget(self) -> None:
        """Nothing is under way."""
        self._pace = Pace()
        self._channel.reset()

    def _tell_state(self) -> None:
        known = f"sending for {', '.join(self._sending)}" if self._sending else "waiting for the stations"
        self.health.set("state", OK if self._active and self._sending else WARN, known if self._active else "inactive")

    def on_activate(self, state: Any) -> Any:
        """Send from now on."""
        result = super().on_activate(state)
        self._active = True
        self._tell_state()
        return result

    def stand_down(self) -> None:
        """Send nothing more."""
        self._active = False
        self.forget()

    def _take_signals(self, message: PointCloud2) -> None:
        self._signals = self.adapter.from_msg("traffic_lights", message)

    def _take_objects(self, message: Any) -> None:
        """All road users of CARLA: each station sends those that it sees."""
        stamp_ns, now_ns = from_stamp(message.header.stamp), self._watch.now_ns
        if not self._active or now_ns is None or not self._pace.is_due("", stamp_ns, round(self.params.objects_period_s * NS)):
            return
        actors = self.adapter.from_msg("station_objects", message)
        for one in self._sending.values():
            one.see(actors, stamp_ns, now_ns)
        self._publish()

    def _send_phases(self) -> None:
        now_ns = self._watch.now_ns
        if self._active and self._signals is not None and now_ns is not None:
            for one in self._sending.values():
                one.sender.phases(self._signals, now_ns, now_ns)
            self._publish()

    def _publish(self) -> None:
        """Send what the channel has let through by now."""
        now_ns = self._watch.now_ns
        for message in self._channel.arrived(now_ns) if now_ns is not None and self._active else ():
            self._sending[message.station].outputs.send(message)

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics."""
        rests = {name: value for one in self._sending.values() for name, value in one.values().items()}
        return {"stations": ", ".join(self._sending) or "none", "bytes sent": sum(one.outputs.bytes_sent for one in self._sending.values()),
                **{f"messages {name}": count for name, count in self._channel.counts.items()}, **rests}


def main() -> None:
    """Run the stations' node as a process."""
    leave(run(V2xStationNode))


if __name__ == "__main__":
    main()
