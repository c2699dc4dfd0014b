"""Every rule of the supervisor counts with the box of the car that is driven, and with where base_link lies in it."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from support.plans import ego, straight, users

from kd_planner_ros.core.car import LENGTH_M, WIDTH_M, Car
from kd_planner_ros.core.scene import ACTOR_DTYPE, LightState
from kd_planner_ros.core.v2x import PHASE_DTYPE, ReportedObjects, SignalPhases
from kd_planner_ros.driving.caution import Caution, CautionSettings
from kd_planner_ros.driving.clearance import GateSettings, unsafe
from kd_planner_ros.driving.occlusion import Occlusion
from kd_planner_ros.driving.pilot import Pilot, pilot_for
from kd_planner_ros.driving.signals import Signals, SignalSettings
from kd_planner_ros.driving.supervisor import Reason
from kd_planner_ros.networks.distilldrive.config import DistillDriveConfig
from kd_planner_ros.networks.distilldrive.options import TrainOptions
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M

REAR = Car(ahead_m=1.4)
AHEAD, S = np.zeros((0, 2)), 1_000_000_000


def reported(stamp_ns: int, **columns) -> ReportedObjects:
    row = np.zeros(1, ACTOR_DTYPE)
    for name, value in columns.items():
        row[name] = value
    row = row if columns else row[:0]
    return ReportedObjects(stamp_ns, row, np.zeros(len(row)), np.zeros(len(row), np.int16), bool(columns))


def before_a_signal(car: Car, x: float) -> float:
    rows = np.zeros(1, PHASE_DTYPE)
    rows["state"], rows["min_end_s"], rows["stop_x"] = LightState.RED, np.nan, 12.0
    return Signals(SignalSettings(car=car)).bound(SignalPhases(0, rows), AHEAD, ego(7.0, x=x), 0).brake


def before_a_walker(car: Car, x: float) -> float:
    heard = reported(0, x=14.0, y=-2.0, vy=1.4, yaw=1.57, length=0.5, width=0.6, height=1.7)
    return Caution(CautionSettings(car=car)).bound(heard, AHEAD, ego(7.0, x=x), 0).brake


def beside_a_van(car: Car, x: float) -> float:
    rule = Occlusion(caution=CautionSettings(car=car))
    rule.bound(reported(0, x=12.0, y=-3.0, length=5.4, width=2.0, height=2.4), AHEAD, ego(9.0, x=x), 0)
    return rule.bound(reported(S), AHEAD, ego(9.0, S, x=x), S).brake


@pytest.mark.parametrize("brake", [before_a_signal, before_a_walker, beside_a_van])
def test_a_car_brakes_alike_wherever_its_base_link_lies(brake):
    assert brake(REAR, -1.4) == pytest.approx(brake(Car(), 0.0)) != pytest.approx(brake(Car(), -1.4))
    assert brake(REAR, -1.4) > 0.0


@pytest.mark.parametrize(("car", "x", "y", "touched"), [
    (Car(), 13.2, 0.0, False), (REAR, 13.2, 0.0, True),  # fronts at 10.45 and 11.85 m after 2 s; the user's rear is at 11.2 m
    (Car(width_m=3.0), 8.0, 2.4, True), (Car(), 8.0, 2.4, False),  # sides at 1.5 and 1.06 m, and 0.1 m; the user's is at 1.4 m
    (Car(length_m=6.6), 13.2, 0.0, True)])
def test_a_candidate_is_tested_with_the_cars_own_box(car, x, y, touched):
    """A car that slows down from 8 to 4 m/s, so that only boxes that touch count; a user 4 m long and 2 m wide stands."""
    assert unsafe(straight(4.0), users((x, y, 0.0, 0.0)), 8.0, GateSettings(car=car)) == touched


def test_who_is_ahead_depends_on_where_the_car_is():
    """Of a user 2.6 m behind base_link who comes nearer from the left: base_link is the rear axle, or a metre ahead of the centre."""
    beside = users((-2.6, 4.0, 4.0, -3.0))
    cars = (REAR, Car(ahead_m=-1.0))
    assert [unsafe(straight(4.0), beside, 4.0, GateSettings(car=car)) for car in cars] == [False, True]


@pytest.mark.parametrize("make", [lambda car: Pilot(car=car), lambda car: pilot_for(0.1, car=car)])
def test_the_pilot_hands_the_car_to_all_its_rules(make):
    pilot = make(REAR)
    assert {rule.settings.car for rule in (pilot.caution, pilot.signals, pilot._gate)} == {pilot.occlusion._rule.car} == {REAR}
    asked = straight(4.0, candidates=straight(4.0).trajectory.points[None], scores=np.ones(1), detections=users((13.2, 0.0, 0.0, 0.0)))
    for one, reason in ((make(Car()), ""), (pilot, Reason.PLAN_UNSAFE)):
        one.take(asked)
        assert one.step(ego(8.0)).reason == reason


def test_the_cars_size_stands_in_one_place():
    defaults = {one.name: one.default for one in fields(TrainOptions)}
    config = DistillDriveConfig()
    assert {(EGO_LENGTH_M, EGO_WIDTH_M), (config.ego_length_m, config.ego_width_m), (defaults["ego_length_m"], defaults["ego_width_m"]),
            Car()[:2]} == {(LENGTH_M, WIDTH_M)}
