"""Frames to the DistillDrive student and back: cameras, commands, memory, rescoring."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.frames import frame

from kd_planner_ros.core.ego import Command, EgoState, NavigationGoal, Pose
from kd_planner_ros.core.errors import ConfigError, SensorError
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.driving.route_planner import RoutePlanner
from kd_planner_ros.evaluation.overlay import project
from kd_planner_ros.networks.distilldrive.config import COMMANDS, EXPECTED, KINDS, LIKELIEST, LINES, DistillDriveConfig
from kd_planner_ros.networks.distilldrive.decode import (
    Scene,
    choice,
    collides,
    command_rows,
    expected_distance,
    headings,
    make_plan,
    seen_lines,
    seen_users,
)
from kd_planner_ros.networks.distilldrive.memory import Entry, Memory, Slots, motion_since, targets_of, with_ego
from kd_planner_ros.networks.distilldrive.model import OUTPUTS, build_model, empty_memory, example_inputs
from kd_planner_ros.networks.distilldrive.processor import DistillDriveProcessor, projection
from kd_planner_ros.networks.distilldrive_teacher.config import DistillDriveTeacherConfig
from kd_planner_ros.networks.distilldrive_teacher.model import build_model as build_teacher
from kd_planner_ros.networks.distilldrive_teacher.processor import DistillDriveTeacherProcessor

CONFIG = DistillDriveConfig()


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return build_model(CONFIG).eval()


def at(number, stamp_s, x=0.0, **changes):
    """A frame of the rig at ``stamp_s``, the car at ``x``."""
    shown = frame(CONFIG.rig, number)
    return replace(shown, stamp_ns=round(stamp_s * 1e9), ego=EgoState(round(stamp_s * 1e9), Pose(x), 4.0), **changes)


def plan(model, processor, shown):
    with torch.inference_mode():
        return processor.decode(model(**processor.encode([shown])), shown)


# --- cameras and command ---------------------------------------------------------------------------------------------

def test_a_point_lies_where_the_camera_shows_it():
    before = []
    for spec in CONFIG.camera_specs:
        for point in ((12.0, 1.0, 0.5), (6.0, 7.0, 0.0), (5.0, -8.0, 1.5)):
            pixel = project(np.array([point]), spec)[0]
            u, v, depth = projection(spec, CONFIG) @ np.array([*point, 1.0])
            if np.isfinite(pixel).all() and depth > 0.3:
                scale = CONFIG.spec.width_px / spec.width
                wanted = pixel[0] * scale / CONFIG.spec.width_px, (pixel[1] * scale - CONFIG.cut_top) / CONFIG.spec.height
                assert (u / depth, v / depth) == pytest.approx(wanted, abs=1e-4)
                before.append((spec.id, point[0]))
    ahead = [(name, x) for name in ("front", "left", "right") for x in (12.0, 6.0, 5.0)]
    assert before == [one for one in ahead if one not in (("left", 5.0), ("right", 6.0))], "those two are behind their cameras"


def test_missing_cameras_are_named_masked_and_counted(model, told):
    whole, processor = at(0, 1.0), DistillDriveProcessor(CONFIG)
    left_out = replace(whole, images={name: one for name, one in whole.images.items() if name != "left"})
    found = plan(model, processor, left_out)
    assert "without left" in found.mode and found.notes["cameras"] == 2.0 and any("camera left" in one for one in told())
    inputs = DistillDriveProcessor(CONFIG).encode([whole])
    inputs["seen"][0, 1] = 0.0
    with torch.inference_mode():
        masked = model(**inputs)
        assert np.allclose(masked["offsets"].cumsum(2)[0].numpy(), found.candidates, atol=1e-6), "what a missing camera would show counts"
    strict, two = (DistillDriveProcessor(DistillDriveConfig(min_cameras=least)) for least in (3, 2))
    with pytest.raises(SensorError, match="at least 3 of the cameras front, left, right.*got front, right; left missing") as refused:
        strict.encode([left_out])
    assert "\n" not in str(refused.value)
    for lacking in ("left", "right"):  # a count: whichever of them is missing
        two.encode([replace(whole, images={name: one for name, one in whole.images.items() if name != lacking})])
    with pytest.raises(SensorError, match="'front' among them; got left; front, right missing"):
        processor.encode([replace(whole, images={"left": whole.images["left"]})])
    with pytest.raises(SensorError, match="64x64"):
        processor.encode([replace(whole, images={**whole.images, "front": np.zeros((64, 64, 3), np.uint8)})])


def test_calibrations_of_the_frame_count(told):
    whole, processor = at(0, 1.0), DistillDriveProcessor(CONFIG)
    moved = replace(whole.calibrations["front"], pose=Pose(x=1.3, y=0.5, z=2.3))
    inputs = processor.encode([replace(whole, calibrations={**whole.calibrations, "front": moved})])
    assert np.array_equal(inputs["projection"][0, 0].numpy(), projection(moved, CONFIG))
    unknown = processor.encode([replace(whole, calibrations={})])
    assert np.array_equal(unknown["projection"][0, 1].numpy(), projection(CONFIG.camera_specs[1], CONFIG))
    assert any("calibration of camera left" in one for one in told())


def test_the_side_is_that_of_the_route_ahead_in_the_approach_and_through_the_turn():
    """80 m straight on, a quarter of a circle to the left in 15 m, and straight on again."""
    turn = np.linspace(0.0, np.pi / 2, 16)[1:]
    radius = 30.0 / np.pi
    points = np.concatenate([np.stack([np.arange(80.0), np.zeros(80)], 1),
                             np.stack([79.0 + radius * np.sin(turn), radius * (1.0 - np.cos(turn))], 1),
                             np.stack([np.full(60, 79.0 + radius), radius + np.arange(1.0, 61.0)], 1)])
    yaws = np.concatenate([np.zeros(80), turn, np.full(60, np.pi / 2)])
    commands = np.full(len(points), int(Command.LANE_FOLLOW), np.int8)
    commands[80:95] = int(Command.LEFT)
    for way, name in ((1.0, "left"), (-1.0, "right")):
        side = np.where(commands == Command.LEFT, int(Command.LEFT if way > 0.0 else Command.RIGHT), commands).astype(np.int8)
        route = Route("turn", "here", points * [1.0, way], yaws * way, side, points[[0, -1]] * [1.0, way])
        planner, found = RoutePlanner(route), []
        for (x, y), yaw in zip(route.points, route.yaws, strict=True):
            goal = planner.step(EgoState(0, Pose(x=x, y=y, yaw=yaw), 8.0))
            found.append(COMMANDS[command_rows(goal.target_point[None], np.array([int(goal.command)]), np.array([8.0]))[0]])
        assert set(found[58:88]) == {name} and set(found[:45] + found[97:]) == {"straight"}, found


def test_no_command_is_straight_on_with_a_warning(model, told):
    commands = [Command.RIGHT, Command.LEFT, Command.LANE_FOLLOW, Command.STRAIGHT, Command.CHANGE_LANE_LEFT, Command.VOID]
    ahead, numbers = np.tile([9.0, 0.0], (6, 1)), np.array([int(one) for one in commands])
    assert command_rows(ahead, numbers, np.zeros(6)).tolist() == [0, 1, 2, 2, 1, 2]
    assert command_rows(2 * ahead, numbers, np.full(6, 8.0)).tolist() == [0, 1, 2, 2, 1, 2]
    assert command_rows(3 * ahead, numbers, np.full(6, 8.0)).tolist() == [2] * 6
    assert command_rows(np.full((6, 2), np.nan), numbers, np.zeros(6)).tolist() == [2] * 6
    shown, processor = at(0, 1.0), DistillDriveProcessor(CONFIG)
    for goal, first in ((None, 12), (NavigationGoal(np.array([9.0, 0.0]), Command.VOID), 12),
                        (NavigationGoal(np.array([9.0, 0.0]), Command.LEFT), 6)):
        found = plan(model, processor, replace(shown, goal=goal))
        best = int(np.argmax(found.scores))
        assert first <= best < first + 6 and ("no command" in found.mode) == (first == 12)
        assert np.array_equal(found.trajectory.points, found.candidates[best]) and (found.scores >= 0.0).sum() == 6
    assert any("no command" in one for one in told())


def test_settings_that_make_no_sense_are_refused():
    for wrong in ({"cameras": 2}, {"min_cameras": 4}, {"size": "huge"}, {"horizon_s": 2.75}, {"camera_height": 100}, {"memory_s": 3.0},
                  {"rate_hz": 0.0}, {"rescore_probability": 1.5}, {"behind_m": -1.0}, {"camera_z_m": float("nan")}, {"ego_ahead_m": 99.0}):
        with pytest.raises(ConfigError, match=f"{[*wrong][0]}|camera"):
            DistillDriveConfig(**wrong)
    with pytest.raises(ConfigError, match="rate_hz"):
        DistillDriveTeacherConfig(rate_hz=0.0)
    with pytest.raises(ConfigError, match="optional"):
        SensorRig(cameras=CONFIG.camera_specs, optional=("front",))


# --- memory ----------------------------------------------------------------------------------------------------------

def ages_of(stamps_s):
    """Age in s of the entry that each frame goes on from, None without one; and how many entries are kept."""
    memory, ages = Memory(CONFIG), []
    for stamp in (round(one * 1e9) for one in stamps_s):
        entry = memory.before(stamp)
        ages.append(None if entry is None else (stamp - entry.stamp_ns) / 1e9)
        memory.put(Entry(stamp, (0.0, 0.0, 0.0), {}))
    return ages, len(memory.entries)


@pytest.mark.parametrize(("period_s", "wanted_s"), [(0.1, 0.5), (0.25, 0.5), (0.5, 0.5), (0.05, 0.5), (0.2, 0.6), (1 / 3, 2 / 3),
                                                    (0.04, 0.48)])
def test_memory_is_as_near_to_half_a_second_as_the_rate_lets_it(period_s, wanted_s):
    ages, kept = ages_of(np.arange(round(3.0 / period_s)) * period_s)
    assert ages[0] is None and all(one is None or one >= 0.4 - 1e-9 for one in ages), "nothing much younger at the beginning"
    later = [one for number, one in enumerate(ages) if number * period_s > 0.7]
    assert np.abs(np.array(later) - 0.5) == pytest.approx(abs(wanted_s - 0.5), abs=1e-6), "at 5 Hz 0.4 s are as near as 0.6 s"
    assert kept <= 0.5 / period_s + 2


def test_key_frames_that_jitter_go_on_from_the_one_before():
    ages, _ = ages_of(np.cumsum([0.0, 0.45, 0.47, 0.55, 0.5, 0.45]))
    assert ages[0] is None and ages[1:] == pytest.approx([0.45, 0.47, 0.55, 0.5, 0.45])


def test_old_memory_is_dropped_and_time_set_back_forgets():
    memory = Memory(CONFIG)
    memory.put(Entry(10**9, (0.0, 0.0, 0.0), {}))
    assert memory.before(3 * 10**9) is not None, "2 s old"
    assert memory.before(3 * 10**9 + 1) is None and not memory.entries
    memory.put(Entry(10 * 10**9, (0.0, 0.0, 0.0), {}))
    assert memory.before(9 * 10**9) is None and not memory.entries
    memory.put(Entry(10**9, (np.nan, 0.0, 0.0), {}))
    assert not memory.entries, "the car does not know where it is"
    memory.put(Entry(0, (1.0, 2.0, np.pi / 2), {}))
    assert motion_since(memory.entries[0], 5 * 10**8, (1.0, 4.0, np.pi / 2)) == pytest.approx([-2.0, 0.0, 1.0, 0.0, 0.5])


def test_a_planner_remembers_names_and_forgets_on_a_jump(model):
    processor, found = DistillDriveProcessor(CONFIG), []
    for number, stamp in enumerate((1.0, 1.1, 1.5, 1.6, 2.0, 6.0, 5.0)):
        found.append(plan(model, processor, at(number % 3, stamp, 4.0 * stamp)))
    assert [one.notes["memory"] for one in found] == [0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0]
    inputs = processor.encode([at(0, 5.5, 22.0)])
    assert float(inputs["known"]) == 1.0 and inputs["motion"][0].tolist() == pytest.approx([-2.0, 0.0, 1.0, 0.0, 0.5])
    again = plan(model, processor, at(0, 5.5, 22.0))
    twice = plan(model, processor, at(0, 5.5, 22.0))
    assert np.isfinite(twice.candidates).all() and np.array_equal(again.candidates, twice.candidates), "a frame that comes twice"


def test_ids_follow_the_instances_that_are_carried(model):
    processor = DistillDriveProcessor(CONFIG)
    outputs = {}
    with torch.inference_mode():
        for number, stamp in enumerate((1.0, 1.5)):
            shown = at(number, stamp)
            outputs[number] = model(**processor.encode([shown]))
            processor.decode(outputs[number], shown)
    first, second = (processor._memory.entries[index].ids for index in (0, 1))
    kept = outputs[1]["kept"][0].numpy()
    assert first.tolist() == list(range(24)), "all are new"
    for index, name in zip(kept, second, strict=True):
        assert name == first[index] if index < 24 else name >= 24


def test_a_bad_frame_does_not_spoil_the_next(model):
    processor = DistillDriveProcessor(CONFIG)
    shown = at(0, 1.0)
    with torch.inference_mode():
        outputs = model(**processor.encode([shown]))
    spoilt = {name: torch.full_like(one, torch.nan) if one.is_floating_point() else one for name, one in outputs.items()}
    assert not np.isfinite(processor.decode(spoilt, shown).trajectory.points).any(), "the supervisor must see it"
    assert float(processor.encode([at(0, 1.5)])["known"]) == 0.0
    assert set(OUTPUTS) <= set(outputs)


def test_slots_of_a_batch_remember_their_own_drive():
    nothing = empty_memory(CONFIG)
    slots = Slots(CONFIG, nothing)
    outputs = {f"next_{name}": torch.stack([one[0] + 1.0, one[0] + 2.0]) for name, one in nothing.items()}
    poses = np.zeros((2, 3))
    slots.begin(np.array([True, True]))
    slots.recall(np.array([0, 0]), poses, torch.device("cpu"))
    slots.keep(outputs)
    kept = slots.plain()
    slots.begin(np.array([False, True]))
    found = slots.recall(np.array([5 * 10**8] * 2), poses, torch.device("cpu"))
    assert found["known"].tolist() == [1.0, 0.0] and float(found["ego_speed"][0]) == 1.0 and float(found["ego_speed"][1]) == 0.0
    again = Slots(CONFIG, nothing)
    again.restore(kept)
    assert again.recall(np.array([5 * 10**8] * 2), poses, torch.device("cpu"))["ego_speed"].tolist() == [1.0, 2.0]


# --- choice ----------------------------------------------------------------------------------------------------------

def user_at(x, y, speed=0.0, confidence=0.9):
    """A scene with one car that stands across, or drives ahead, at (x, y)."""
    boxes = np.zeros((1, 10))
    boxes[0] = [x, y, 0.8, np.log(4.0), np.log(2.0), np.log(1.6), 0.0, 1.0, speed, 0.0]
    ways = np.zeros((1, 6, 6, 2)) + [x, y]
    ways[..., 0] += speed * 0.5 * np.arange(1, 7)
    return Scene(boxes, np.array([0]), np.array([confidence]), np.array([7]), ways, np.full((1, 6), 1 / 6),
                 np.array([[[2.0, 1.0], [4.0, 1.0]]] * 2), np.array([1, len(LINES)]), np.array([0.9, 0.2]))


def test_candidates_that_meet_somebody_are_named():
    ahead = np.stack([np.stack([speed * 0.5 * np.arange(1, 7), np.zeros(6)], 1) for speed in (0.1, 3.0, 8.0)])
    assert collides(ahead, user_at(12.0, 0.0), CONFIG, 0.5).tolist() == [False, True, True]
    assert collides(ahead, user_at(12.0, 0.0, 8.0), CONFIG, 0.5).tolist() == [False, False, False], "it drives on"
    assert collides(ahead, user_at(12.0, 5.0), CONFIG, 0.5).tolist() == [False, False, False]
    assert not collides(ahead, user_at(12.0, 0.0, confidence=0.4), CONFIG, 0.5).any()
    turned = headings(np.array([[0.0, 0.1], [0.0, 0.2]]))
    assert turned.tolist() == [0.0, 0.0] and headings(np.array([[1.0, 1.0], [2.0, 2.0]])) == pytest.approx([np.pi / 4] * 2)
    turn = np.array([[2.0, 0.0], [3.0, 1.0], [3.0, 3.0], [3.0, 5.0], [3.0, 5.0], [3.0, 5.0]])
    assert headings(turn)[-3:] == pytest.approx([np.pi / 2] * 3), "who stands after a turn goes on looking there"
    still = headings(np.zeros((2, 3, 2)), np.zeros((2, 2)), np.array([0.5, -1.0]))
    assert still.tolist() == [[0.5] * 3, [-1.0] * 3]


def test_a_road_user_is_as_long_as_it_is_along_its_forecast():
    """A bus that turns from across to along the road: 12 m of it then lie along the lane beside the car's, and not across both."""
    bus = user_at(16.0, 8.0)
    bus.boxes[0, 3:5] = np.log([12.0, 2.5])
    bus.boxes[0, 6:8] = -1.0, 0.0  # it looks to the right, across
    way = np.array([[16.0, 6.0], [16.5, 4.5], [18.0, 3.5], [21.0, 3.5], [25.0, 3.5], [29.0, 3.5]])
    bus.forecasts[:] = way
    ahead = np.stack([4.5 * np.arange(1, 7), np.zeros(6)], 1)[None]
    assert not collides(ahead, bus, CONFIG, 0.5).any()
    bus.forecasts[:] = np.linspace(6.0, 0.0, 6)[:, None] * [0.0, 1.0] + [16.0, 0.0]  # straight across
    assert collides(ahead, bus, CONFIG, 0.5).all()


