"""RouteMonitor on a hand-made crossing: each infraction once, and each way a route ends."""

from __future__ import annotations

import time

import numpy as np
import pytest
from support.plans import make_route
from support.roads import actor, lane, line, street

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState, SceneState
from kd_planner_ros.world.events import EventKind, RouteMonitor


def make_road(gate="signal"):
    """The street with a lane back, and the junction's outline."""
    return street(lane("back", line([150, 3.5], [0, 3.5])), gate=gate, junctions={"j": line([50, -10], [70, -10], [70, 10], [50, 10])})


def make_actors(*rows):
    """Rows of (x, y, kind)."""
    return np.concatenate([actor(x, y, kind, length=4.0, width=2.0, identity=i) for i, (x, y, kind) in enumerate(rows, 1)]
                          or [np.zeros(0, ACTOR_DTYPE)])


def scene(t, x, y=0.0, yaw=0.0, speed=5.0, actors=(), light=LightState.GREEN):
    signals = np.zeros(1, SIGNAL_DTYPE)
    signals["state"] = light
    return SceneState(round(t * 1e9), EgoState(round(t * 1e9), Pose(x=x, y=y, yaw=yaw), speed),
                      make_actors(*actors), signals)


def drive(monitor, xs, **kw):
    kinds = []
    for tick, x in enumerate(xs):
        arguments = {k: v(tick, x) if callable(v) else v for k, v in kw.items()}
        kinds += [e.kind for e in monitor.update(scene(tick * 0.05, x, **arguments))]
    return kinds


STRAIGHT = np.arange(0, 151, 0.5)


def test_clean_drive_completes():
    monitor = RouteMonitor(make_road(), make_route())
    assert drive(monitor, STRAIGHT) == []
    assert monitor.done and monitor.status == "Completed" and monitor.completion == 1.0
    facts = monitor.result()
    assert facts["route_length_m"] == pytest.approx(150) and facts["outside_share"] == 0.0


def test_red_light_counts_once_when_the_rear_crosses_and_not_on_green():
    red_late = drive(RouteMonitor(make_road(), make_route()), STRAIGHT,
                     light=lambda tick, x: LightState.RED if x > 54 else LightState.GREEN)
    assert red_late == [], "the rear was across before the light turned"
    assert drive(RouteMonitor(make_road(), make_route()), STRAIGHT, light=LightState.RED) == [EventKind.RED_LIGHT]
    assert drive(RouteMonitor(make_road(), make_route()), STRAIGHT, light=LightState.YELLOW) == []


def test_stop_sign_is_run_unless_the_car_stood_before_the_line():
    road = make_road("stop")
    assert drive(RouteMonitor(road, make_route()), STRAIGHT) == [EventKind.STOP_SIGN]
    stood = drive(RouteMonitor(road, make_route()), STRAIGHT, speed=lambda t, x: 0.0 if x == 46.0 else 5.0)
    assert stood == []
    early = drive(RouteMonitor(road, make_route()), STRAIGHT, speed=lambda t, x: 0.0 if x == 30.0 else 5.0)
    assert early == [EventKind.STOP_SIGN]


@pytest.mark.parametrize("kind, expected", [
    (ActorKind.PEDESTRIAN, EventKind.COLLISION_PEDESTRIAN), (ActorKind.BICYCLE, EventKind.COLLISION_VEHICLE),
    (ActorKind.CAR, EventKind.COLLISION_VEHICLE), (ActorKind.STATIC, EventKind.COLLISION_LAYOUT)])
def test_collision_counts_once_per_contact(kind, expected):
    assert drive(RouteMonitor(make_road(), make_route()), STRAIGHT, actors=((30.0, 0.5, kind),)) == [expected]


def test_two_actors_more_than_three_metres_apart_count_twice():
    found = drive(RouteMonitor(make_road(), make_route()), STRAIGHT[STRAIGHT < 58.0],
                  actors=((30.0, 0.5, ActorKind.CAR), (60.0, 0.5, ActorKind.CAR), (61.0, -1.0, ActorKind.CAR)))
    assert found == [EventKind.COLLISION_VEHICLE] * 2, "the third is within 3 m of the second contact"


def test_same_actor_within_five_seconds_counts_once_and_again_later():
    monitor, kinds = RouteMonitor(make_road(), make_route()), []
    for t in np.arange(0, 12, 0.05):
        x = 20.0 + 2.0 * t  # a car pushed along: one contact place after the other
        kinds += [e.kind for e in monitor.update(scene(t, x, actors=((x + 4.0, 0.0, ActorKind.CAR),)))]
    assert kinds == [EventKind.COLLISION_VEHICLE] * 3


def test_share_outside_the_lanes():
    monitor = RouteMonitor(make_road(), make_route())
    kinds = drive(monitor, STRAIGHT, y=lambda t, x: -4.0 if 80 < x <= 110 else 0.0)
    assert kinds == [EventKind.OUTSIDE_LANES]
    assert monitor.result()["outside_share"] == pytest.approx(30 / 149, abs=0.02)


def test_the_lane_against_the_traffic_is_outside():
    monitor = RouteMonitor(make_road(), make_route())
    drive(monitor, STRAIGHT, y=lambda t, x: 3.5 if x > 100 else 0.0)
    assert monitor.result()["outside_share"] == pytest.approx(0.33, abs=0.03)


def test_leaving_the_route_ends_it():
    monitor = RouteMonitor(make_road(), make_route())
    assert drive(monitor, np.arange(0, 60, 0.5), y=lambda t, x: -x)[0] == EventKind.ROUTE_DEVIATION
    assert monitor.done and monitor.status == "Failed - Agent deviated from the route"


def test_a_car_that_stands_for_180_s_is_blocked_unless_time_runs_out_first():
    monitor = RouteMonitor(make_road(), make_route((0, 0), (600, 0)))
    assert drive(monitor, np.full(3700, 10.0), speed=0.0) == [EventKind.BLOCKED]
    short = RouteMonitor(make_road(), make_route())
    assert drive(short, np.full(3700, 10.0), speed=0.0) == [EventKind.TIMEOUT]
    assert short.timeout_s == 125.0


@pytest.mark.alone
def test_an_update_is_fast_with_120_vehicles():
    """Not a timed bar: a tick must stay well below a twentieth of the 50 ms it simulates, on any machine."""
    rng = np.random.default_rng(0)
    actors = tuple((rng.uniform(0, 150), rng.uniform(20, 40), ActorKind.CAR) for _ in range(120))
    scenes = [scene(0.05 * i, x, actors=actors) for i, x in enumerate(STRAIGHT)]
    monitor = RouteMonitor(make_road(), make_route())
    start = time.process_time()
    for one in scenes:
        monitor.update(one)
    assert (time.process_time() - start) / len(scenes) < 0.0025
