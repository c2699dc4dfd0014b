"""The expert on a hand-made street with the real car model: lights, signs, leaders, walkers, labels, determinism."""

from __future__ import annotations

import math

import numpy as np
import pytest
from support.plans import make_route
from support.roads import actor, lane, line, street

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.planning_states import STATE_NAMES
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState, SceneState
from kd_planner_ros.world.disturbance import SteeringDisturbance
from kd_planner_ros.world.ego import Ego
from kd_planner_ros.world.events import RouteMonitor
from kd_planner_ros.world.expert import Expert
from kd_planner_ros.world.planning_states import light_state


def make_road(gate):
    """The street, and a lane across it in the junction."""
    return street(lane("cross_in", line([60, -80], [60, -8]), ("cross_mid",)),
                  lane("cross_mid", line([60, -8], [60, 8]), ("cross_out",), "j"),
                  lane("cross_out", line([60, 8], [60, 90])), gate=gate)


def run(road, route, seconds, light=lambda t: LightState.GREEN, actors=lambda t: np.zeros(0, ACTOR_DTYPE), push=None, gap_s=0.0):
    """Drives and gives back (ego states, decisions, monitor)."""
    ego, expert = Ego(Pose(*route.points[0], yaw=route.yaws[0])), Expert(road, route, gap_s=gap_s)
    monitor = RouteMonitor(road, route)
    states, decisions = [], []
    for tick in range(int(seconds * 20)):
        t = tick * 0.05
        signals = np.zeros(len(road.signals), SIGNAL_DTYPE)
        signals["state"] = light(t)
        state = ego.state(round(t * 1e9))
        scene = SceneState(state.stamp_ns, state, actors(t), signals)
        monitor.update(scene)
        if monitor.done:
            break
        decision = expert.step(scene)
        states.append(state)
        decisions.append(decision)
        control = decision.control if push is None else push.step(decision.control, state.speed_mps)[0]
        ego.step(control, 0.05)
    return states, decisions, monitor


def test_an_empty_street_is_driven_at_cruise_speed_on_its_line():
    states, decisions, monitor = run(make_road("none"), make_route(), 40)
    assert monitor.status == "Completed" and monitor.events == []
    speeds = [s.speed_mps for s in states[200:]]
    assert min(speeds) > 6.2 and max(speeds) < 6.8
    assert max(abs(s.pose.y) for s in states) < 0.05
    assert all(0 <= d.control.throttle <= 0.75 and d.control.throttle * d.control.brake == 0 for d in decisions)


def test_a_corner_is_taken_within_half_a_metre_and_slower():
    angle = np.linspace(-np.pi / 2, 0, 15)
    bend = [[40 + 8 * math.cos(a), 8 + 8 * math.sin(a)] for a in angle]
    route = make_route([0, 0], *bend, [48, 60])
    states, _, _ = run(make_road("none"), route, 30)
    off = [np.hypot(*(route.points - (s.pose.x, s.pose.y)).T).min() for s in states]
    assert max(off) < 0.7, "half of the 1 m spacing may add up to 0.5 m along"
    inside = [s.speed_mps for s in states if s.pose.x > 42 and s.pose.y < 6]
    assert max(inside) < 5.0 and states[-1].pose.y > 50


def test_waits_before_the_line_at_red_and_goes_at_green():
    states, decisions, monitor = run(make_road("signal"), make_route(), 70,
                                     lambda t: LightState.RED if t < 30 else LightState.GREEN)
    waiting = states[590]
    assert waiting.speed_mps < 0.05 and 46.0 < waiting.pose.x + 2.45 < 50.0
    assert monitor.status == "Completed" and monitor.events == []
    assert min(np.diff([s.speed_mps for s in states])) > -0.05 * 4.0, "no hard braking for a light seen from afar"
    assert [d.states["light"] for d in decisions][590] == 2 and decisions[-1].states["light"] == 0


def test_yellow_just_before_the_line_is_driven_through():
    def late(t):
        return LightState.GREEN if t < 8.5 else LightState.YELLOW if t < 11.5 else LightState.RED
    states, _, monitor = run(make_road("signal"), make_route(), 40, late)
    assert 40 < states[170].pose.x < 49, "the case is set up so that stopping would be an emergency"
    assert monitor.status == "Completed" and monitor.events == []


