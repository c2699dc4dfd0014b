"""What drives and walks beside the ego: kinds, sizes and manners, drawn by share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M


@dataclass(frozen=True)
class VehicleType:
    """One kind of vehicle: full dimensions in metres, SUMO's class and car-following numbers (m/s^2, m/s)."""

    name: str
    kind: ActorKind
    share: float
    length: float
    width: float
    height: float
    sumo_class: str = "passenger"
    accel: float = 2.4
    decel: float = 4.5
    top_mps: float = 50.0
    min_gap: float = 2.5


FLEET: tuple[VehicleType, ...] = (
    VehicleType("hatchback", ActorKind.CAR, 0.24, 4.0, 1.76, 1.48),
    VehicleType("saloon", ActorKind.CAR, 0.27, 4.7, 1.84, 1.45),
    VehicleType("suv", ActorKind.CAR, 0.20, 4.7, 1.95, 1.72),
    VehicleType("van", ActorKind.CAR, 0.08, 5.2, 2.0, 2.2, accel=1.9),
    VehicleType("lorry", ActorKind.TRUCK, 0.06, 7.5, 2.35, 3.1, "truck", 1.3, 4.0, 25.0, 3.0),
    VehicleType("bus", ActorKind.BUS, 0.03, 10.5, 2.5, 3.1, "bus", 1.2, 4.0, 22.0, 3.0),
    VehicleType("motorcycle", ActorKind.MOTORCYCLE, 0.07, 2.2, 0.85, 1.65, "motorcycle", 3.0, 6.0, 40.0, 2.0),
    VehicleType("bicycle", ActorKind.BICYCLE, 0.05, 1.75, 0.65, 1.75, "bicycle", 1.0, 3.0, 6.0, 1.0),
)
BY_NAME = {item.name: item for item in FLEET}
EGO_TYPE = VehicleType("ego", ActorKind.CAR, 0.0, EGO_LENGTH_M, EGO_WIDTH_M, 1.49)
PEDESTRIAN_LENGTH_M, PEDESTRIAN_WIDTH_M = 0.45, 0.55


def draw_type(rng: np.random.Generator, first: bool = False) -> VehicleType:
    """One kind of vehicle by share; ``first`` draws cars alone, for streets too short for more."""
    pool = [item for item in FLEET if item.kind == ActorKind.CAR] if first else list(FLEET)
    shares = np.array([item.share for item in pool])
    return pool[int(rng.choice(len(pool), p=shares / shares.sum()))]


def define_types(sumo: Any) -> None:
    """Declares the fleet and the ego to a running SUMO."""
    for item in (*FLEET, EGO_TYPE):
        sumo.vehicletype.copy("DEFAULT_VEHTYPE", item.name)
        sumo.vehicletype.setVehicleClass(item.name, item.sumo_class)
        sumo.vehicletype.setLength(item.name, item.length)
        sumo.vehicletype.setWidth(item.name, item.width)
        sumo.vehicletype.setHeight(item.name, item.height)
        sumo.vehicletype.setAccel(item.name, item.accel)
        sumo.vehicletype.setDecel(item.name, item.decel)
        sumo.vehicletype.setEmergencyDecel(item.name, 9.0)
        sumo.vehicletype.setMaxSpeed(item.name, item.top_mps)
        sumo.vehicletype.setMinGap(item.name, item.min_gap)
        sumo.vehicletype.setTau(item.name, 1.2)
        sumo.vehicletype.setImperfection(item.name, 0.2)
        sumo.vehicletype.setSpeedFactor(item.name, 0.85)
        sumo.vehicletype.setSpeedDeviation(item.name, 0.08)
