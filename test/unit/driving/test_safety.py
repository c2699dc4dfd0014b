"""The safety controller: peaks, tracks, forecast, speed, rules, and whole hand-made scenes."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from support.plans import ego

from kd_planner_ros.core.ego import Command, NavigationGoal, Pose
from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.driving.controllers import build_controller
from kd_planner_ros.driving.driver import Pilot
from kd_planner_ros.driving.safety.controller import SafetyController, SafetySettings
from kd_planner_ros.driving.safety.forecast import boxes_at, resample, safe_distances
from kd_planner_ros.driving.safety.peaks import find_objects
from kd_planner_ros.driving.safety.road_users import ROAD_USER_DTYPE, detections_from, road_users
from kd_planner_ros.driving.safety.rules import Rules, RuleSettings
from kd_planner_ros.driving.safety.speed import fastest, free_distances
from kd_planner_ros.driving.safety.tracker import Tracker
from kd_planner_ros.driving.tcp_controller import TCPController
from kd_planner_ros.driving.unblock import UnblockSettings
from kd_planner_ros.networks.interfuser.targets import cell_centres

STRAIGHT = np.stack([np.arange(3.5, 13.0), np.zeros(10)], axis=1)
TICK_NS = 50_000_000


def seen(*rows):
    """Rows of (kind, x, y, yaw, length, width, speed)."""
    out = np.zeros(len(rows), ROAD_USER_DTYPE)
    for index, row in enumerate(rows):
        for name, value in zip(("kind", "x", "y", "yaw", "length", "width", "speed"), row):
            out[index][name] = value
    out["probability"] = 0.95
    return out


def car(x, y=0.0, yaw=0.0, speed=0.0):
    return (ActorKind.CAR, x, y, yaw, 4.8, 1.9, speed)


def plan(*rows, stamp=0, points=STRAIGHT, **notes):
    chances = {"p_junction": 0.0, "p_red": 0.0, "p_stop": 0.0} | notes
    times = 0.2 * np.arange(1, len(points) + 1)
    return Plan(stamp, Trajectory(stamp, np.array(points, float), times), NavigationGoal(np.array([30.0, 0.0]),
                Command.LANE_FOLLOW), notes=chances, follow="safety", detections=Detections(detections_from(seen(*rows))))


def step(*rows, speed=3.0, points=STRAIGHT, **notes):
    controller = SafetyController()
    control = controller.step(plan(*rows, points=points, **notes), ego(speed))
    return control, controller.notes


# --- peaks ---------------------------------------------------------------------------------------------------------------

def grid(*cells, size=(2.4, 0.95)):
    out = np.zeros((20, 20, 7))
    out[..., 3], out[..., 4], out[..., 5] = 1.5 * math.pi, *size
    for row, column, probability in cells:
        out[row, column, 0] = probability
    return out


def places(found):
    return [(round(float(x), 3), round(float(y), 3)) for x, y in zip(found["x"], found["y"])]


@pytest.mark.parametrize("cells, count", [
    ([(7, 9, 0.5)], 1), ([(7, 9, 0.4)], 0), ([(7, 9, 0.5), (7, 10, 0.6)], 1), ([(7, 9, 0.5), (7, 10, 0.5)], 0),
    ([(7, 9, 0.95), (7, 10, 0.92)], 2), ([(0, 0, 0.5)], 1), ([(18, 9, 0.45)], 0), ([(18, 9, 0.55)], 1), ([(19, 9, 0.95)], 1),
    ([(7, 9, math.nan)], 0)])
def test_peaks(cells, count):
    assert len(find_objects(grid(*cells), cell_centres())) == count


def test_legacy_overlooks_the_upper_left():
    cells = [(7, 9, 0.5), (6, 8, 0.6)]
    assert places(find_objects(grid(*cells), cell_centres())) == [(11.5, 1.5)]
    assert len(find_objects(grid(*cells), cell_centres(), legacy=True)) == 2


@pytest.mark.parametrize("size, kind", [((2.1, 1.0), ActorKind.CAR), ((2.0, 1.0), ActorKind.BICYCLE),
                                        ((0.9, 0.5), ActorKind.BICYCLE), ((0.3, 0.3), ActorKind.PEDESTRIAN)])
def test_kinds(size, kind):
    assert find_objects(grid((7, 9, 0.95), size=size), cell_centres())["kind"].tolist() == [kind]


# --- detections ----------------------------------------------------------------------------------------------------------

def test_a_velocity_is_a_speed_along_the_heading():
    """Heading left at 3 m/s is (0, 3); (3, 4) of a car that heads forward counts as 3 m/s."""
    (row,) = detections_from(seen(car(5.0, yaw=math.pi / 2, speed=3.0)))
    assert (row["vx"], row["vy"]) == pytest.approx((0.0, 3.0), abs=1e-12) and row["id"] == -1 and math.isnan(row["z"])
    rows = np.zeros(1, DETECTION_DTYPE)
    rows["vx"], rows["vy"] = 3.0, 4.0
    assert road_users(Detections(rows))["speed"][0] == 3.0
    assert len(road_users(None)) == 0 and len(road_users(Detections(rows[:0]))) == 0


def test_a_network_s_speeds_come_back_to_the_last_bit():
    """float32 times 8, as InterFuser gives them, at every heading; so that it drives as it did with speeds in the plan."""
    rng = np.random.default_rng(3)
    users = np.zeros(100_000, ROAD_USER_DTYPE)
    users["yaw"] = rng.uniform(-math.pi, math.pi, len(users))
    users["speed"] = rng.normal(size=len(users)).astype(np.float32).astype(float) * 8.0 * 10.0 ** rng.integers(-6, 2, len(users))
    users["speed"] = users["speed"].astype(np.float32)
    for name in ("x", "y", "length", "width", "probability"):
        users[name] = rng.normal(size=len(users))
    users["kind"] = rng.integers(12, 21, len(users))
    users[:3]["speed"] = 0.0, math.nan, -1.5
    back = road_users(Detections(detections_from(users)))
    assert all(np.array_equal(back[name], users[name], equal_nan=True) for name in ROAD_USER_DTYPE.names)


# --- tracks --------------------------------------------------------------------------------------------------------------

def follow(tracker, steps, speed=5.0, told=1.0, ego_speed=0.0):
    """A car driving ahead at ``speed``, of which the network says ``told``; the newest correction."""
    for index in range(steps):
        at = ego_speed * 0.1 * index
        found = tracker.update(seen(car(10.0 + speed * 0.1 * index - at, speed=told)), Pose(x=at))
    return found[0]


def test_track_speed_by_hand():
    """5 m/s less 0.2; w = 0.04 sqrt(3 / 10) after three samples: 1 + w 3.8."""
    assert follow(Tracker(), 1)["speed"] == 1.0
    assert follow(Tracker(), 3)["speed"] == pytest.approx(1.0 + 0.04 * math.sqrt(0.3) * 3.8)
    assert follow(Tracker(), 30)["speed"] == pytest.approx(1.0 + 0.04 * 3.8)  # never more than 0.04
    assert follow(Tracker(), 30, speed=20.0, told=1.0)["speed"] == pytest.approx(1.0 + 0.04 * 6.0)  # at most 7 m/s


def test_track_speed_knows_how_long_a_step_took():
    """1 m in 0.2 s is 5 m/s; a step that took no time, or a minute, counts as 0.1 s."""
    for passed_s, speed in ((0.2, 4.8), (0.0, 7.0), (60.0, 7.0)):
        tracker = Tracker()
        for index in range(3):
            found = tracker.update(seen(car(10.0 + index, speed=1.0)), Pose(), passed_s)
        assert found["speed"][0] == pytest.approx(1.0 + 0.04 * math.sqrt(0.3) * (speed - 1.0))


def test_tracks_live_in_the_map():
    """A car that stands seems to come at 5 m/s to one that drives at it; its track knows better."""
    assert follow(Tracker(), 10, speed=0.0, told=1.0, ego_speed=5.0)["speed"] == pytest.approx(1.0 - 0.04)


def test_legacy_takes_the_heading_for_the_speed():
    """Along with us is 3/4 of a turn, hence 6 of 8 m/s: whoever drives ahead seems to do 6 m/s even when it stands."""
    share = 0.04
    assert follow(Tracker(legacy=True), 30, speed=0.0, told=0.0)["speed"] == pytest.approx((1 - share) * 6.0)
    assert follow(Tracker(), 30, speed=0.0, told=0.0)["speed"] == 0.0


def test_heading_follows_a_fast_track_only():
    for speed, turned in ((5.0, True), (1.0, False)):
        tracker = Tracker()
        for index in range(10):
            found = tracker.update(seen((ActorKind.CAR, 10.0, 0.1 * speed * index, 0.0, 4.8, 1.9, speed)), Pose())
        assert found["yaw"][0] == pytest.approx(0.04 * math.pi / 2 if turned else 0.0)


def test_matches_are_within_two_metres_and_end_after_six_steps():
    tracker = Tracker()
    tracker.update(seen(car(10.0, speed=1.0)), Pose())
    assert tracker.update(seen(car(12.5, speed=1.0)), Pose())["speed"][0] == 1.0  # another one
    tracker.reset()
    tracker.update(seen(car(10.0, speed=1.0)), Pose())
    for _ in range(5):
        tracker.update(seen(), Pose())
    assert tracker.update(seen(car(10.1, speed=1.0)), Pose())["speed"][0] != 1.0  # 6 steps later
    for _ in range(6):
        tracker.update(seen(), Pose())
    assert tracker.update(seen(car(10.1, speed=1.0)), Pose())["speed"][0] == 1.0  # 7 steps later


def test_nearest_pairs_match_first():
    """Two cars, 1.5 m apart; each stays its own although the second was listed first."""
    tracker = Tracker()
    for index in range(4):
        found = tracker.update(seen(car(11.5 + 0.3 * index, speed=3.0), car(10.0 + 0.3 * index, speed=3.0)), Pose())
    assert found["speed"] == pytest.approx([3.0 - 0.2 * 0.04 * math.sqrt(0.4)] * 2)


# --- forecast ------------------------------------------------------------------------------------------------------------

def test_boxes_move_on():
    boxes = boxes_at(seen(car(10.0, yaw=math.pi / 2, speed=2.0)), np.array([0.0, 1.5]))
    assert boxes[0, 0] == pytest.approx([10.0, 0.0, math.pi / 2, 4.8, 1.9])
    assert boxes[1, 0, :2] == pytest.approx([10.0, 3.0])


def test_bicycles_are_fast_and_small_boxes_large():
    bike, person = boxes_at(seen((ActorKind.BICYCLE, 5, 0, 0, 1.8, 0.3, 1.0), (ActorKind.PEDESTRIAN, 5, 0, 0, 0.5, 0.5, 1.0)),
                            np.array([1.0]))[0]
    assert (bike[0], bike[3], bike[4]) == pytest.approx((9.0, 3.6, 0.8))  # 4 m/s; doubled; half width at least 0.4 m
    assert (person[0], person[3], person[4]) == pytest.approx((6.0, 1.5, 1.5))
    legacy = boxes_at(seen((ActorKind.PEDESTRIAN, 5, 0, 0, 0.5, 0.5, 1.0)), np.array([1.0]), legacy=True)[0, 0]
    assert (legacy[3], legacy[4]) == pytest.approx((1.0, 1.0))


def test_legacy_does_not_see_a_pedestrian_on_the_way():
    """1 m x 1 m is 2.3 % of the car's box, below the 4 % that count."""
    person, way = seen((ActorKind.PEDESTRIAN, 9.0, 0.0, 0.0, 0.5, 0.5, 0.0)), resample(STRAIGHT)
    assert safe_distances(way, person, np.zeros(1))[0] < 5.0
    assert safe_distances(way, person, np.zeros(1), legacy=True)[0] > 11.0


