"""A gateway with its topics: radio messages of a map's stations in, answers out. One life for each set of stations."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.sensors import Station
from kd_planner_ros.core.v2x import CooperativePicture, CoopState
from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.ports.gateway_outputs import GatewayOutputs
from kd_planner_ros.ros.ports.radio_inputs import RadioInputs
from kd_planner_ros.ros.specs.v2x_gateway import V2xGatewayParams
from kd_planner_ros.v2x.free_space import FreeSpace
from kd_planner_ros.v2x.gateway import ACCEPTED, Gateway
from kd_planner_ros.v2x.key_files import read_allowed
from kd_planner_ros.v2x.log import GatewayLog
from kd_planner_ros.v2x.pairing import Pairing
from kd_planner_ros.v2x.settings import GatewaySettings


class RadioGate:
    """Hears ``stations``; says in the diagnostics which of their keys cannot be used. ``log`` is the node's, and goes on from gate to gate.

    Raises:
        ConfigError: none of the keys can be used.
    """

    def __init__(self, node: Any, adapter: Any, params: V2xGatewayParams, stations: Sequence[Station], health: Health,
                 now_ns: Callable[[], int | None], log: GatewayLog | None = None):
        self._node, self._now_ns, self._run_dir = node, now_ns, params.run_dir
        keys = read_allowed(Path(params.keys), stations, time.time())
        for name, sentence in keys.refused.items():
            health.set(f"key {name}", WARN, sentence)
        self._gateway = Gateway(stations, keys, GatewaySettings(range_m=params.range_m, fresh_s=params.fresh_s, max_age_s=params.max_age_s,
                                                                expected_latency_s=params.expected_latency_s,
                                                                cap_unheard=params.cap_unheard,
                                                                car=Car(params.car_length_m, params.car_width_m, params.car_ahead_m)))
        self._pairing = Pairing(self._gateway)
        self._health = health
        self._log = log
        if log is not None:
            self._gateway.evidence = log.evidence
        self._outputs = GatewayOutputs(node, adapter, tuple(one for one in stations if one.id in keys.keys))
        self._inputs = RadioInputs(node, stations, self._pairing, health, now_ns)

    def locate(self, ego: EgoState) -> None:
        """The car is here now."""
        self._gateway.locate(ego)

    def see(self, free: FreeSpace) -> None:
        """The car itself sees this space to be free."""
        self._gateway.see(free)

    def expire(self, now_ns: int) -> None:
        """What has waited long enough for its signature is judged without it."""
        self._pairing.expire(now_ns)

    def answer(self, now_ns: int, ego: EgoState | None) -> CooperativePicture:
        """Publish what may be used at ``now_ns`` by a car at ``ego``, and give it back."""
        found = self._gateway.picture(now_ns, ego)
        self._outputs.send(found)
        self._note(found)
        return found

    def _note(self, found: CooperativePicture) -> None:
        """Log ``found``. A disk that cannot be written is a warning of the diagnostics: the car hears the answer all the same."""
        if self._log is None:
            return
        try:
            self._log.take(found, self._gateway.counts[ACCEPTED])
        except OSError as error:
            self._health.set("log", WARN, f"what was let through is not written to {self._run_dir}: {error.strerror or error}")
        else:
            self._health.clear("log")

    def _save(self) -> None:
        """Close the log and write the evidence. A disk that cannot be written is a warning: the next gate begins all
        the same."""
        if self._log is None:
            return
        try:
            self._log.close()
            self._gateway.evidence.write(Path(self._run_dir))
        except OSError as error:
            self._health.set("log", WARN, f"what was refused is not written to {self._run_dir}: {error.strerror or error}")

    def reset(self) -> None:
        """Time was set back: forget everything but what was refused, and how often, in this drive."""
        self._carry()
        self._gateway.reset()
        self._pairing.reset()
        if self._log is not None:
            self._gateway.evidence = self._log.evidence

    def _carry(self) -> None:
        if self._log is not None:
            self._log.carry(self._gateway.counts[ACCEPTED], self._gateway.refusals)

    def stand_down(self) -> None:
        """Say that nothing from outside takes part any more, and write the evidence."""
        self._outputs.tell(CoopState.EGO_ONLY, "the gateway is not active")
        self._save()

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics."""
        return {**self._gateway.values(self._now_ns() or 0), **self._inputs.values()}

    def close(self) -> None:
        """Drop the topics, and write the evidence where there is some."""
        if self._gateway.evidence.newest:
            self._save()
        self._carry()
        self._inputs.close(self._node)
        self._outputs.close()
