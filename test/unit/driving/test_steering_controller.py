"""The controller of planners that steer by themselves."""

import math
from dataclasses import replace

import numpy as np
import pytest

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.driving.controllers import build_controller
from kd_planner_ros.driving.pilot import Pilot
from kd_planner_ros.driving.steering_controller import SteeringController

TIMES = np.array([0.5, 1.0, 1.5, 2.0])


def plan(mps=5.0, steer=0.25, stamp=0, target=(10.0, -9.0)):
    points = np.stack([mps * TIMES, np.zeros(4)], axis=1)
    return Plan(stamp, Trajectory(stamp, points, TIMES), NavigationGoal(np.array(target), Command.RIGHT),
                control=Control(stamp, steer=steer), follow="steering")


def ego(mps, stamp=0):
    return EgoState(stamp, Pose(), mps)


def test_a_plan_names_it():
    assert isinstance(build_controller("steering"), SteeringController)
    pilot = Pilot()
    pilot.take(plan())
    sent = pilot.step(ego(4.0))
    assert sent.steer == 0.25 and sent.throttle > 0.0 and sent.reason == ""


@pytest.mark.parametrize("steer", [-1.0, -0.1, 0.0, 0.6])
def test_the_steering_is_the_plans_whatever_the_route_says(steer):
    assert SteeringController().step(plan(steer=steer), ego(4.0)).steer == steer


@pytest.mark.parametrize(("wanted", "speed", "brakes"), [(5.0, 4.0, False), (5.0, 5.4, False), (5.0, 5.6, True), (0.1, 0.0, True)])
def test_the_speed_is_that_of_the_trajectory(wanted, speed, brakes):
    found = SteeringController().step(plan(wanted), ego(speed))
    assert (found.brake == 1.0) == brakes and (found.throttle == 0.0 or not brakes)
    assert 0.0 <= found.throttle <= 0.75


@pytest.mark.parametrize("broken", [replace(plan(), control=None), plan(steer=math.nan), plan(mps=math.nan)])
def test_what_cannot_be_followed_is_passed_on_and_leaves_no_trace(broken):
    controller, fresh = SteeringController(), SteeringController()
    assert math.isnan(controller.step(broken, ego(4.0)).throttle)
    assert controller.step(plan(), ego(4.0)) == fresh.step(plan(), ego(4.0))


def test_reset_forgets_errors():
    controller, fresh = SteeringController(), SteeringController()
    controller.step(plan(9.0), ego(0.0))
    controller.reset()
    assert controller.step(plan(), ego(4.0)) == fresh.step(plan(), ego(4.0))