def test_way_is_sampled_finely():
    way = resample(STRAIGHT)
    assert way[0].tolist() == [0.0, 0.0] and way[-1].tolist() == [12.5, 0.0]
    assert np.hypot(*np.diff(way, axis=0).T).max() <= 0.2 + 1e-9
    assert len(resample(STRAIGHT * 1e6)) == 200 and len(resample(np.zeros((10, 2)))) == 11


def test_an_empty_map_frees_the_third_last_point():
    way = resample(STRAIGHT)
    assert safe_distances(way, seen(), np.zeros(2)) == pytest.approx([math.hypot(*way[-3])] * 2)
    beyond = safe_distances(way, seen(car(60.0)), np.zeros(1))  # outside the raster is as good as nobody
    assert beyond == pytest.approx([math.hypot(*way[-3])])


def test_distance_to_a_car_ahead_by_hand():
    """The box is 9.9 x 4.4 m; 4 % of it behind a rear bumper 1.9 m wide are 0.92 m of overlap. A bumper at 12 m is met
    when the car stands at 12 - 4.95 + 0.92 = 7.97 m."""
    found = safe_distances(resample(STRAIGHT), seen(car(14.4)), np.zeros(1))
    assert found[0] == pytest.approx(7.9, abs=0.3)


def test_a_car_that_crosses_later_is_met_later():
    crossing = seen(car(9.0, y=-9.0, yaw=math.pi / 2, speed=6.0))
    now, later = safe_distances(resample(STRAIGHT), crossing, np.array([0.0, 1.5]))
    assert now > 11.0 and later < 4.0


