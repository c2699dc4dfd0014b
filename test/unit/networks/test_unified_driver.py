"""The unified driver: its arc, the speed rule, what it reads from its own outputs, and the window of 16 pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.unified import STEP_NS
from support.unified import frame as picture_frame

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import ConfigError, SensorError
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.driving.supervisor import check_trajectory
from kd_planner_ros.networks.unified_driver.arc import along_arc, arc, curvature
from kd_planner_ros.networks.unified_driver.config import UnifiedDriverConfig
from kd_planner_ros.networks.unified_driver.model import INPUTS, build_model
from kd_planner_ros.networks.unified_driver.processor import TIMES_S, build_processor, navigation_tensor
from kd_planner_ros.networks.unified_driver.scene import SceneReader
from kd_planner_ros.networks.unified_driver.speed import Scene, Speed, SpeedRule, speed, stopping_speed
from kd_planner_ros.networks.unified_encoder.config import VOID
from kd_planner_ros.networks.unified_steering.model import EARLIER

TINY = UnifiedDriverConfig(size="tiny", camera_width=64, camera_height=48)
GOAL = NavigationGoal(np.array([20.0, 3.0]), Command.LEFT)


def frame(number=0, config=TINY, goal=GOAL, speed_mps=5.0, gap_ns=0):
    stamp = (number + 1) * STEP_NS + gap_ns
    return replace(picture_frame(stamp, number, config), goal=goal, ego=EgoState(stamp, Pose(), speed_mps))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(TINY).eval()


def run(model, inputs):
    with torch.inference_mode():
        return model(**inputs)


# --- arc -----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("wheel_deg", "per_m"), [(0.0, 0.0), (10.0, 0.06165), (-10.0, -0.06165), (70.0, 0.96065)])
def test_curvature_is_the_bicycle_models(wheel_deg, per_m):
    assert curvature(wheel_deg, 2.86) == pytest.approx(per_m, abs=1e-5)


@pytest.mark.parametrize("bend", [0.0, 1e-9, 0.1, -0.1, 0.9])
def test_places_on_the_arc_lie_on_it(bend):
    points = arc(bend, 3.0, np.array([0.25, 0.5, 1.0]))
    along, aside = along_arc(points, bend)
    np.testing.assert_allclose(along, [0.75, 1.5, 3.0], atol=1e-9)
    np.testing.assert_allclose(aside, 0.0, atol=1e-7)


def test_an_arc_by_hand():
    np.testing.assert_allclose(arc(0.1, 5.0, np.array([2.0])), [[8.41471, 4.59698]], atol=1e-5)
    np.testing.assert_allclose(arc(-0.1, 5.0, np.array([2.0])), [[8.41471, -4.59698]], atol=1e-5)


@pytest.mark.parametrize("bend", [0.05, -0.05])
def test_left_of_the_arc_is_positive_and_behind_is_negative(bend):
    ahead = arc(bend, 1.0, np.array([8.0]))[0]
    heading = 8.0 * bend
    left = ahead + 1.5 * np.array([-np.sin(heading), np.cos(heading)])
    along, aside = along_arc(np.stack([left, [-4.0, 0.0]]), bend)
    assert along[0] == pytest.approx(8.0) and aside[0] == pytest.approx(1.5) and along[1] < 0.0


# --- speed ---------------------------------------------------------------------------------------------------------------

def scene(*pixels, known=1.0):
    """``pixels``: (count, x, y, z, kind) with kind out of wall, car, walker, red, or a moving car's speed."""
    rows = [row for count, *row in pixels for _ in range(count)]
    kinds = [row[3] for row in rows]
    moving = [kind if isinstance(kind, float) else np.nan for kind in kinds]
    points = np.array([row[:3] for row in rows], float).reshape(-1, 3)
    return Scene(points, np.array([kind in ("car", "walker") or isinstance(kind, float) for kind in kinds], bool),
                 np.array([kind == "walker" for kind in kinds], bool), np.array(moving, float),
                 np.array([kind == "red" for kind in kinds], bool), known)


