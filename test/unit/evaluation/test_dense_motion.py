"""Flow, motion masks, the camera's motion, masks and steering: against the network's own targets, plain loops, and cases by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.evaluation.dense.flow import FlowMeasure, FoundMotion
from kd_planner_ros.evaluation.dense.masks import MaskMeasure, MotionMeasure, widened
from kd_planner_ros.evaluation.dense.measure import Judged, Tally
from kd_planner_ros.evaluation.dense.motion import Look, Motion, projected, unprojected
from kd_planner_ros.evaluation.dense.pose import PoseMeasure, Step, aligned, move_of, snippet_error
from kd_planner_ros.evaluation.dense.steering import Steered, SteeringMeasure
from kd_planner_ros.geometry.frames import camera_in_map
from kd_planner_ros.networks.unified_encoder import geometry, targets

HEIGHT, WIDTH = 24, 32
INTRINSICS = np.array([[20.0, 0.0, (WIDTH - 1) / 2], [0.0, 20.0, (HEIGHT - 1) / 2], [0.0, 0.0, 1.0]])
CAMERA = Pose(x=1.3, z=2.3)
CASES = {"max_examples": 40, "deadline": None}
S = 1_000_000_000


def scored(measure, shown):
    tally = Tally()
    for found, truth in shown:
        tally.add(measure.counts(found, truth))
    return measure.figures(tally.sums)


def actor(number, x, y, yaw=0.0):
    row = np.zeros(1, ACTOR_DTYPE)
    row["id"], row["x"], row["y"], row["yaw"] = number, x, y, yaw
    return row


def look(stamp_ns, ego, depth, single, actors, rgb=None):
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8) if rgb is None else rgb
    return Look(stamp_ns, rgb, INTRINSICS, camera_in_map(ego, CAMERA), np.asarray(depth, np.float32), np.asarray(single, np.int32), actors)


@given(seed=st.integers(0, 2**32 - 1))
@settings(**CASES)
def test_true_flow_is_what_the_network_is_taught(seed):
    """Two implementations that share no line: this one on arrays, the network's on tensors."""
    random = np.random.default_rng(seed)
    depth = random.uniform(2.0, 120.0, (HEIGHT, WIDTH)).astype(np.float32)
    single = random.integers(-1, 4, (HEIGHT, WIDTH)).astype(np.int32)  # row 3 was not there before
    rows = [actor(number, *random.uniform(-20.0, 20.0, 2), random.uniform(-3.0, 3.0)) for number in (7, 9, 11)]
    earlier = [row.copy() for row in rows[:2]]
    for row in earlier:
        row["x"] += random.choice([0.0, 1.0])
        row["yaw"] += random.choice([0.0, 0.1])
    now = look(2 * S, Pose(*random.uniform(-5.0, 5.0, 3), *random.uniform(-0.3, 0.3, 3)), depth, single, np.concatenate(rows))
    before = look(S, Pose(*random.uniform(-5.0, 5.0, 3), *random.uniform(-0.3, 0.3, 3)), depth, single, np.concatenate(earlier))
    motion = Motion(now, before, single > 0)
    places, order = targets.places(single, 3)
    moves = targets.motions(now.camera, before.camera, now.actors, before.actors, order)
    taught = targets.dense_motion(torch.from_numpy(depth)[None], torch.from_numpy(places)[None].long(), torch.from_numpy(moves)[None],
                                  torch.from_numpy(INTRINSICS).float()[None])
    told = taught["moving_known"][0].numpy()
    assert (motion.moving_known == told).all() and (motion.moving == taught["moving"][0].numpy())[told].all()
    wanted = taught["flow"][0].permute(1, 2, 0).numpy()
    assert motion.flow[told] == pytest.approx(wanted[told], abs=5e-3)
    assert not motion.known[~told].any() and not motion.known[depth > 80.0].any()