@pytest.mark.parametrize("how", [EXPECTED, LIKELIEST])
def test_the_best_candidate_of_the_command_that_meets_nobody_is_taken(how):
    logits, ways = np.arange(18.0), np.arange(18.0)[:, None, None] * np.ones((1, 6, 2))
    hit = np.zeros(18, bool)
    assert choice(logits, 1, hit, ways, how).argmax() == 11
    hit[[11, 10]] = True
    scores = choice(logits, 1, hit, ways, how)
    assert scores.argmax() == 9 and scores[6:12].sum() == pytest.approx(1.0) and scores[[10, 11]] == pytest.approx([0.0, 0.0])
    hit[6:12] = True
    assert choice(logits, 1, hit, ways, how).argmax() == 11, "all meet somebody: the supervisor must decide"
    assert (np.delete(scores, range(6, 12)) < 0.0).all()
    logits[0] = 60.0  # all of its command's probability, to the last digit
    assert (np.delete(choice(logits, 1, hit, ways, how), range(6, 12)) < 0.0).all(), "the supervisor follows 0"


def test_the_most_central_way_is_taken_or_the_likeliest():
    """A car that stands on with a chance of 0.35, or starts in one of five ways that end 4 to 8 m ahead, 0.13 each."""
    ends = np.array([0.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    ways = ends[:, None, None] * np.linspace(1 / 6, 1.0, 6)[:, None] * [1.0, 0.0]
    chances = np.array([0.35, *[0.13] * 5])
    everyone, logits = np.tile(ways, (3, 1, 1)), np.tile(np.log(chances), 3)
    nobody, hit = np.zeros(18, bool), np.zeros(18, bool)
    assert choice(logits, 2, nobody, everyone, LIKELIEST).argmax() == 12
    assert choice(logits, 2, nobody, everyone, EXPECTED).argmax() == 14, "half of the probability lies at 5 m and beyond"
    hit[13:18] = True
    assert choice(logits, 2, hit, everyone, EXPECTED).argmax() == 12, "somebody is in the way"
    mean = np.linspace(1 / 6, 1.0, 6).mean()
    assert expected_distance(ways, chances) == pytest.approx([mean * (chances * abs(ends - end)).sum() for end in ends])
    assert expected_distance(everyone.reshape(3, 6, 6, 2), np.tile(chances, (3, 1))).shape == (3, 6)


def test_the_status_is_that_of_the_candidate_that_is_taken():
    """A teacher that has a status for each candidate: that of the best of all commands is not meant."""
    shown = at(0, 1.0, goal=NavigationGoal(np.array([9.0, 0.0]), Command.LEFT))
    logits, status = np.zeros(18), np.zeros((18, 10))
    logits[0], logits[8], status[:, 6] = 9.0, 3.0, np.arange(18.0)
    nothing, ways = np.zeros(0), np.arange(18.0)[:, None, None] * np.ones((1, 6, 2))
    scene = Scene(np.zeros((0, 10)), nothing.astype(int), nothing, nothing.astype(int), np.zeros((0, 6, 6, 2)), np.zeros((0, 6)),
                  np.zeros((0, 10, 2)), nothing.astype(int), nothing)
    found = make_plan(ways, logits, status, scene, shown, CONFIG, None, {}, "left")
    assert found.notes["speed_mps"] == 8.0 and int(found.scores.argmax()) == 8
    assert make_plan(ways, logits, status[5], scene, shown, CONFIG, None, {}, "left").notes["speed_mps"] == 5.0


@pytest.mark.parametrize("shape", [(0, 0, 3), (0, 448, 3), (336, 0, 3), (336, 448), (336, 448, 4)])
def test_a_picture_without_pixels_or_channels_is_refused(shape):
    with pytest.raises(SensorError, match="with pixels from camera 'front'.*encoding"):
        DistillDriveProcessor(CONFIG).picture("front", np.zeros(shape, np.uint8))


def test_reports_have_ids_kinds_and_forecasts():
    found, lines = seen_users(user_at(12.0, 1.0, 2.0), 0.5 * np.arange(1, 7)), seen_lines(user_at(0.0, 0.0))
    row = found.rows[0]
    assert (row["id"], row["kind"], row["length"], row["z"], row["vx"]) == (7, int(KINDS[0]), 4.0, 0.0, 2.0)
    assert found.forecasts.shape == (1, 6, 6, 2) and found.forecast_scores.sum() == pytest.approx(1.0)
    assert lines.kinds.tolist() == [LineKind.DIVIDER] and len(seen_users(user_at(0, 0, confidence=0.1), np.arange(1, 7))) == 0


# --- the teacher -----------------------------------------------------------------------------------------------------

def test_the_teacher_reads_the_scene_and_knows_road_users_again():
    config = DistillDriveTeacherConfig()
    torch.manual_seed(0)
    model, processor = build_teacher(config).eval(), DistillDriveTeacherProcessor(config)
    shown = frame(config.rig, 0)
    inputs = processor.encode([shown])
    assert inputs["there"].sum() == 3.0 and inputs["boxes"][0, 0, :2].tolist() == pytest.approx([9.0, -5.0], abs=1e-4), "the nearest first"
    assert inputs["future"][0, 1].tolist()[:2] == [pytest.approx([16.0, 0.0], abs=1e-3), pytest.approx([18.0, 0.0], abs=1e-3)]
    assert inputs["past"][0, 1, 0].tolist() == pytest.approx([12.0, 0.0], abs=1e-3)
    assert inputs["line_kinds"][0, inputs["line_there"][0] > 0].tolist().count(3) == 1, "the red light's stop line"
    with torch.inference_mode():
        processor.decode(model(**inputs), shown)
        later = replace(shown, stamp_ns=shown.stamp_ns + 5 * 10**8, scene=replace(shown.scene, actors=shown.scene.actors[[1, 0]]))
        second = processor.encode([later])
    kept = second["agent_queue_kept"][0, :2, 0].tolist()
    assert kept == [1.0, 1.0] and float(second["known"]) == 1.0
    rows = [int((inputs["boxes"][0] == one).all(1).nonzero()[0]) for one in second["boxes"][0, :2]]
    assert torch.equal(second["agent_queue_boxes"][0, :2, 0], inputs["boxes"][0, rows])
    with pytest.raises(SensorError, match="future"):
        processor.encode([replace(shown, scene=replace(shown.scene, has_future=False))])
    without = replace(config, signals=False)
    assert 3 not in DistillDriveTeacherProcessor(without).encode([shown])["line_kinds"][0].tolist()


def test_the_measured_speed_takes_the_place_of_the_predicted_one_where_it_is_known():
    past = {"ego_speed": torch.tensor([1.0, 2.0]), "known": torch.ones(2)}
    points = np.array([[9.0, -1.0], [np.nan, np.nan]])
    measured = with_ego(past, np.array([7.0, np.nan]), points, CONFIG)
    assert measured["ego_speed"].tolist() == [7.0, 2.0] and measured["known"] is past["known"]
    assert measured["target"].tolist() == [[9.0, -1.0, 1.0], [0.0, 0.0, 0.0]]
    published = with_ego(past, np.array([7.0, 7.0]), points, replace(CONFIG, speed="predicted", target=False))
    assert not published["target"].any()
    assert published["ego_speed"].tolist() == [1.0, 2.0]
    with pytest.raises(ConfigError, match="measured, predicted"):
        replace(CONFIG, speed="guessed")


def test_a_planner_of_measured_speed_hears_it_in_the_first_frame_and_one_of_predicted_speed_does_not():
    for speed, differs in (("measured", True), ("predicted", False)):
        config = replace(CONFIG, speed=speed)
        torch.manual_seed(0)
        model = build_model(config).eval()
        slow, fast = (example_inputs(config) | {"ego_speed": torch.tensor([one])} for one in (0.0, 12.0))
        with torch.no_grad():
            assert torch.equal(model(**slow)["offsets"], model(**fast)["offsets"]) is not differs


def test_the_routes_next_point_changes_the_plan_where_it_is_known():
    torch.manual_seed(0)
    model, given = build_model(CONFIG).eval(), example_inputs(CONFIG)
    near, far, unknown = (given | {"target": torch.tensor([one])} for one in ([9.0, -1.0, 1.0], [9.0, 30.0, 1.0], [9.0, 30.0, 0.0]))
    with torch.no_grad():
        plans = [model(**one)["offsets"] for one in (near, far, unknown, given)]
    assert not torch.equal(plans[0], plans[1]) and torch.equal(plans[2], plans[3])
    frames = [at(0, 1.0), at(0, 1.0, goal=NavigationGoal(np.array([9.0, 2.0]), Command.LEFT))]
    assert np.array_equal(targets_of(frames)[1], [9.0, 2.0]) and targets_of([replace(frames[0], goal=None)]).shape == (1, 2)
    assert DistillDriveProcessor(CONFIG).encode(frames[1:])["target"].tolist() == [[9.0, 2.0, 1.0]]
    assert DistillDriveProcessor(replace(CONFIG, target=False)).encode(frames[1:])["target"].tolist() == [[0.0, 0.0, 0.0]]
