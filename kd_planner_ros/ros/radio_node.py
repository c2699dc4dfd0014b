"""What the two nodes of the radio share: keys, the stations that they work for, and the ports that live from configure to cleanup."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.qos import QoSProfile
from std_msgs.msg import String

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.stations import read_stations_file
from kd_planner_ros.ros.clock import InputWatch
from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.managed import ManagedNode
from kd_planner_ros.ros.params import declare
from kd_planner_ros.ros.ports.station_frames import StationFrames
from kd_planner_ros.ros.profiles import make_adapter
from kd_planner_ros.ros.qos import LATCHED, subscribe
from kd_planner_ros.ros.specs.base import STATIONS, NodeSpec


class RadioNode(ManagedNode):
    """Needs a folder of keys, and knows the stations from a file or from the built-in world's topic.

    A node says which keys it needs (``keys``: their kind, and the name of their folder), what begins with a set of stations (``begin``) and
    ends with it (``end``), which further ports and timers it opens (``open_ports``), what its diagnostics hold (``values``) and what it
    does when time is set back (``forget``).
    """

    keys: tuple[str, str]

    def __init__(self, spec: NodeSpec, **options: Any) -> None:
        super().__init__(spec.name, **options)
        self.params = p = declare(self, spec.params)
        self.adapter = make_adapter(p.carla_profile, p.role_name, p.carla_version)
        self._ports: list[Any] = []
        self._timers: list[Any] = []
        self._active = False
        self._frames: StationFrames | None = None
        self.health = Health(self, lambda: {**self.values(), **(self._frames.values() if self._frames else {})})
        self._watch = InputWatch(self, self.health, p.unseen_after_s, self.forget)
        self.health.set("state", WARN, "unconfigured")

    @abstractmethod
    def begin(self, stations: tuple[Station, ...]) -> None:
        """Work for ``stations`` from now on, in place of those before."""

    @abstractmethod
    def end(self) -> None:
        """Work for none any more."""

    @abstractmethod
    def open_ports(self) -> None:
        """Open what lives as long as the node is configured, beside the stations' topic."""

    @abstractmethod
    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics."""

    @abstractmethod
    def forget(self) -> None:
        """Time was set back."""

    def on_configure(self, state: Any) -> Any:
        """Read the keys, where the stations are known, and open the ports."""
        return self.configured(self._open)

    def _open(self) -> None:
        p, (kind, folder) = self.params, self.keys
        if not p.keys:
            raise ConfigError(f"parameter keys: the folder of the stations' {kind} keys", "none",
                              f"make keys with 'kd-planner v2x keys' and give their folder '{folder}'")
        if p.stations:
            known = read_stations_file(p.stations)
            self.begin(known)
            self._frames = StationFrames(self, self.adapter, known) if p.tf else None
        else:
            self.hear(String, STATIONS, lambda message: self.begin(self.adapter.from_msg("stations", message)), LATCHED)
        self.open_ports()

    def hear(self, kind: type, topic: str, work: Callable[[Any], None], profile: QoSProfile) -> None:
        """Subscribe to ``topic`` until the node is cleaned up; ``work`` may raise."""
        self._ports.append(subscribe(self, kind, topic, guarded(self.health, work, name=topic), profile,
                                     partial(self.health.set, "qos", WARN)))

    def repeat(self, period_s: float, work: Callable[[], None], name: str) -> None:
        """Call ``work``, which may raise, once each ``period_s`` until the node is cleaned up."""
        self._timers.append(self.create_timer(period_s, partial(guarded(self.health, lambda _: work(), name=name), None)))

    def give_back(self) -> None:
        """Drop the ports, the timers and the keys."""
        for one in self._ports:
            self.destroy_subscription(one)
        for one in self._timers:
            self.destroy_timer(one)
        if self._frames is not None:
            self._frames.close()
        self._ports, self._timers, self._frames = [], [], None
        self.end()
