"""Traffic lights: CARLA-like timing for a running SUMO, and the table of signal heads."""

from __future__ import annotations

from typing import Any

import numpy as np

from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.scene import SIGNAL_DTYPE, LightState

LONGEST_GREEN_S = 15.0  # the imported networks come with 42 s; CARLA's own lights have 10 s
ALL_RED_S = 2.0
_STATES = np.full(256, LightState.OFF, np.uint8)  # by SUMO's letter
for _letters, _state in (("rus", LightState.RED), ("yY", LightState.YELLOW), ("gG", LightState.GREEN)):
    _STATES[[ord(letter) for letter in _letters]] = _state


class SignalTable:
    """The signal heads of ``road`` as SIGNAL_DTYPE rows, refreshed from SUMO."""

    def __init__(self, road: RoadMap):
        self.rows = np.zeros(len(road.signals), SIGNAL_DTYPE)
        self._links: np.ndarray | None = None  # each head's letter in the joined states of all lights
        self._first = [site.links[0] for site in road.signals]
        self.lights = sorted({light for site in road.signals for light, _ in site.links})
        for row, site in zip(self.rows, road.signals, strict=True):
            row["id"], row["yaw"] = site.id, site.yaw
            row["x"], row["y"], row["z"] = site.position
            (row["stop_x0"], row["stop_y0"]), (row["stop_x1"], row["stop_y1"]) = site.stop_line

    def refresh(self, sumo: Any) -> np.ndarray:
        """A fresh copy of the table. A lane's head shows its straight movement, or the first one it has."""
        states = [sumo.trafficlight.getRedYellowGreenState(light) for light in self.lights]
        if self._links is None:
            begins = np.cumsum([0, *map(len, states)])[:-1]
            start = dict(zip(self.lights, begins.tolist(), strict=True))
            self._links = np.array([start[light] + link for light, link in self._first], int)
        rows = self.rows.copy()
        rows["state"] = _STATES[np.frombuffer("".join(states).encode(), np.uint8)[self._links]]
        return rows


def retime(sumo: Any, rng: np.random.Generator) -> None:
    """Shortens green phases to 15 s, puts 2 s of red for all after each yellow, and starts every light somewhere in
    its cycle."""
    for light in sorted(sumo.trafficlight.getIDList()):
        logic = sumo.trafficlight.getAllProgramLogics(light)[0]
        phases = []
        for phase in logic.phases:
            duration = min(phase.duration, LONGEST_GREEN_S)
            phases.append(sumo.trafficlight.Phase(duration, phase.state, duration, duration))
            if "y" in phase.state.lower() and "g" not in phase.state.lower():
                phases.append(sumo.trafficlight.Phase(ALL_RED_S, "r" * len(phase.state), ALL_RED_S, ALL_RED_S))
        if len(phases) < 2:
            continue
        program = sumo.trafficlight.Logic("kd", 0, 0, phases)
        sumo.trafficlight.setProgramLogic(light, program)
        phase = int(rng.integers(len(phases)))
        sumo.trafficlight.setPhase(light, phase)
        sumo.trafficlight.setPhaseDuration(light, float(rng.uniform(0.2, 1.0)) * phases[phase].duration)