@pytest.mark.parametrize(("gap_m", "leading_mps", "mps"), [
    (0.0, 0.0, 0.0), (-2.0, 0.0, 0.0), (12.0, 0.0, 7.117), (12.0, 6.0, 9.0), (3.0, -4.0, 3.0), (-50.0, 3.0, 0.0)])
def test_a_car_can_stop_behind_what_is_ahead(gap_m, leading_mps, mps):
    found = stopping_speed(gap_m, leading_mps)
    assert found == pytest.approx(mps, abs=1e-3)
    rule = SpeedRule()
    if found and leading_mps <= 0.0:  # reaction way and braking way are the gap
        assert found * rule.reaction_s + found ** 2 / (2.0 * rule.braking_mps2) == pytest.approx(gap_m)


@pytest.mark.parametrize(("ahead", "bend", "reason", "mps"), [
    ([], 0.0, "limit", 6.5),
    ([], 0.25, "curve", 3.162),
    ([(9, 9.0, 0.0, 1.0, "wall")], 0.0, "obstacle", stopping_speed(3.5, 0.0)),
    ([(9, 9.0, 0.0, 0.2, "wall")], 0.0, "limit", 6.5),  # a kerb
    ([(9, 9.0, 0.0, 4.9, "wall")], 0.0, "limit", 6.5),  # a bridge
    ([(9, 9.0, 0.0, 0.3, "car")], 0.0, "obstacle", stopping_speed(3.5, 0.0)),  # a road user counts down to its wheels
    ([(300, 5.7, 0.9, 0.06, "car")], 0.0, "limit", 6.5),  # paint that was taken for a car
    ([(3, 9.0, 0.0, 1.0, "car")], 0.0, "limit", 6.5),  # three pixels are noise
    ([(3, 7.0, 0.0, 1.0, "car"), (9, 12.0, 0.0, 1.0, "car")], 0.0, "obstacle", stopping_speed(6.5, 0.0)),
    ([(9, 9.0, 1.6, 1.0, "car")], 0.0, "limit", 6.5),  # beside the car
    ([(9, 9.0, 1.6, 1.0, "walker")], 0.0, "obstacle", stopping_speed(3.5, 0.0)),  # a walker gets more room
    ([(9, -9.0, 0.0, 1.0, "car")], 0.0, "limit", 6.5),
    ([(9, 9.0, 0.0, 1.0, 5.0)], 0.0, "obstacle", stopping_speed(3.5, 5.0)),
    ([(9, 9.0, 0.0, 1.0, 5.0), (20, 9.5, 0.0, 1.0, "car")], 0.0, "obstacle", stopping_speed(3.5, 0.0)),  # most of it stands
    ([(9, 4.0, 0.0, 1.0, "car")], 0.1, "obstacle", 0.0),
    ([(9, 12.0, 0.0, 1.0, "car")], 0.1, "curve", 5.0),  # the arc leads past it
    ([(9, 8.4147, 4.597, 1.0, "car")], 0.1, "obstacle", stopping_speed(4.5, 0.0)),  # 10 m along the arc
    ([(2, 36.0, 0.0, 5.0, "red")], 0.0, "light", stopping_speed(6.5, 0.0)),
    ([(2, 29.0, 0.0, 5.0, "red")], 0.0, "light", 0.0),
    ([(2, 29.0, 0.0, 5.0, "red")], 0.03, "light", 0.0),  # the wheels are turned, the lamp hangs straight ahead
    ([(2, 27.0, 11.4, 5.0, "red")], 0.025, "light", 1.1155),  # and one over the arc
    ([(2, 30.0, 3.0, 5.0, "red")], 0.0, "limit", 6.5),  # the next lane's
    ([(2, 20.0, 0.0, 5.0, "red")], 0.0, "limit", 6.5),  # the line has been passed
])
def test_the_speed_rule(ahead, bend, reason, mps):
    found = speed(scene(*ahead), bend, 6.5)
    assert found.reason == reason and found.mps == pytest.approx(mps, abs=1e-3)
    assert 0.0 <= found.mps <= 6.5


