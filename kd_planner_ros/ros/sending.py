"""One roadside station of a node: its sensors' topics, what it makes of them, and its radio topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kd_planner_ros.core.sensors import Station
from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.ports.radio_outputs import RadioOutputs
from kd_planner_ros.ros.ports.signal_inputs import SignalInputs
from kd_planner_ros.ros.ports.station_inputs import StationInputs
from kd_planner_ros.ros.specs.v2x_station import V2xStationParams, messages_per_s
from kd_planner_ros.v2x.channel import Channel
from kd_planner_ros.v2x.settings import GatewaySettings
from kd_planner_ros.v2x.signing import Signer
from kd_planner_ros.v2x.station import Sender
from kd_planner_ros.world.roadside_objects import in_range, seen_by_boxes


class SendingStation:
    """Hands its messages to ``channel``, and calls ``after`` then; ``outputs`` publishes what the channel lets through."""

    def __init__(self, node: Any, adapter: Any, params: V2xStationParams, station: Station, signer: Signer, channel: Channel,
                 health: Health, now_ns: Callable[[], int | None], after: Callable[[], None]):
        self._node = node
        self.sender = Sender(station, signer, channel, params.first_sequence, params.jpeg_quality, params.max_width)
        self.outputs = RadioOutputs(node, adapter, station)
        self._inputs = StationInputs(node, adapter, params, self.sender, health, now_ns, after)
        self._health = health
        self._check_rate(params, station)
        asked = params.spatem_topic or params.mapem_topic
        self._phases = SignalInputs(node, params, self.sender, health, now_ns, after) if asked else None

    def _check_rate(self, params: V2xStationParams, station: Station) -> None:
        rate, most = messages_per_s(params, station), GatewaySettings().messages_per_s
        if rate > most:
            self._health.set(f"rate of {station.id}", WARN, f"it sends up to {rate:g} messages/s, and a gateway takes {most:g} of one "
                             "station: the others are refused as flood; make picture_period_s, objects_period_s or phases_period_s longer")

    def see(self, actors: np.ndarray, stamp_ns: int, now_ns: int) -> None:
        """Send those of ``actors`` (ACTOR_DTYPE, ``map``: all that there are) that its range and its cameras show."""
        near = actors[in_range(actors, self.sender.station)]
        self.sender.objects(near[seen_by_boxes(near, self.sender.station)], stamp_ns, now_ns)

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics: for how long each kind has rested, and what CPMs and SPATEMs lacked."""
        return {**{f"{self.sender.station.id} {kind} rested s": times for kind, times in self.outputs.rests.items()}, **self._inputs.notes,
                **(self._phases.notes if self._phases else {})}

    def close(self) -> None:
        """Drop the topics."""
        self._inputs.close(self._node)
        if self._phases is not None:
            self._phases.close(self._node)
        self.outputs.close()
        self._health.clear(f"rate of {self.sender.station.id}")