def test_hidden_points_and_points_out_of_view_are_not_known():
    """The camera moved 2 m ahead of a wall at 10 m. A post 4 m away hid a part of the wall before."""
    depth, earlier = np.full((HEIGHT, WIDTH), 8.0), np.full((HEIGHT, WIDTH), 10.0)
    earlier[:, :10] = 4.0
    nobody, nothing = np.zeros((HEIGHT, WIDTH)), np.zeros(0, ACTOR_DTYPE)
    motion = Motion(look(2 * S, Pose(x=2.0), depth, nobody, nothing), look(S, Pose(), earlier, nobody, nothing), nobody > 0)
    assert motion.flow[5, 5] == pytest.approx([0.0, 0.0, 2.0], abs=1e-5)  # it was farther away
    column = np.rint((np.arange(WIDTH) - 15.5) * 0.8 + 15.5)
    assert (motion.known == (column >= 10)[None]).all()
    back = Motion(look(2 * S, Pose(), earlier, nobody, nothing), look(S, Pose(x=2.0), depth, nobody, nothing), nobody > 0)
    assert back.known[:, 16].any() and not back.known[0].any()  # the upper row was out of view


def textured(random):
    """A picture whose values are a smooth function of place, so that half a pixel off shows."""
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    return np.stack([127 + 100 * np.sin(0.5 * x + 0.3 * y + random), 127 + 100 * np.cos(0.4 * y), 127 + 100 * np.sin(0.3 * x)], 2)


def passing_car():
    """A still camera; a car across the picture, 8 m away, moved 0.8 m to the right (2 pixels). Colours move with what they belong to."""
    depth, single = np.full((HEIGHT, WIDTH), 40.0), np.zeros((HEIGHT, WIDTH))
    depth[8:16, 10:20], single[8:16, 10:20] = 8.0, 1
    earlier, alone = np.full((HEIGHT, WIDTH), 40.0), np.zeros((HEIGHT, WIDTH))
    earlier[8:16, 8:18], alone[8:16, 8:18] = 8.0, 1
    ground, car = textured(0.0), textured(2.0)
    rgb, before = ground.copy(), ground.copy()
    rgb[8:16, 10:20], before[8:16, 8:18] = car[8:16, 8:18], car[8:16, 8:18]
    there = Pose(x=-CAMERA.x, z=-CAMERA.z)
    return Motion(look(2 * S, there, depth, single, actor(3, 8.0, -0.8), rgb.astype(np.uint8)),
                  look(S, there, earlier, alone, actor(3, 8.0, 0.0), before.astype(np.uint8)), single > 0)


def test_flow_of_a_passing_car_by_hand():
    motion = passing_car()
    moved = motion.now.single > 0
    assert (motion.moving == moved).all() and motion.flow[10, 12] == pytest.approx([-0.8, 0.0, 0.0], abs=1e-5)
    judged = Judged(FlowMeasure())
    move = np.eye(4)
    said = np.where(moved[..., None], [-0.4, 0.0, 0.3], 0.0).astype(np.float32)
    found = FoundMotion(said, moved.astype(np.float32), motion.now.depth, move)
    judged.add(found, motion, True, "b")
    judged.add(None, motion, True, "b")
    result = judged.result()
    assert result["frames"] == 1 and result["left_out"]["not_ready"] == 1
    assert result["epe_m"] == {"static": 0.0, "moving": pytest.approx(0.5)} and result["epe_scaled_m"]["moving"] == pytest.approx(0.5)
    assert result["epe_px"]["moving"] > 1.0 and result["pixels"]["moving"] == 80
    trivial = result["second_half"]["baselines"]
    assert trivial["zero"]["epe_m"]["moving"] == trivial["rigid"]["epe_m"]["moving"] == pytest.approx(0.8)  # the camera stood
    assert trivial["truth"]["epe_m"] == {"static": 0.0, "moving": 0.0} and trivial["zero"]["frames"] == 1
    assert trivial["truth"]["photometric"]["moving"] < 0.2 * trivial["rigid"]["photometric"]["moving"]
    assert result["photometric_rigid"] == trivial["rigid"]["photometric"]  # its own depth and camera motion are the true ones
    perfect = scored(FlowMeasure(), [(FoundMotion(motion.flow, moved.astype(np.float32), motion.now.depth, move), motion)])
    assert perfect["final_over_rigid"] < 0.2
    asleep = scored(FlowMeasure(), [(FoundMotion(motion.flow, np.zeros_like(motion.now.depth), motion.now.depth, move), motion)])
    assert asleep["final_over_rigid"] == pytest.approx(1.0) and asleep["epe_m"]["moving"] == 0.0  # its mask says that nothing moves


