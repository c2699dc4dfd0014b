"""The node of roadside stations: what they see in, signed radio messages out. Wiring only."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import String

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.stations import read_stations_file
from kd_planner_ros.ros.clock import InputWatch
from kd_planner_ros.ros.diagnostics import ERROR, OK, WARN, Health
from kd_planner_ros.ros.lifecycle import FAILURE, SUCCESS, guarded, leave, run
from kd_planner_ros.ros.managed import ManagedNode
from kd_planner_ros.ros.params import declare
from kd_planner_ros.ros.profiles import make_adapter
from kd_planner_ros.ros.qos import LATCHED, subscribe
from kd_planner_ros.ros.sending import SendingStation
from kd_planner_ros.ros.specs.base import STATIONS
from kd_planner_ros.ros.specs.v2x_station import V2xStationParams, channel_settings
from kd_planner_ros.v2x.channel import Channel
from kd_planner_ros.v2x.key_files import read_signers

CHANNEL_PERIOD_S = 0.02


class V2xStationNode(ManagedNode):
    """Sends for the stations that it has keys for, through one channel."""

    def __init__(self, **options: Any) -> None:
        super().__init__("v2x_station", **options)
        self.params = p = declare(self, V2xStationParams)
        self.adapter = make_adapter(p.carla_profile, p.role_name, p.carla_version)
        self._channel = Channel(channel_settings(p))
        self._sending: dict[str, SendingStation] = {}
        self._ports: list[Any] = []
        self._timers: list[Any] = []
        self._signals: np.ndarray | None = None
        self._active = False
        self.health = Health(self, self._values)
        self._watch = InputWatch(self, self.health, p.unseen_after_s, self._channel.reset)
        self.health.set("state", WARN, "unconfigured")

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
            raise ConfigError("parameter keys: the folder of the stations' private keys", "none",
                              "make keys with 'kd-planner v2x keys' and give their folder 'private'")
        if p.stations:
            self._begin(read_stations_file(p.stations))
        else:
            self._ports.append(self._port(String, STATIONS, lambda message: self._begin(self.adapter.from_msg("stations", message))))
        if p.signals:
            self._ports.append(self._port(PointCloud2, "traffic_lights_table", self._take_signals))
        self._timers = [self.create_timer(period_s, partial(guarded(self.health, work, name=name), None)) for period_s, work, name in (
            (CHANNEL_PERIOD_S, self._publish, "channel"), (p.phases_period_s, self._send_phases, "phases"))]

    def _port(self, kind: type, topic: str, work: Any) -> Any:
        return subscribe(self, kind, topic, guarded(self.health, work, name=topic), LATCHED, partial(self.health.set, "qos", WARN))

    def _begin(self, stations: tuple[Station, ...]) -> None:
        p = self.params
        self._end()
        for station, signer in read_signers(Path(p.keys), stations, p.station, time.time()):
            self._sending[station.id] = SendingStation(self, self.adapter, p, station, signer, self._channel, self.health,
                                                       lambda: self._watch.now_ns, self._publish)
        self._tell_state()

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
        self._channel.reset()

    def give_back(self) -> None:
        """Drop the ports and the keys."""
        for one in self._ports:
            self.destroy_subscription(one)
        for one in self._timers:
            self.destroy_timer(one)
        self._ports, self._timers = [], []
        self._end()

    def _end(self) -> None:
        for one in self._sending.values():
            one.close()
        self._sending = {}
        self._channel.reset()  # what is under way has nobody who could send it, and numbers above those of the next stations

    def _take_signals(self, message: PointCloud2) -> None:
        self._signals = self.adapter.from_msg("traffic_lights", message)

    def _send_phases(self, _: Any = None) -> None:
        now_ns = self._watch.now_ns
        if self._active and self._signals is not None and now_ns is not None:
            for one in self._sending.values():
                one.sender.phases(self._signals, now_ns, now_ns)
            self._publish()

    def _publish(self, _: Any = None) -> None:
        """Send what the channel has let through by now."""
        now_ns = self._watch.now_ns
        for message in self._channel.arrived(now_ns) if now_ns is not None and self._active else ():
            self._sending[message.station].outputs.send(message)

    def _values(self) -> dict[str, Any]:
        rests = {name: value for one in self._sending.values() for name, value in one.values().items()}
        return {"stations": ", ".join(self._sending) or "none", "bytes sent": sum(one.outputs.bytes_sent for one in self._sending.values()),
                **{f"messages {name}": count for name, count in self._channel.counts.items()}, **rests}


def main() -> None:
    """Run the stations' node as a process."""
    leave(run(V2xStationNode))


if __name__ == "__main__":
    main()