def test_stands_at_a_stop_sign():
    states, decisions, monitor = run(make_road("stop"), make_route(), 50)
    assert monitor.status == "Completed" and monitor.events == []
    assert min(s.speed_mps for s in states if 40 < s.pose.x < 50) < 0.1
    assert any(d.states["stop_sign"] for d in decisions) and not decisions[-1].states["stop_sign"]


def test_keeps_behind_a_slow_leader_and_a_standing_one():
    states, decisions, monitor = run(make_road("none"), make_route(), 40,
                                     actors=lambda t: actor(min(15 + 3 * t, 90), 0, speed=3.0 * (t < 25)))
    assert not monitor.events and states[-1].speed_mps < 0.1
    assert 1.5 < 90 - 2.25 - (states[-1].pose.x + 2.45) < 4.5
    assert decisions[-1].states["vehicle"] == 1 and decisions[-1].states["brake"] == 1
    assert decisions[-1].hazards[0].kind == "lead"


def test_brakes_for_a_walker_who_steps_out():
    def walker(t):
        y = -5.0 if t < 5.2 else -5.0 + 1.5 * (t - 5.2)
        return actor(44, y, ActorKind.PEDESTRIAN, math.pi / 2, 0.0 if t < 5.2 else 1.5, 0.5, 0.5)
    states, decisions, monitor = run(make_road("none"), make_route(), 60, actors=walker)
    assert monitor.status == "Completed" and monitor.events == []
    assert any(h.kind == "pedestrian" for d in decisions for h in d.hazards)
    assert any(d.states["pedestrian"] for d in decisions)


def test_yields_to_crossing_traffic_that_will_not_stop():
    def crossing(t):
        return actor(60, -80 + 8 * t, yaw=math.pi / 2, speed=8.0)
    states, _, monitor = run(make_road("none"), make_route(), 60, actors=crossing)
    assert monitor.status == "Completed" and monitor.events == []


@pytest.mark.parametrize("starts_m", [-84.0, -80.0, -76.0])
def test_a_gap_in_seconds_is_left_behind_who_crosses(starts_m):
    def passed_s(gap_s):
        """Seconds from when the other car has left the lane's middle until the car's front is there."""
        states, _, monitor = run(make_road("none"), make_route(), 60, gap_s=gap_s,
                                 actors=lambda t: actor(60, starts_m + 8 * t, yaw=math.pi / 2, speed=8.0))
        assert monitor.status == "Completed" and monitor.events == []
        reached = next(s for s in states if s.pose.x + 2.45 >= 60.0)
        return reached.stamp_ns / 1e9 - (2.25 - starts_m) / 8.0

    assert passed_s(1.2) >= max(1.2, passed_s(0.0) + 0.3)


def test_a_standing_car_beside_the_lane_does_not_hold_it():
    states, _, monitor = run(make_road("none"), make_route(), 40, actors=lambda t: actor(60, 3.5))
    assert monitor.status == "Completed"
    assert min(s.speed_mps for s in states[150:]) > 5.5


def test_recovers_from_steering_disturbances():
    push = SteeringDisturbance(3)
    states, _, monitor = run(make_road("none"), make_route(), 40, push=push)
    off = [abs(s.pose.y) for s in states]
    assert monitor.status == "Completed" and 0.05 < max(off) < 1.2
    again = run(make_road("none"), make_route(), 40, push=SteeringDisturbance(3))[0]
    assert again == states, "the same seed gives the same drive"


def test_disturbance_is_off_most_of_the_time_and_leaves_the_label_alone():
    push, control = SteeringDisturbance(0), Control(steer=0.1, throttle=0.3)
    active = [push.step(control, 5.0) for _ in range(2000)]
    share = np.mean([on for _, on in active])
    assert 0.05 < share < 0.3 and control.steer == 0.1
    assert max(abs(c.steer - 0.1) for c, _ in active) > 0.03


@pytest.mark.parametrize("distance, colour, legacy, expected", [
    (None, LightState.RED, False, 0), (60.0, LightState.RED, False, 0), (30.0, LightState.RED, False, 2),
    (30.0, LightState.YELLOW, False, 2), (30.0, LightState.RED, True, 1), (5.0, LightState.YELLOW, True, 2),
    (5.0, LightState.GREEN, False, 1)])
def test_light_label(distance, colour, legacy, expected):
    assert light_state(distance, colour, legacy) == expected


def test_states_come_in_the_order_of_the_specification():
    _, decisions, _ = run(make_road("none"), make_route(), 0.2)
    assert tuple(decisions[0].states) == STATE_NAMES