def test_independent_flow_is_added_to_the_rigid_one():
    motion = passing_car()
    alone = motion.flow - motion.rigid
    judged = Judged(FlowMeasure(independent=True))
    judged.add(FoundMotion(alone, depth=motion.now.depth, move=np.eye(4), independent=True), motion, True, "b")
    result = judged.result()
    assert result["epe_m"] == {"static": 0.0, "moving": 0.0} and result["final_over_rigid"] < 0.2
    trivial = result["second_half"]["baselines"]
    assert trivial["zero"]["epe_m"]["moving"] == pytest.approx(0.8, abs=1e-5)
    assert trivial["truth"]["photometric"] == result["photometric"] and trivial["zero"]["photometric"] == result["photometric_rigid"]


def test_a_scale_that_is_wrong_everywhere_is_forgiven_by_scaling():
    motion = passing_car()
    found = FoundMotion(motion.flow / 3.0, None, motion.now.depth / 3.0, np.eye(4))
    result = scored(FlowMeasure(), [(found, motion)])
    assert result["epe_m"]["moving"] == pytest.approx(0.8 * 2 / 3, abs=1e-4)
    assert result["epe_scaled_m"]["moving"] == pytest.approx(0.0, abs=1e-5)
    assert result["epe_px"]["moving"] == pytest.approx(0.0, abs=1e-3)


def test_projection_turns_unprojection_back():
    depth = np.random.default_rng(0).uniform(1.0, 50.0, (HEIGHT, WIDTH)).astype(np.float32)
    x, y = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    assert projected(unprojected(depth, INTRINSICS), INTRINSICS) == pytest.approx(np.stack([x, y], 2), abs=1e-3)
    points = geometry.points(torch.from_numpy(depth)[None], torch.from_numpy(INTRINSICS).float()[None])[0].permute(1, 2, 0).numpy()
    assert unprojected(depth, INTRINSICS) == pytest.approx(points, rel=1e-4, abs=1e-4)
    assert np.isnan(projected(np.array([[0.0, 0.0, -1.0]], np.float32), INTRINSICS)).all()


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 3))
@settings(**CASES)
def test_a_motion_mask_is_what_loops_find(seed, frames):
    random = np.random.default_rng(seed)
    shown, pairs, unready = [], [], 0
    for _ in range(frames):
        shape = tuple(random.integers(1, 8, 2))
        found = random.choice(np.arange(151) / 150.0, shape)
        found[random.random(shape) < random.choice([0.1, 1.0], p=[0.8, 0.2])] = np.nan
        moving, known = random.random(shape) < 0.4, random.random(shape) < 0.8
        shown.append((found, SimpleNamespace(moving=moving, moving_known=known, things=moving)))
        unready += int(np.isnan(found).all())
        pairs += [(float(f), bool(m)) for f, m, k in zip(found.ravel(), moving.ravel(), known.ravel()) if k and math.isfinite(f)]

    def table(at):
        said = [m for f, m in pairs if at(f)]
        return sum(said), len(said), sum(m for _, m in pairs)

    result = scored(MotionMeasure(), shown)
    hits, said, there = table(lambda f: f > 0.5)
    assert result["iou"] == (pytest.approx(hits / (said + there - hits)) if said + there else None)
    assert result["left_out"]["not_ready"] == unready
    if there:
        sweep = [table(lambda f, level=level: math.floor(f * 150) >= level or f == 1.0) for level in range(150)]
        assert result["best_f1"] == pytest.approx(max(2 * h / (s + t) if s + t else 0.0 for h, s, t in sweep))
        area, before = 0.0, 0.0
        for h, s, t in reversed(sweep):
            area += (h / t - before) * (h / s if s else 0.0)
            before = h / t
        assert result["average_precision"] == pytest.approx(area)
    else:
        assert result["best_f1"] is None