def test_a_car_in_the_next_lane_is_no_obstacle():
    assert safe_distances(resample(STRAIGHT), seen(car(8.0, y=3.6)), np.zeros(1))[0] > 11.0


def test_all_moments_at_once_equal_each_alone():
    rng = np.random.default_rng(0)
    times = np.array([0.0, 0.5, 0.75, 1.5, 2.0])
    for _ in range(10):
        rows = seen(*((ActorKind.CAR, *rng.uniform((4, -6, -3), (18, 6, 3)), 4.5, 1.9, rng.uniform(0, 7)) for _ in range(4)))
        way = resample(np.stack([np.linspace(3, 12, 10), np.linspace(0, rng.uniform(-6, 6), 10)], axis=1))
        alone = [safe_distances(way, rows, times[i:i + 1])[0] for i in range(5)]
        assert safe_distances(way, rows, times) == pytest.approx(alone)


# --- speed ---------------------------------------------------------------------------------------------------------------

def test_free_distances_by_hand():
    assert free_distances(np.array([9.0, 7.0, 6.0, 5.0, 8.0])) == pytest.approx((7.0, 4.0, 3.0))
    assert free_distances(np.array([1.0, 9.0, 9.0, 9.0, 9.0])) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("v0, half, one, wanted", [
    (0.0, 1.0, 2.0, 4.0), (0.0, 10.0, 10.0, 5.0), (3.0, 1.0, 10.0, 0.5), (2.0, 10.0, 2.0, 3.0), (4.0, 0.5, 0.5, 0.0)])
