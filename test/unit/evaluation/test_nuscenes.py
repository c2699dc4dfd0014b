"""nuScenes' open-loop figures against answers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kd_planner_ros.core.car import Car
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.records import Trajectory
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.evaluation.car import car_of
from kd_planner_ros.evaluation.metrics import Recorded, score_plans
from kd_planner_ros.evaluation.nuscenes import STEPS_S, Steps, figures, headings, planned_places, steps_of, table
from kd_planner_ros.geometry.frames import rotation_2d

HALF_NS = 500_000_000
STRAIGHT = [(2.5 * step, 0.0) for step in range(1, 7)]


def recorded(actors=(), kinds=(), count=7, way=None) -> Recorded:
    """A car that drives east at 5 m/s, or along ``way`` [count, 2]; ``actors`` stand there all the time."""
    stamps = HALF_NS * np.arange(count)
    poses = np.zeros((count, 3))
    poses[:, :2] = np.stack([2.5 * np.arange(count), np.zeros(count)], axis=1) if way is None else way
    boxes = np.array(actors, float).reshape(-1, 5)
    return Recorded(stamps, poses, np.zeros(count), stamps, [boxes] * count, [np.array(kinds, np.uint8)] * count)


def plan(points=STRAIGHT, stamp=0) -> Trajectory:
    return Trajectory(stamp, np.array(points, float), 0.5 * np.arange(1, len(points) + 1))


def result(*plans, **options):
    return figures([steps_of(plans, recorded(**options))])


def test_l2_by_both_conventions():
    """Off by 0.1, 0.2 ... 0.6 m at the six steps."""
    found = result(plan([(x, 0.1 * step) for step, (x, _) in enumerate(STRAIGHT, 1)]))
    assert found["vad"]["l2_m"] == pytest.approx({"1": 0.15, "2": 0.25, "3": 0.35, "avg": 0.25})
    assert found["uniad"]["l2_m"] == pytest.approx({"1": 0.2, "2": 0.4, "3": 0.6, "avg": 0.4})
    assert found["plans"] == {"1": 1, "2": 1, "3": 1} and found["skipped"] == 0


def test_a_plan_that_ends_earlier_does_not_count_later():
    found = result(plan(STRAIGHT[:4]))
    assert found["vad"]["l2_m"] == {"1": 0.0, "2": 0.0, "3": None, "avg": None} == found["uniad"]["l2_m"]
    assert found["vad"]["collision_percent"]["3"] is None and found["plans"] == {"1": 1, "2": 1, "3": 0}


def test_plans_without_a_whole_future_are_skipped():
    found = result(plan(), plan(stamp=HALF_NS), plan(stamp=30 * HALF_NS))
    assert found["plans"]["3"] == 1 and found["skipped"] == 1


def test_collisions_by_both_conventions():
    """Two plans keep 4 m to the left: there stand a pedestrian, whom a car of 4.9 m touches at the steps 3, 4 and 5 (x = 7.5, 10, 12.5),
    and a car, which it touches at the step 6. A third plan touches nobody."""
    aside = plan([(2.5, 4.0), (5.0, 4.0), (7.5, 4.0), (10.0, 4.0), (12.5, 4.0), (15.0, 4.0)])
    found = result(aside, aside, plan(), actors=[(10.0, 4.0, 0.0, 0.5, 0.5), (19.5, 4.0, 0.0, 4.5, 1.9)],
                   kinds=[ActorKind.PEDESTRIAN, ActorKind.CAR])
    share = 200.0 / 3.0
    assert found["vad"]["collision_percent"] == pytest.approx({"1": 0.0, "2": share / 2, "3": share * 2 / 3, "avg": share * 7 / 18})
    assert found["uniad"]["collision_percent"] == pytest.approx({"1": 0.0, "2": 0.0, "3": share, "avg": share / 3})


def test_a_step_at_which_the_recorded_car_collides_does_not_count():
    """Something stands at x = 10, on the recorded way: its steps 3, 4 and 5 touch it."""
    box = [(10.0, 0.0, 0.0, 0.5, 0.5)]
    steps = steps_of([plan(), plan([(x, 10.0) for x, _ in STRAIGHT])], recorded(box, [ActorKind.CAR]))
    assert np.isnan(steps.touches[:, 2:5]).all() and (steps.touches[:, [0, 1, 5]] == 0.0).all()
    assert figures([steps])["uniad"]["collision_percent"] == {"1": 0.0, "2": None, "3": 0.0, "avg": None}


def test_the_car_is_turned_as_its_trajectory_turns():
    """The plan goes off to the left at 45 degrees; a post stands where the turned car's front corner is, 2 m beside an unturned one."""
    slanted = plan([(1.5 * step, 1.5 * step) for step in range(1, 7)])
    post = [(9.0 + 1.6, 9.0 + 1.6, 0.0, 0.1, 0.1)]
    assert steps_of([slanted], recorded(post, [ActorKind.STATIC])).touches[0].tolist() == [0, 0, 0, 0, 0, 1]
    assert headings(np.array([(1.0, 1.0), (2.0, 2.0)]), np.zeros(3)) == pytest.approx([math.pi / 4] * 2)