@pytest.mark.parametrize(("ahead_m", "now_mps", "waits", "red"), [
    (20.0, 0.0, False, False), (20.0, 0.0, True, True), (12.5, 0.0, True, True), (11.5, 0.0, True, False),
    (22.0, 0.0, False, True), (27.0, 6.5, False, False), (28.5, 6.5, False, True), (27.0, 6.5, True, True)])
def test_a_near_lamp_is_heeded_by_a_car_that_waits_and_left_by_one_that_cannot_stop(ahead_m, now_mps, waits, red):
    found = speed(scene((2, ahead_m, 0.0, 5.0, "red")), 0.0, 6.5, now_mps=now_mps, waits=waits)
    assert (found.reason, found.mps, found.red) == (("light", 0.0, True) if red else ("limit", 6.5, False))


def test_a_red_light_is_told_behind_a_nearer_obstacle_too():
    found = speed(scene((2, 32.0, 0.0, 5.0, "red"), (9, 5.6, 0.0, 1.0, "car")), 0.0, 6.5)
    assert (found.reason, found.red) == ("obstacle", True)


def test_where_depth_is_unknown_the_car_stands():
    assert speed(scene(known=0.4), 0.0, 6.5) == Speed(0.0, "blind", 0.0)


# --- what is seen --------------------------------------------------------------------------------------------------------

def seen(config=TINY, **changes):
    """A free road of 30 m depth, class 0, and a frame with a black picture."""
    size = config.scaled_height, config.input_width
    arrays = {"depth": np.full(size, 30.0), "classes": np.zeros(size, np.uint8), "flow": np.zeros((*size, 3)),
              "motion": np.zeros(size), **changes}
    arrays = {name: array if name == "classes" else array.astype(np.float32) for name, array in arrays.items()}
    kinds = {"depth": "depth", "classes": "classes", "flow": "flow", "motion": "probability"}
    outputs = {name: DenseOutput(kinds[name], array, meta={"over_s": "0.1"} if name == "flow" else {}) for name, array in arrays.items()}
    black = np.zeros((config.camera_height, config.camera_width, 3), np.uint8)
    return Perception(0, config.camera_id, outputs), replace(frame(), images={config.camera_id: black})


def test_pixels_lie_where_they_are_in_base_link():
    depth = np.full((TINY.scaled_height, TINY.input_width), np.nan)
    depth[30, 50] = 10.0
    found = SceneReader(TINY).read(*seen(depth=depth))
    focal = TINY.camera.focal_px
    want = [1.3 + 10.0, -(50 - 31.5) / focal * 10.0, 2.3 - (30 - 23.5) / focal * 10.0]
    np.testing.assert_allclose(found.points, [want], rtol=1e-6)
    assert found.known < 0.01


def test_road_users_motion_and_lamps_are_read_from_the_outputs():
    names = TINY.classes
    size = TINY.scaled_height, TINY.input_width
    classes, motion, flow = np.zeros(size, np.uint8), np.zeros(size), np.zeros((*size, 3))
    classes[20, 10], classes[20, 20], classes[20, 30] = (
        names.index(name) for name in ("Pedestrian", "Car+Truck+Bus+Train", "TrafficLight"))
    classes[0] = VOID
    motion[20, 20] = motion[30, 20] = 0.9  # the second is road: roads do not move
    flow[..., 2] = 0.2  # over 0.1 s, of a car at 5 m/s: 3 m/s
    perceived, shown = seen(classes=classes, motion=motion, flow=flow)
    picture = next(iter(shown.images.values()))
    picture[20, 29:32] = (230, 40, 30)
    picture[40] = (230, 40, 30)  # red, and no light
    depth = perceived.outputs["depth"].array
    depth[20, 29] = 25.0  # the lamp's neighbour knows the distance, the lamp itself shows the sky
    depth[20, 30] = 1000.0
    found = SceneReader(TINY).read(perceived, shown)
    assert found.walker.sum() == 1 and found.user.sum() == 2
    assert found.forward_mps[np.isfinite(found.forward_mps)].tolist() == pytest.approx([3.0])
    assert found.red.sum() == 3 and found.points[found.red, 0] == pytest.approx([26.3, 26.3, 31.3])
    assert found.known == 1.0, "rows that the network does not see do not count"