def test_fastest_speed_by_hand(v0, half, one, wanted):
    assert fastest(v0, half, one) == pytest.approx(wanted)


def test_fastest_speed_solves_the_linear_programme():
    """Both constraints hold with v2 = the speed after half a second of braking, and no faster speed keeps them."""
    rng = np.random.default_rng(1)
    for v0, half, one in rng.uniform((0, 0.5, 1.5), (4, 4, 6), (50, 3)):
        v, above = fastest(v0, half, one), max(0.0, v0 - 2.5)
        for speed, holds in ((v, True), (v + 0.01, False)):
            kept = (v0 + speed + above <= 4.0 * half + 1e-9 and v0 + 2.0 * speed + 2.0 * above <= 4.0 * one + 1e-9
                    and speed <= 5.0)
            assert bool(kept) is holds or v == 0.0


# --- rules ---------------------------------------------------------------------------------------------------------------

def test_red_light_is_ignored_after_fifty_seconds():
    rules = Rules()
    held = [rules.step({"p_red": 0.9}, 0.0).stop for _ in range(1090)]
    assert all(held[:1000]) and not any(held[1000:1080]) and all(held[1080:])
    assert not Rules().step({"p_red": 0.29}, 0.0).stop


def test_stop_sign_stops_once_and_thrice_again_every_two_metres():
    rules = Rules()
    assert rules.step({"p_stop": 0.5}, 3.0).sign
    assert rules.step({"p_stop": 0.5}, 1.0).sign
    assert not rules.step({"p_stop": 0.0}, 0.05).sign  # it stood
    metres, arms, sign = 0.0, [], False
    for _ in range(400):  # creeping on at 1 m/s, standing wherever it is told to
        now = rules.step({}, 1.0).sign
        metres += 0.05
        if now and not sign:
            arms.append(metres)
            rules.step({}, 0.0)
            now = False
        sign = now
    assert len(arms) == 3 and np.diff(arms) == pytest.approx([2.0, 2.0], abs=0.06)


