"""Hidden hazards: their settings, that they meet a car which does not slow down, and let one pass that does."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.towns import scene

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import RouteError
from kd_planner_ros.core.route import RouteScenario
from kd_planner_ros.core.scene import LightState, SceneState
from kd_planner_ros.geometry.boxes import overlap_one
from kd_planner_ros.v2x.objects import boxes_of
from kd_planner_ros.world.ego_body import ego_box
from kd_planner_ros.world.hidden_hazards import CAR, WALKER, HiddenCar, HiddenWalker, arrival_s, numbers_of, settings_of

VAN, TRUCK = (5.4, 2.0, 2.4), (8.0, 2.5, 3.3)
STREET = settings_of(at=(50.0, 0.0), yaw=0.0, speed=1.8, to=8.0, parked=(46.0, -3.0, 0.0, *VAN), **{"from": 4.5})
CORNER = settings_of(at=(50.0, 0.0), yaw=0.0, speed=10.0, meet=40.0, path=[(50.0, -40.0), (50.0, 40.0)],
                     parked=(38.0, -4.0, 0.0, *TRUCK))
TICK_S = 0.05


def hazard(kind, settings):
    one = {WALKER: HiddenWalker, CAR: HiddenCar}[kind](None, np.random.default_rng(0))
    one.set_up(RouteScenario("n", kind, 0.0, 0.0, settings))
    return one


class Ids:
    last = 100

    def new_id(self):
        self.last += 1
        return self.last


def meets(kind, settings, mps_at):
    """Drive along x from 0, at ``mps_at``(x, whether the hazard moves), past the place of the meeting: whether the two touch."""
    one, x, traffic, touched, tick = hazard(kind, settings), 0.0, Ids(), False, 0
    while x < 75.0 and tick < 2000:
        moving = any(math.hypot(row["vx"], row["vy"]) > 0.0 for row in one.rows)
        speed = mps_at(x, moving)
        x, tick = x + speed * TICK_S, tick + 1
        ego = EgoState(0, Pose(x=x), speed)
        moment = SimpleNamespace(scene=SceneState(0, ego, scene().actors, scene().signals), traffic=traffic)
        if tick == 1:
            assert one.begin(moment)
        one.step(moment, TICK_S)
        touched |= bool(overlap_one(ego_box(ego.pose), boxes_of(np.array(one.rows))).any())
    assert x >= 75.0, "it lets the car pass in the end"
    return touched


@pytest.mark.parametrize("kind, settings", [(WALKER, STREET), (CAR, CORNER)])
@pytest.mark.parametrize("speed", [4.0, 7.0, 10.0])
def test_a_car_that_keeps_its_speed_is_met_and_one_that_waits_is_not(kind, settings, speed):
    waits = iter(range(400))
    assert meets(kind, settings, lambda x, moving: speed)
    assert not meets(kind, settings, lambda x, moving: 0.0 if moving and x < 42.0 and next(waits, None) is not None else speed)


@pytest.mark.parametrize("kind, settings", [(WALKER, STREET), (CAR, CORNER)])
def test_the_hazard_waits_for_a_car_that_stands(kind, settings):
    one, traffic = hazard(kind, settings), Ids()
    for x in (0.0, 10.0, 30.0):
        moment = SimpleNamespace(scene=SceneState(0, EgoState(0, Pose(x=x), 0.0), scene().actors, scene().signals), traffic=traffic)
        one.begin(moment)
        one.step(moment, TICK_S)
        assert not any(math.hypot(row["vx"], row["vy"]) for row in one.rows)


@pytest.mark.parametrize("light, comes", [(LightState.RED, False), (LightState.GREEN, True)])
def test_the_hidden_car_comes_when_the_car_may_go(light, comes):
    one, signals = hazard(CAR, CORNER), scene(light=light).signals
    signals["stop_x0"], signals["stop_x1"], signals["stop_y0"], signals["stop_y1"] = 40.0, 40.0, -1.7, 1.7
    one.begin(SimpleNamespace(traffic=Ids()))
    for x in (24.0, 26.0):
        one.step(SimpleNamespace(scene=SceneState(0, EgoState(0, Pose(x=x), 7.0), scene().actors, signals)), TICK_S)
    assert any(math.hypot(row["vx"], row["vy"]) for row in one.rows) == comes


@given(st.floats(0.0, 60.0), st.floats(0.5, 15.0))
def test_the_time_of_arrival_is_that_of_the_motion_it_stands_for(gap, speed):
    x, v, t = 0.0, speed, 0.0
    while x < gap:
        x, t, v = x + v * 0.005, t + 0.005, min(max(speed, 4.5), v + 1.5 * 0.005)
    assert arrival_s(gap, speed) == pytest.approx(t, abs=0.02)


def test_ids_differ_and_the_parked_vehicles_stand_from_the_start():
    one = hazard(WALKER, STREET)
    one.begin(SimpleNamespace(traffic=Ids()))
    assert sorted(int(row["id"]) for row in one.rows) == [101, 102] and not one.over


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=2), st.floats(-3.0, 3.0), st.integers(1, 4))
def test_settings_come_back_to_a_millimetre(at, yaw, vans):
    numbers = {"at": at, "yaw": yaw, "speed": 1.5, "from": 4.0, "to": 8.0, "parked": np.arange(6.0 * vans)}
    back = numbers_of(RouteScenario("n", WALKER, 0.0, 0.0, settings_of(**numbers)))
    assert all(np.allclose(back[name], np.ravel(value), atol=5.1e-4) for name, value in numbers.items())


@pytest.mark.parametrize("change, named", [
    ({"at": "1.0"}, "'at'"), ({"at": None}, "'at'"), ({"speed": "fast"}, "'speed'"), ({"yaw": "nan"}, "'yaw'"),
    ({"parked": "1 2 3"}, "'parked'")])
def test_a_setting_that_is_missing_or_broken_is_named(change, named):
    settings = {**dict(STREET), **change}
    with pytest.raises(RouteError, match=named):
        hazard(WALKER, tuple((name, text) for name, text in settings.items() if text is not None))