@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 3), lines=st.booleans())
@settings(**CASES)
def test_a_mask_is_what_sets_of_pixels_find(seed, frames, lines):
    random = np.random.default_rng(seed)
    shown, sets = [], []
    for frame in range(frames):
        shape = tuple(random.integers(1, 9, 2))
        found, wanted, known = (random.random(shape) < share for share in (0.3, 0.3, 0.9))
        shown.append((found, (wanted, known)))
        sets.append([{(frame, *map(int, place)) for place in zip(*np.nonzero(one))} for one in (found & known, wanted & known, known)])
    said, there, known = (set().union(*(one[index] for one in sets)) for index in range(3))

    def wide(pixels):
        return pixels | {(f, r + dr, c + dc) for f, r, c in pixels for dr, dc in ((0, 1), (0, -1), (1, 0), (-1, 0))}

    def iou(one, other):
        return pytest.approx(len(one & other) / len(one | other)) if one | other else None

    result = scored(MaskMeasure(lines), shown)
    if lines:
        assert result["iou"] == iou(wide(said) & known, wide(there) & known) and result["iou_exact"] == iou(said, there)
        precision, recall = (len(one & wide(other)) / len(one) if one else None for one, other in ((said, there), (there, said)))
        assert result["precision"] == (None if precision is None else pytest.approx(precision))
        both = (precision or 0.0) + (recall or 0.0)
        assert result["f1"] == (pytest.approx(2 * (precision or 0) * (recall or 0) / both) if both else (0.0 if said | there else None))
    else:
        assert result["iou"] == iou(said, there)
        rest = iou(known - said, known - there)
        assert (result["mean_iou"] is None) == (rest is None or not said | there)
    assert result["pixels"] == len(known)


def test_a_line_one_pixel_aside_counts_after_widening():
    found, wanted = np.zeros((5, 9), bool), np.zeros((5, 9), bool)
    found[:, 3], wanted[:, 4] = True, True
    result = scored(MaskMeasure(lines=True), [(found, (wanted, np.ones((5, 9), bool)))])
    assert result["iou_exact"] == 0.0 and result["iou"] == pytest.approx(0.5) and result["f1"] == 1.0
    assert widened(found).sum() == 15


def test_numbers_of_a_perception_are_the_camera_motion_that_the_network_means():
    """The unified encoder's axis angle and translation against ``move_of``, through its own processor's numbers."""
    from kd_planner_ros.networks.unified_encoder.processor import _ego_motion

    pose = torch.tensor([0.02, -0.03, 0.01, 0.1, -0.2, 0.9])
    numbers = _ego_motion(pose, 0.1, 1.0)
    assert move_of(numbers, 0.1) == pytest.approx(geometry.transform(pose[None])[0].numpy(), abs=1e-6)
    assert move_of({"forward_mps": math.nan}, 0.1) is None
    turn = move_of({"forward_mps": 10.0, "yaw_rate_rps": 0.5}, 0.1)  # ahead, then the nose to the left
    ahead = camera_in_map(Pose(x=1.0, yaw=0.05), Pose())
    assert turn == pytest.approx(np.linalg.inv(camera_in_map(Pose(), Pose())) @ ahead, abs=1e-9)


def steps(moves, recording="b"):
    return [Step(recording, number * S, (number + 1) * S, move) for number, move in enumerate(moves)]


def ahead(metres, yaw=0.0):
    return move_of({"forward_mps": metres, "yaw_rate_rps": yaw}, 1.0)