# --- the window ----------------------------------------------------------------------------------------------------------

def drive(model, processor, numbers, **changes):
    plans = []
    for number in numbers:
        shown = frame(number, processor.config, **changes)
        plans.append(processor.decode(run(model, processor.encode([shown])), shown))
    return plans


def test_the_window_fills_and_gives_what_16_pictures_at_once_give(model):
    processor = build_processor(TINY)
    plans = drive(model, processor, range(18))
    assert [plan.notes["window"] for plan in plans] == [*range(1, 17), 16, 16]
    pictures = build_processor(TINY).encode([frame(number) for number in range(2, 18)])["image"]
    with torch.inference_mode():
        coarsest = model.perception.encoder(pictures)[-1][None]
        nothing = dict.fromkeys(INPUTS, torch.zeros(1, 0))
        told = navigation_tensor(GOAL.target_point[None], np.array([GOAL.command]))
        at_once = model(**nothing | {"window": coarsest, "goal": told})
    assert set(at_once) == {"steer"}
    assert plans[-1].notes["wheel_deg"] == pytest.approx(float(at_once["steer"][0]), abs=1e-3)


def test_a_window_that_begins_is_filled_with_its_first_picture(model):
    processor = build_processor(TINY)
    first = drive(model, processor, [4])[0]
    with torch.inference_mode():
        shown = processor.eyes.encode([frame(4)])["image"]
        window = model.perception.encoder(shown)[-1][:, None].repeat(1, EARLIER + 1, 1, 1, 1)
        told = navigation_tensor(GOAL.target_point[None], np.array([GOAL.command]))
        wanted = model(**dict.fromkeys(INPUTS, torch.zeros(1, 0)) | {"window": window, "goal": told})["steer"]
    assert first.notes["wheel_deg"] == pytest.approx(float(wanted[0]), abs=1e-3)


@pytest.mark.parametrize("gap_ns", [3 * STEP_NS, -40 * STEP_NS])
def test_a_gap_and_time_that_runs_backwards_begin_the_window_anew(model, gap_ns):
    processor = build_processor(TINY)
    drive(model, processor, range(5))
    found = drive(model, processor, range(5, 8), gap_ns=gap_ns)
    assert [plan.notes["window"] for plan in found] == [1, 2, 3]
    fresh = drive(model, build_processor(TINY), range(5, 8), gap_ns=gap_ns)
    assert [plan.control for plan in found] == [plan.control for plan in fresh]


def test_reset_forgets_the_pictures(model):
    processor = build_processor(TINY)
    drive(model, processor, range(3))
    processor.reset()
    assert drive(model, processor, [3])[0].notes["window"] == 1


# --- plans ---------------------------------------------------------------------------------------------------------------

def test_a_plan_is_the_arc_of_its_own_steering(model):
    plan = drive(model, build_processor(TINY), [0])[0]
    wheel = plan.notes["wheel_deg"]
    assert plan.follow == "steering" and plan.control.steer == pytest.approx(wheel / 70.0)
    along, aside = along_arc(plan.trajectory.points, curvature(wheel, TINY.wheelbase_m))
    np.testing.assert_allclose(aside, 0.0, atol=1e-9)
    np.testing.assert_allclose(along, max(plan.notes["planned_mps"], 0.05) * TIMES_S, atol=1e-9)
    assert TIMES_S[-1] == 2.0 and check_trajectory(plan, 5.0) == ""