def test_the_box_of_a_car_of_nuscenes_lies_ahead_of_its_rear_axle():
    """From 2.042 - 1.44 = 0.6 m behind the origin to 3.48 m ahead of it; the last step is at x = 15. The recorded car keeps away."""
    away, post = np.stack([2.5 * np.arange(7), np.full(7, 20.0)], axis=1), [(15.0 + 3.4, 0.0, 0.0, 0.02, 0.02)]
    base = recorded(post, [ActorKind.STATIC], way=np.vstack([[0.0, 0.0], away[1:]]))
    car = car_of({"source": "nuScenes v1.0-mini"})
    assert steps_of([plan()], replace(base, car=car)).touches[0, -1] == 1.0 and steps_of([plan()], base).touches[0, -1] == 0.0
    assert car_of({}) == Car() and car == Car(4.084, 1.85, 1.44) == car_of({"ego_box": "4.084 1.85 1.44"})


def test_the_collision_rate_takes_the_recorded_cars_box_too():
    """A post 3.4 m ahead of the last waypoint: 2.45 m of the built-in car lie before its middle, 1.461 + 2.588 m of NAVSIM's before
    the rear axle."""
    base = recorded([(15.0 + 3.4, 0.0, 0.0, 0.02, 0.02)], [ActorKind.STATIC])
    rates = [score_plans([plan()], [None], replace(base, car=car), (3.0,))["collision_rate"]["3"]
             for car in (Car(), car_of({"ego_box": "5.176 2.297 1.461"}))]
    assert rates == [0.0, 1.0]


@pytest.mark.parametrize("noted", ["4.0", "a b c", "-1 2 0", "4 2 nan"])
def test_a_car_that_is_none_is_refused(noted):
    with pytest.raises(BagError, match="ego_box"):
        car_of({"ego_box": noted})


def test_a_car_that_hardly_moves_keeps_its_heading():
    assert headings(np.array([(0.0, 0.1), (0.0, 0.2)]), np.array([0.0, 0.0, 0.3])) == pytest.approx([0.3, 0.3])
    assert np.isnan(headings(np.full((2, 2), np.nan), np.zeros(3))).all()


def test_positions_between_waypoints_are_linear_and_end_with_the_plan():
    places = planned_places(Trajectory(0, np.array([(4.0, 0.0), (8.0, 2.0)]), np.array([1.0, 2.0])))
    np.testing.assert_allclose(places, [(2, 0), (4, 0), (6, 1), (8, 2), (np.nan, np.nan), (np.nan, np.nan)])


@pytest.mark.parametrize(("aside", "turn"), [(0.0, "straight"), (1.9, "straight"), (2.1, "left"), (-2.1, "right")])
def test_l2_by_turn_of_the_recorded_car(aside, turn):
    way = np.stack([2.5 * np.arange(7), aside / 6.0 * np.arange(7)], axis=1)
    found = result(plan(way[1:] + (0.0, 0.3)), way=way)["by_turn"]
    assert {name for name, row in found.items() if row["plans"]} == {turn} | ({"turning"} if turn != "straight" else set())
    assert found[turn]["l2_m"]["avg"] == pytest.approx(0.3)


def test_nothing_to_count_is_none_not_zero():
    found = result()
    assert set(found["vad"]["l2_m"].values()) == {None} and found["plans"] == {"1": 0, "2": 0, "3": 0}
    assert table(found)[1].split() == ["VAD", *"--------"]


def test_several_recordings_are_pooled():
    one, two = steps_of([plan()], recorded()), steps_of([plan([(x, 0.3) for x, _ in STRAIGHT])] * 2, recorded())
    assert figures([one, two])["uniad"]["l2_m"]["3"] == pytest.approx(0.2)
    assert isinstance(one, Steps) and len(STEPS_S) == 6


def test_a_car_that_has_stopped_keeps_its_heading():
    places = np.array([(0.0, 1.0), (0.0, 2.0), (0.0, 3.0), (0.0, 3.0), (0.0, 3.0), (np.nan, np.nan)])
    found = headings(places, np.array([0.0, 0.0, 1.5]))
    np.testing.assert_allclose(found[:5], np.pi / 2.0)
    assert np.isnan(found[5])


@example(shift=(0.0, 0.0), turn=2.0, points=[(0.0, 0.0)] * 4 + [(9.0, 0.0)] * 2)
@settings(max_examples=25, deadline=None)
@given(shift=st.tuples(st.floats(-500, 500), st.floats(-500, 500)), turn=st.floats(-3.1, 3.1),
       points=st.lists(st.tuples(st.floats(0.0, 20.0), st.floats(-5.0, 5.0)), min_size=6, max_size=6))
def test_a_rigid_motion_of_the_scene_changes_nothing(shift, turn, points):
    """The post is large, so that no case lies on an edge by chance of rounding alone."""
    base = recorded([(12.0, 3.0, 0.4, 3.0, 2.0)], [ActorKind.CAR])
    matrix = rotation_2d(turn)
    poses = np.concatenate([base.poses[:, :2] @ matrix.T + shift, base.poses[:, 2:] + turn], axis=1)
    boxes = [np.concatenate([box[:, :2] @ matrix.T + shift, box[:, 2:3] + turn, box[:, 3:]], axis=1) for box in base.actors]
    moved = Recorded(base.stamps_ns, poses, base.steers, base.actor_stamps_ns, boxes, base.kinds)
    first, second = (steps_of([plan(points)], one) for one in (base, moved))
    np.testing.assert_allclose(first.errors, second.errors, atol=1e-6)
    np.testing.assert_array_equal(first.touches, second.touches)
