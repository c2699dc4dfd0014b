"""One roadside station of a node: its sensors' topics, what it makes of them, and its radio topics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kd_planner_ros.core.sensors import Station
from kd_planner_ros.ros.diagnostics import Health
from kd_planner_ros.ros.ports.radio_outputs import RadioOutputs
from kd_planner_ros.ros.ports.signal_inputs import SignalInputs
from kd_planner_ros.ros.ports.station_inputs import StationInputs
from kd_planner_ros.ros.specs.v2x_station import V2xStationParams
from kd_planner_ros.v2x.channel import Channel
from kd_planner_ros.v2x.signing import Signer
from kd_planner_ros.v2x.station import Sender


class SendingStation:
    """Hands its messages to ``channel``, and calls ``after`` then; ``outputs`` publishes what the channel lets through."""

    def __init__(self, node: Any, adapter: Any, params: V2xStationParams, station: Station, signer: Signer, channel: Channel,
                 health: Health, now_ns: Callable[[], int | None], after: Callable[[], None]):
        self._node = node
        self.sender = Sender(station, signer, channel, params.first_sequence, params.jpeg_quality, params.max_width)
        self.outputs = RadioOutputs(node, adapter, station)
        self._inputs = StationInputs(node, adapter, params, self.sender, health, now_ns, after)
        asked = params.spatem_topic or params.mapem_topic
        self._phases = SignalInputs(node, params, self.sender, health, now_ns, after) if asked else None

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