def test_a_junction_ends_the_stop_sign():
    rules = Rules()
    rules.step({"p_stop": 0.5}, 3.0)
    rules.step({}, 0.0)
    rules.step({"p_junction": 0.8}, 1.0)
    assert not any(rules.step({}, 1.0).sign for _ in range(200))


def test_a_car_that_stands_too_long_is_pushed():
    rules = Rules()
    pushed = [rules.step({}, 0.0).push for _ in range(1220)]
    assert pushed.index(True) == 1200 and sum(pushed) == 12
    rules = Rules()
    for _ in range(1190):
        rules.step({}, 0.0)
    rules.step({}, 1.0)  # takes ten back
    assert not any(rules.step({}, 0.0).push for _ in range(20)) and rules.step({}, 0.0).push


# --- whole scenes --------------------------------------------------------------------------------------------------------

def test_empty_road():
    control, notes = step(speed=3.0)
    assert (control.throttle, control.brake, control.steer) == (0.75, 0.0, 0.0) and notes["wanted_mps"] == 5.0
    assert step(speed=5.6)[0].brake == 1.0  # above 1.1 of 5 m/s


def test_car_ahead():
    near, notes = step(car(9.0))
    assert (near.throttle, near.brake) == (0.0, 1.0) and notes["blocked"] == 1.0
    far, notes = step(car(14.5), speed=3.0)
    assert far.brake == 0.0 and notes["wanted_mps"] == pytest.approx(5.0)
    assert step(car(12.0), speed=3.0)[1]["free_now_m"] < notes["free_now_m"]


def test_car_ahead_that_drives_away_lets_us_follow():
    standing, away = step(car(11.5), speed=2.0)[1], step(car(11.5, speed=6.0), speed=2.0)[1]
    assert away["free_one_m"] >= standing["free_one_m"]


def test_pedestrian_crossing():
    """1.5 m/s from the right, 3.5 m beside the way: free now, met within a second."""
    person = (ActorKind.PEDESTRIAN, 9.0, -4.0, math.pi / 2, 0.5, 0.5, 1.5)
    control, notes = step(person, speed=4.0)
    assert notes["free_now_m"] > notes["free_one_m"] and notes["wanted_mps"] < 4.0
    away, free = step((ActorKind.PEDESTRIAN, 9.0, -4.0, -math.pi / 2, 0.5, 0.5, 1.5), speed=4.0)
    assert free["wanted_mps"] == 5.0 and away.brake == 0.0


def test_red_light():
    control, notes = step(p_red=0.5)
    assert (control.throttle, control.brake, notes["held_by_red"]) == (0.0, 1.0, 1.0)
    assert step(p_red=0.2)[0].brake == 0.0