def test_the_cameras_motion_by_hand():
    true = steps([ahead(1.0)] * 8)
    result = scored(PoseMeasure(), [(ahead(1.5), one) for one in true])
    assert result["translation_m"] == pytest.approx(0.5) and result["rotation_deg"] == pytest.approx(0.0, abs=1e-6)
    assert result["direction_deg"] == pytest.approx(0.0, abs=1e-6) and result["ate_snippet_m"] == pytest.approx(0.0, abs=1e-9)
    assert result["ate_snippet_metric_m"] == pytest.approx(math.sqrt(sum((0.5 * k) ** 2 for k in range(5))) / 5)
    assert result["ate_route_scaled_m"] == pytest.approx(0.0, abs=1e-6) and result["metres"] == pytest.approx(8.0)
    middle = [0.5 * (k - 4.0) for k in range(9)]
    assert result["ate_route_m"] == pytest.approx(math.sqrt(sum(one ** 2 for one in middle) / 9))
    turned = scored(PoseMeasure(), [(ahead(1.0, math.radians(3.0)), one) for one in true])
    assert turned["rotation_deg"] == pytest.approx(3.0) and turned["translation_m"] == pytest.approx(0.0, abs=1e-9)


def test_a_run_ends_where_the_network_was_not_ready_or_a_recording_ends():
    one, other = steps([ahead(1.0)] * 6), steps([ahead(1.0)] * 6, "c")
    shown = [(ahead(1.0), step) for step in one] + [(ahead(1.0), step) for step in other]
    shown[2] = (None, one[2])
    result = scored(PoseMeasure(), shown)
    assert result["runs"] == 3 and result["frames"] == 11 and result["left_out"] == {"not_ready": 1}
    assert result["metres"] == pytest.approx(11.0)
    assert scored(PoseMeasure(), [(None, one[0])])["ate_route_m"] is None


def test_who_goes_on_as_before_is_right_on_a_circle_and_wrong_in_its_first_step():
    judged = Judged(PoseMeasure())
    for step in steps([ahead(2.0, 0.1)] * 5) + steps([ahead(3.0, -0.1)] * 5, "c"):
        judged.add(step.move, step, True, step.recording)
    trivial = judged.result()["second_half"]["baselines"]
    going_on, standing = trivial["constant_velocity"], trivial["zero"]
    assert going_on["translation_m"] == pytest.approx((2.0 + 3.0) / 10) and standing["translation_m"] == pytest.approx(2.5)
    assert going_on["rotation_deg"] == pytest.approx(math.degrees(0.2) / 10)


@given(seed=st.integers(0, 2**32 - 1))
@settings(**CASES)
def test_alignment_undoes_every_motion_and_scale(seed):
    random = np.random.default_rng(seed)
    true = random.normal(size=(7, 3))
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn[:, 0] *= np.linalg.det(turn)
    found = (true @ turn.T + random.normal(size=3)) * 2.5
    assert aligned(true, found, True) == pytest.approx(true, abs=1e-9)
    other = true + random.normal(scale=0.2, size=true.shape)
    best = ((aligned(true, other, False) - true) ** 2).sum()
    angle = random.normal(scale=0.05, size=3)
    nudged = move_of({"roll_rate_rps": angle[0], "pitch_rate_rps": angle[1], "yaw_rate_rps": angle[2]}, 1.0)[:3, :3]
    assert best <= ((aligned(true, other, False) @ nudged.T + angle - true) ** 2).sum() + 1e-12  # no nearer one beside it
    assert snippet_error(true, 3.0 * true) == pytest.approx(0.0, abs=1e-9)


def test_steering_by_hand():
    judged = Judged(SteeringMeasure())
    wishes = [0.0] * 10 + [0.2] * 10
    for number, steer in enumerate(wishes):
        judged.add(steer + 0.1 if number else math.nan, Steered("b", steer), number >= 10, "b")
    result = judged.result()
    assert result["mse"] == pytest.approx(0.01) and result["mae"] == pytest.approx(0.1) and result["left_out"] == {"not_ready": 1}
    assert len(result["mse_by_fold"]) == 10 and result["mse_fold_std"] == pytest.approx(0.0, abs=1e-12)
    trivial = result["second_half"]["baselines"]
    assert trivial["mean"]["mse"] == pytest.approx(0.04) and trivial["last"]["mse"] == pytest.approx(0.004)  # it was late once
