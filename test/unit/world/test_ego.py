"""The ego's motion, the weathers, IMU and GNSS."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Control
from kd_planner_ros.world.ego import Ego
from kd_planner_ros.world.ego_body import EGO_WHEELBASE_M
from kd_planner_ros.world.sensor_data import LEADERBOARD_NOISE, SensorNoise, read_gnss, read_imu
from kd_planner_ros.world.weather import ROUTE_WEATHER, WEATHERS, weather_by

DT = 0.05


def drive(ego: Ego, seconds: float, **control: float) -> Ego:
    for _ in range(round(seconds / DT)):
        ego.step(Control(**control), DT)
    return ego


def test_three_quarters_throttle_reaches_ten_metres_a_second_and_the_brake_holds():
    ego = drive(Ego(Pose()), 4.0, throttle=0.75)
    assert 10.0 < ego.vx < 16.0
    drive(ego, 4.0, brake=1.0)
    assert (ego.vx, ego.vy, ego.yaw_rate) == (0.0, 0.0, 0.0)
    x = ego.x
    drive(ego, 1.0, brake=1.0)
    assert ego.x == x


def test_full_brake_takes_about_eight_metres_per_second_squared():
    ego = drive(Ego(Pose()), 4.0, throttle=0.75)
    speed, x = ego.vx, ego.x
    drive(ego, 4.0, brake=1.0)
    assert speed**2 / (2 * 10.0) < ego.x - x < speed**2 / (2 * 7.0) + speed * 0.15


def test_positive_steer_turns_left_on_the_bicycle_circle_when_slow():
    ego = drive(Ego(Pose()), 0.8, throttle=0.4)
    rates = [(drive(ego, DT, throttle=0.05, steer=0.2).yaw_rate, ego.vx, ego.wheel_rad) for _ in range(20)]
    rate, speed, wheel = rates[-1]
    assert speed < 3.0 and rate == pytest.approx(speed * math.tan(wheel) / EGO_WHEELBASE_M, rel=0.02)
    assert ego.yaw > 0.1 and ego.y > 0.0


def test_tyres_limit_the_sideways_force_at_speed():
    ego = drive(Ego(Pose()), 5.0, throttle=0.75)
    pulls = [abs(drive(ego, DT, throttle=0.75, steer=0.6).acceleration_mps2[1]) for _ in range(40)]
    assert 5.0 < max(pulls) < 11.0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-1, 2), st.floats(-1, 2)), min_size=1, max_size=60))
def test_no_control_breaks_the_car(controls):
    ego = Ego(Pose(yaw=1.0))
    for steer, throttle, brake in controls:
        ego.step(Control(steer=steer, throttle=throttle, brake=brake), DT)
        assert 0.0 <= ego.vx < 45.0 and abs(ego.vy) < 12.0 and abs(ego.yaw_rate) < 12.0
        assert math.isfinite(ego.x + ego.y + ego.yaw)


def test_left_and_right_are_mirror_images():
    left, right = (drive(Ego(Pose()), 3.0, throttle=0.5, steer=steer) for steer in (0.15, -0.15))
    assert (left.x, left.y, left.yaw) == pytest.approx((right.x, -right.y, -right.yaw))


def test_nan_control_brakes():
    ego = drive(Ego(Pose()), 3.0, throttle=0.5)
    drive(ego, 3.0, throttle=math.nan)
    assert ego.vx == 0.0


def test_weathers_are_the_benchmarks_21():
    assert len(WEATHERS) == 21 and len({w.name for w in WEATHERS}) == 21
    assert WEATHERS[0].name == "ClearNoon" and WEATHERS[13].name == "SoftRainSunset"
    assert WEATHERS[20].name == "HardRainNight"
    assert all(w.sun_altitude_deg == -90.0 for w in WEATHERS[14:])
    assert all(w.sun_altitude_deg > 0 for w in WEATHERS[:14])
    assert weather_by("3") is WEATHERS[3] and weather_by("HardRainNoon") is WEATHERS[10]
    assert (ROUTE_WEATHER.sun_altitude_deg, ROUTE_WEATHER.cloudiness) == (70.0, 30.0)
    with pytest.raises(ConfigError):
        weather_by("Snow")


def test_gnss_and_imu_without_noise_are_exact():
    rng = np.random.default_rng(0)
    ego = EgoState(0, Pose(100.0, -50.0, 0.0, math.pi / 2), 5.0, yaw_rate_rps=0.3)
    gnss = read_gnss(ego, rng, SensorNoise())
    assert gnss.latitude * 111324.60662786 == pytest.approx(-50.0)
    assert gnss.longitude * 111319.490945 == pytest.approx(100.0)
    imu = read_imu(ego, (1.0, 2.0), rng, SensorNoise())
    np.testing.assert_allclose(imu.acceleration, [1.0, 2.0, 9.81])
    assert imu.angular_velocity[2] == 0.3 and imu.compass == pytest.approx(0.0)  # facing north


def test_leaderboard_noise_is_drawn_from_the_generator():
    ego = EgoState(0, Pose(), 0.0)
    first, second = (read_gnss(ego, np.random.default_rng(1), LEADERBOARD_NOISE) for _ in range(2))
    assert first == second and 0.0 < abs(first.latitude) < 5e-5