@pytest.mark.parametrize("wheel", [-300.0, -40.0, 40.0, 300.0])
def test_every_steering_gives_a_plan_that_the_supervisor_accepts(wheel, model):
    processor, shown = build_processor(TINY), frame()
    outputs = run(model, processor.encode([shown])) | {"steer": torch.tensor([wheel])}
    plan = processor.decode(outputs, shown)
    assert abs(plan.control.steer) <= 1.0 and np.sign(plan.control.steer) == np.sign(wheel)
    assert check_trajectory(plan, 6.0) == ""


def test_a_steering_that_is_not_finite_is_passed_on(model):
    processor, shown = build_processor(TINY), frame()
    outputs = run(model, processor.encode([shown])) | {"steer": torch.tensor([float("nan")])}
    assert check_trajectory(processor.decode(outputs, shown), 5.0) == "plan_not_finite"


def test_the_route_changes_the_steering_only_where_it_is_told():
    told, blind = (replace(TINY, route=route) for route in (True, False))
    assert told.rig.needs_route and not blind.rig.needs_route
    other = NavigationGoal(np.array([5.0, -8.0]), Command.RIGHT)
    for config, differs in ((told, True), (blind, False)):
        torch.manual_seed(1)
        network = build_model(config).eval()
        one, two = (drive(network, build_processor(config), [0], goal=goal)[0] for goal in (GOAL, other))
        assert (one.control.steer != two.control.steer) == differs
    without = drive(network, build_processor(blind), [0], goal=None)[0]
    assert without.goal.target_point == pytest.approx(without.trajectory.points[-1])


@pytest.mark.parametrize("reading", ["probe", "pooling"])
@pytest.mark.parametrize("route", [True, False])
def test_each_reading_of_the_head_steers(reading, route):
    config = replace(TINY, reading=reading, route=route)
    assert np.isfinite(drive(build_model(config).eval(), build_processor(config), [0])[0].control.steer)


def test_commands_and_far_targets_are_told_within_bounds():
    found = navigation_tensor(np.array([[1000.0, -20.0], [10.0, 0.0]]), np.array([Command.RIGHT, Command.VOID])).tolist()
    assert found == [[5.0, -2.0, 0, 1, 0, 0, 0, 0], [1.0, 0.0, 0, 0, 0, 1, 0, 0]]


def test_a_target_that_is_not_finite_is_refused():
    with pytest.raises(SensorError, match="target point"):
        build_processor(TINY).encode([frame(goal=NavigationGoal(np.array([np.nan, 0.0]), Command.LEFT))])


@pytest.mark.parametrize(("fields", "words"), [
    ({"reading": "mean"}, "probe, pooling"), ({"full_lock_deg": 90.0}, "full_lock_deg"), ({"limit_mps": 0.0}, "limit_mps"),
    ({"wheelbase_m": -1.0}, "wheelbase_m"), ({"size": "huge"}, "size")])
def test_bad_configs_are_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        UnifiedDriverConfig(**fields)


def test_a_waiting_car_does_not_start_at_a_near_red_lamp_and_starts_when_the_red_is_gone(model, monkeypatch):
    """It waits from its first picture on, through pictures in which the lamp is missed, and is free again once it moves. The speeds
    of the ego are those of a car that creeps up to the lamp."""
    processor = build_processor(TINY)
    script = [(20.0, 0.0), (20.0, 0.0), (None, 0.0), (19.5, 0.6), *[(None, 0.0)] * 11, (19.0, 1.0)]
    scenes = iter([scene(*([] if lamp is None else [(2, lamp, 0.0, 5.0, "red")])) for lamp, _ in script])
    monkeypatch.setattr(processor._scene, "read", lambda seen, shown: next(scenes))
    plans = []
    for number, (_, mps) in enumerate(script):
        shown = frame(number, processor.config)
        shown = replace(shown, ego=replace(shown.ego, speed_mps=mps))
        plans.append(processor.decode(run(model, processor.encode([shown])), shown).mode)
    assert plans[:2] == ["light", "light"] and plans[3] == "light" and "light" not in plans[4:]