def test_stop_sign_is_left_after_standing():
    controller = SafetyController()
    first = controller.step(plan(p_stop=0.6), ego(3.0))
    stood = controller.step(plan(stamp=2, p_stop=0.6), ego(0.0))
    assert (first.brake, stood.brake) == (1.0, 0.0) and stood.throttle > 0.0


def test_unblock_pushes_through_a_ghost():
    assert UnblockSettings().patience_ticks == 1200
    controller = SafetyController(SafetySettings(rules=RuleSettings(unblock=UnblockSettings(patience_ticks=100))))
    controls = [controller.step(plan(car(7.0), stamp=index), ego(0.0)) for index in range(115)]
    assert {c.brake for c in controls[:100]} == {1.0}
    assert {(c.throttle, c.brake) for c in controls[100:112]} == {(0.8, 0.0)} and controls[112].brake == 1.0


def test_unblock_does_not_run_a_stop_sign():
    controller = SafetyController(SafetySettings(rules=RuleSettings(unblock=UnblockSettings(patience_ticks=0), stopped_mps=-1.0)))
    assert controller.step(plan(p_stop=0.9), ego(0.0)).brake == 1.0


@pytest.mark.parametrize("left, sign", [(1.0, 1.0), (-1.0, -1.0), (0.0, 0.0)])
def test_steers_to_the_middle_of_the_first_two_points(left, sign):
    control, _ = step(points=np.stack([np.arange(3.5, 13.0), np.full(10, left)], axis=1))
    bearing = math.atan2(left, 4.0) / (math.pi / 2)
    assert control.steer == pytest.approx((1.25 + 0.75 / 40 + 0.3) * bearing)
    assert np.sign(control.steer) == sign


def test_a_standing_car_does_not_steer():
    assert step(speed=0.0, points=STRAIGHT + [0.0, 2.0])[0].steer == 0.0


def test_a_command_is_held_for_the_tick_after_its_plan():
    controller = SafetyController()
    first = controller.step(plan(stamp=5), ego(2.0))
    assert controller.step(plan(stamp=5), ego(5.6)) is first
    assert controller.step(plan(stamp=5), ego(5.6)).brake == 1.0  # the plan is late: look at the speed again
    assert controller.step(plan(stamp=6, p_red=0.9), ego(2.0)).brake == 1.0


def test_no_objects_count_as_nobody():
    bare = plan()
    bare = Plan(bare.stamp_ns, bare.trajectory, bare.goal, follow="safety")
    assert SafetyController().step(bare, ego(3.0)).throttle == 0.75


def test_nan_in_nan_out_without_a_trace():
    controller, fresh = SafetyController(), SafetyController()
    assert math.isnan(controller.step(plan(points=STRAIGHT * math.nan), ego(3.0)).steer)
    assert math.isnan(controller.step(plan(p_red=math.nan), ego(3.0)).brake)
    assert math.isnan(controller.step(plan(), ego(math.nan)).brake)
    assert controller.step(plan(), ego(3.0)) == fresh.step(plan(), ego(3.0))
    broken = car(math.nan)
    assert SafetyController().step(plan(broken), ego(3.0)).brake == 0.0


def test_reset_forgets_everything():
    controller, fresh = SafetyController(), SafetyController()
    for index in range(30):
        controller.step(plan(car(12.0, y=1.0), stamp=index, p_stop=0.9, p_red=0.9), ego(2.0))
    controller.reset()
    assert controller.step(plan(car(14.0)), ego(2.0)) == fresh.step(plan(car(14.0)), ego(2.0))


# --- who drives ----------------------------------------------------------------------------------------------------------

def test_plans_choose_their_controller():
    assert isinstance(build_controller("pid"), TCPController) and isinstance(build_controller("safety"), SafetyController)
    pilot = Pilot()
    assert isinstance(pilot.controller(plan()), SafetyController)
    assert pilot.controller(plan()) is pilot.controller(plan())
    with pytest.raises(PlannerError, match="pid, safety, steering"):
        build_controller("telepathy")


