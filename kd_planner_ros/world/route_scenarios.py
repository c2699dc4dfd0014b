"""Scenarios that a route file asks for: which of CARLA's types are played, by what, and what became of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.route import Route, RouteScenario
from kd_planner_ros.world.encounters import Brake, CutIn, Encounter, RedLightRunner
from kd_planner_ros.world.hidden_hazards import CAR, WALKER, HiddenCar, HiddenWalker
from kd_planner_ros.world.lane_index import LaneIndex
from kd_planner_ros.world.pedestrian import StepOut

Maker = Callable[[LaneIndex, np.random.Generator], Encounter]

PLAYED: Mapping[str, tuple[str, Maker]] = {
    "HardBreakRoute": ("the vehicle ahead brakes hard", lambda index, rng: Brake()),
    "DynamicObjectCrossing": ("a pedestrian steps out", StepOut),
    "ParkingCrossingPedestrian": ("a pedestrian steps out", StepOut),
    "PedestrianCrossing": ("a pedestrian steps out", StepOut),
    "ParkingCutIn": ("a vehicle of the next lane cuts in", lambda index, rng: CutIn()),
    "StaticCutIn": ("a vehicle of the next lane cuts in", lambda index, rng: CutIn()),
    "HighwayCutIn": ("a vehicle of the next lane cuts in", lambda index, rng: CutIn()),
    "OppositeVehicleRunningRedLight": ("a vehicle from the side runs the red light", lambda index, rng: RedLightRunner()),
    WALKER: ("a walker steps out between parked vans", HiddenWalker),
    CAR: ("a car comes out from behind a corner", HiddenCar),
}
"""CARLA's types that have a counterpart here, and two of our own (``hidden_hazards.py``): what happens, and what makes it. Settings of a
file (distances, speeds) are used by our own alone."""
OFF_ROUTE_M = 15.0
MET, NOT_MET, OFF, UNSUPPORTED, SWITCHED_OFF = "met", "not met", "off the route", "not supported", "switched off"
"""What became of a scenario. Not met: nobody it needs was near, or the car did not come there."""


@dataclass
class AskedScenario:
    """A scenario of the file on this drive: the distance along the route at which it is triggered, and what became of it so far."""

    scenario: RouteScenario
    arc_m: float
    status: str

    def facts(self) -> dict[str, str]:
        """JSON-ready: name, type, status, and what it is played as."""
        played = PLAYED.get(self.scenario.kind)
        facts = {"name": self.scenario.name, "type": self.scenario.kind, "status": self.status}
        return facts | ({"played_as": played[0]} if played else {})


def asked_scenarios(route: Route, switched_on: bool = True) -> list[AskedScenario]:
    """The file's scenarios of ``route`` in its order, each with the place where it is triggered; [] where the file names none."""
    found = []
    for scenario in route.scenarios or ():
        distance = np.hypot(route.points[:, 0] - scenario.x, route.points[:, 1] - scenario.y)
        row = int(np.argmin(distance)) if np.isfinite(distance).all() else -1
        status = (SWITCHED_OFF if not switched_on else UNSUPPORTED if scenario.kind not in PLAYED
                  else OFF if row < 0 or distance[row] > OFF_ROUTE_M else NOT_MET)
        found.append(AskedScenario(scenario, float(route.arc_m[row]) if row >= 0 else float("nan"), status))
    return found


def count_by_status(facts: Iterable[Mapping[str, str]]) -> dict[str, dict[str, int]]:
    """How many scenarios of each type came to each status: status -> type -> number."""
    counts: dict[str, dict[str, int]] = {}
    for one in facts:
        kinds = counts.setdefault(one["status"], {})
        kinds[one["type"]] = kinds.get(one["type"], 0) + 1
    return {status: dict(sorted(kinds.items())) for status, kinds in sorted(counts.items())}


def sentences(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """``count_by_status`` for a reader: one line a status."""
    return [f"scenarios {status}: {sum(kinds.values())} ({', '.join(f'{kind} {number}' for kind, number in kinds.items())})"
            for status, kinds in counts.items()]