def test_a_pilot_stops_for_a_car_and_drives_on():
    pilot = Pilot()
    pilot.take(plan(car(8.0)))
    assert pilot.step(ego(3.0)).brake == 1.0
    pilot.take(plan(stamp=2 * TICK_NS))
    assert pilot.step(ego(3.0, stamp_ns=2 * TICK_NS)).throttle > 0.5
    pilot.reset()
    assert pilot.step(ego(3.0)).reason == "no_plan"


@pytest.mark.alone
def test_a_step_costs_milliseconds():
    """Processor time of a tick with a new plan and fifteen road users; the best of nine for each of twelve scenes, as
    others share the machine. The bar is 3 ms (docs/benchmarks/speed.md has the figure); a slower machine may take twice that."""
    rng = np.random.default_rng(0)
    controller = SafetyController()
    best = np.full(12, np.inf)
    for round_ in range(9):
        for index in range(len(best)):
            users = ((ActorKind.CAR, *rng.uniform((2, -8, -3), (18, 8, 3)), 4.5, 1.9, rng.uniform(0, 7)) for _ in range(15))
            scene = plan(*users, stamp=100 * round_ + index)
            start = time.process_time()
            controller.step(scene, ego(3.0))
            best[index] = min(best[index], (time.process_time() - start) * 1e3)
    assert best.mean() <= 6.0


# --- closed loops in one dimension -----------------------------------------------------------------------------------

def drive_towards(others, seconds=20.0, speed=5.0):
    """Positions and speeds [T] of a car (3 m/s2 at full throttle, 6 at full brake, 0.3 of drag) on a straight road;
    ``others(t, x)`` are the road users as seen from x."""
    controller, x, passed = SafetyController(), 0.0, []
    for tick in range(round(seconds * 20)):
        if tick % 2 == 0:
            current = plan(*others(tick / 20.0, x), stamp=tick * TICK_NS)
        control = controller.step(current, ego(speed, stamp_ns=tick * TICK_NS, x=x))
        speed = max(0.0, speed + 0.05 * (3.0 * control.throttle - 6.0 * control.brake - 0.3 * (speed > 0.0)))
        x += 0.05 * speed
        passed.append((x, speed))
    return np.array(passed)


def within_the_map(*rows):
    return [row for row in rows if -2.0 < row[1] < 18.0]


def test_stops_behind_a_standing_car_and_follows_when_it_leaves():
    def others(t, x):
        return within_the_map(car(40.0 - x + max(0.0, 3.0 * (t - 15.0)), speed=3.0 if t > 15.0 else 0.0))

    passed = drive_towards(others, 25.0)
    gap = 40.0 - 2.4 - 2.45 - passed[295, 0]
    assert passed[295, 1] < 0.3 and 1.0 < gap < 8.0
    assert passed[-1, 1] > 1.5  # on its way again


def test_keeps_the_speed_of_a_slow_leader():
    passed = drive_towards(lambda t, x: within_the_map(car(25.0 + 2.0 * t - x, speed=2.0)), 30.0)
    gaps = 25.0 + 2.0 * np.arange(1, 601) / 20.0 - 4.85 - passed[:, 0]
    assert gaps.min() > 1.0 and passed[400:, 1].mean() == pytest.approx(2.0, abs=0.5)


def test_lets_a_pedestrian_cross():
    """From 6 m to the right at 1.4 m/s, 25 m ahead: on the way of the car (2 m wide) from t = 3.6 to 5.0 s."""
    def others(t, x):
        return within_the_map((ActorKind.PEDESTRIAN, 25.0 - x, -6.0 + 1.4 * t, math.pi / 2, 0.5, 0.5, 1.4))

    passed = drive_towards(others, 15.0)
    crossing = slice(72, 101)
    assert (np.abs(25.0 - passed[crossing, 0]) > 2.45 + 0.25).all()
    assert passed[-1, 1] > 4.0 and passed[-1, 0] > 40.0
