"""Targets of the unified encoder from the built-in world's labels: what they say of pictures, segments by hand, losses that fall."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from support.towns import FRONT, actor, scene, straight_road

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.geometry.frames import camera_in_map
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.unified_encoder.config import VOID, UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.figures import in_metres
from kd_planner_ros.networks.unified_encoder.geometry import (
    final_flow,
    in_view,
    moved,
    points,
    pose_of,
    projected,
    rigid_flow,
    rotation,
    sampled,
    transform,
)
from kd_planner_ros.networks.unified_encoder.loss import WEIGHTS, semantic_loss
from kd_planner_ros.networks.unified_encoder.model import build_model
from kd_planner_ros.networks.unified_encoder.processor import build_processor
from kd_planner_ros.networks.unified_encoder.targets import OBJECTS, UNTOLD, motions, places, segments
from kd_planner_ros.networks.unified_encoder.training import STAGES, STEP_NS, TrainOptions, build_task, recorded_pose
from kd_planner_ros.world.render import Renderer

torch.set_num_threads(1)
CAMERA = replace(FRONT, id="front", pose=Pose(x=1.3, z=2.0), width=448, height=192)  # twice the input: less aliasing
CONFIG = UnifiedEncoderConfig(size="tiny", input_height=96, input_width=224, camera_width=448, camera_height=192, camera_z_m=2.0)
CAR = (4.6, 1.85, 1.5)


@pytest.fixture(scope="module")
def sample():
    """(arrays of the task, task): the ego moves 0.6 m and turns, one car crosses ahead, one is parked."""
    renderer = Renderer(straight_road())
    frames, shots, tables = [], [], []
    for step in (0, 1):
        ego = EgoState(step * STEP_NS, Pose(x=0.6 * step, y=0.02 * step, yaw=0.01 * step), 6.0)
        crossing, parked = actor(ActorKind.CAR, 11.0, 3.0 - 0.5 * step, CAR, seed=4), actor(ActorKind.CAR, 14.0, -5.0, CAR, seed=9)
        crossing["yaw"] = -1.5 - 0.03 * step
        state = replace(scene(crossing, parked, stamp_ns=ego.stamp_ns), ego=ego)
        shots.append(renderer.cameras(state, (CAMERA,), labels=True)["front"])
        frames.append(Frame(ego.stamp_ns, ego, None, {"front": shots[-1].rgb}, calibrations={"front": CAMERA}))
        tables.append(state.actors)
    task = build_task(build_processor(CONFIG))
    truth = SimpleNamespace(actors=tables[1], labels={"front": shots[1]})
    return task.record(tuple(frames), truth, {"earlier": tables[0]}), task


@pytest.fixture(scope="module")
def targets(sample):
    arrays, task = sample
    return task.targets(np.zeros(1), {name: array[None] for name, array in arrays.items()})


def test_pose_and_its_inverse():
    generator = torch.Generator().manual_seed(0)
    pose = 0.3 * torch.randn(20, 6, generator=generator)
    matrix = transform(pose)
    assert torch.allclose(pose_of(matrix), pose, atol=1e-5)
    assert torch.allclose(transform(pose_of(matrix)) @ torch.linalg.inv(matrix), torch.eye(4).expand(20, 4, 4), atol=1e-5)
    assert torch.allclose(pose_of(transform(torch.zeros(1, 6))), torch.zeros(1, 6), atol=1e-6)
    quarter = rotation(torch.tensor([[0.0, 0.0, np.pi / 2]]))[0]
    assert torch.allclose(quarter @ torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), atol=1e-5)


def test_the_camera_looks_ahead():
    """A point 5 m ahead of the camera, 1 m left, 0.5 m up, with the ego looking north."""
    matrix = camera_in_map(Pose(x=10.0, y=20.0, yaw=np.pi / 2), Pose(x=1.3, z=2.0))
    assert matrix @ [-1.0, -0.5, 5.0, 1.0] == pytest.approx([9.0, 26.3, 2.5, 1.0])


def test_targets_of_the_pose_by_hand(targets):
    """The camera went 0.6 m ahead and turned left by 0.01 rad; the camera axes are x right, y down, z forward."""
    pose = targets["pose"][0].numpy()
    assert pose[:3] == pytest.approx([0.0, 0.01, 0.0], abs=1e-5)
    place = -(rotation(targets["pose"][:, :3])[0].T.numpy() @ pose[3:])
    assert place == pytest.approx([-0.02 - 0.01 * 1.3, 0.0, 0.6], abs=1e-3)


def test_the_final_flow_explains_the_picture(sample, targets):
    """Warping by the true geometry gives the target: static pixels by the rigid flow, moving ones by the final flow alone."""
    arrays, task = sample
    picture, before = (torch.from_numpy(arrays[name]).permute(2, 0, 1)[None].float() / 255.0 for name in (MAIN, "before"))
    intrinsics = torch.from_numpy(CONFIG.intrinsics)[None]
    where = points(targets["depth"], intrinsics)
    matrix = transform(targets["pose"])
    rigid, moving = rigid_flow(matrix, where), targets["moving"][:, None].float()
    assert 100 < moving.sum() < 0.2 * moving.numel()

    def error(flow, mask):
        positions = projected(where + flow, intrinsics)
        seen = mask & in_view(positions)[0] & (targets["depth"][0] < 60.0)
        return float((sampled(before, positions) - picture).abs().mean(1)[0][seen].mean())

    still, goes = targets["moving_known"][0] & ~targets["moving"][0], targets["moving"][0]
    final = final_flow(rigid, targets["flow"], moving)
    assert error(rigid, still) < 0.6 * error(torch.zeros_like(rigid), still)  # the rest is aliasing: 0.48 measured
    assert error(final, goes) < 0.4 * error(rigid, goes)
    for index, factor in ((1, -1.0), (3, -1.0), (5, 0.8), (5, 1.2)):  # yaw, sideways, ahead: every other pose is worse
        wrong = targets["pose"].clone()
        wrong[:, index] *= factor
        assert error(rigid_flow(transform(wrong), where), still) > 1.05 * error(rigid, still), index
    assert error(final, still) == pytest.approx(error(rigid, still))
    assert torch.allclose(rigid[0][:, still], targets["flow"][0][:, still], atol=2e-2)


def test_a_camera_that_was_recorded_elsewhere_is_refused():
    """The card names the camera's place; a recording that does not say where it was is taken as it is."""
    config = replace(CONFIG, camera_z_m=1.5)
    frame = Frame(0, EgoState(0, Pose(), 0.0), None, calibrations={"front": CAMERA})
    with pytest.raises(SensorError, match="--unified_driver.camera-z-m 2"):
        recorded_pose(frame, config, "unified_driver")
    assert recorded_pose(replace(frame, calibrations={"front": replace(CAMERA, pose=Pose())}), config, "").z == 1.5


def test_only_the_crossing_car_moves(sample, targets):
    arrays, task = sample
    objects = arrays["objects"]
    assert set(np.unique(objects)) == {0, 1, 2}
    moving = [float(targets["moving"][0].numpy()[objects == place].mean()) for place in range(3)]
    assert sorted(moving) == [0.0, 0.0, 1.0]


def test_motion_of_an_unknown_road_user_is_unknown():
    """A car that was not there before, and the instances beyond the table."""
    now = np.concatenate([actor(ActorKind.CAR, 10.0 + k, 0.0, CAR, seed=k) for k in range(40)])
    found = motions(np.eye(4), np.eye(4), now, now[1:], np.array([0, 1]))
    assert np.isnan(found[1]).all() and np.isfinite(found[2]).all() and np.isnan(found[3:]).all()
    instances = np.repeat(np.arange(41, dtype=np.int32), np.arange(41) + 1)[None]  # later ones have more pixels
    table, rows = places(instances, 40)
    assert len(rows) == OBJECTS - 1 and rows[0] == 39 and table[0, -1] == 1
    assert (table[instances == 0] == 0).all() and (table[(instances > 0) & (instances < 10)] == UNTOLD).all()


def taught():
    classes = torch.tensor([[0, 0, 2, 2], [0, VOID, 2, 2]])
    objects = torch.tensor([[0, 0, 1, 2], [0, 0, 1, UNTOLD]])
    return classes, objects, np.array([False, False, True])


@pytest.mark.parametrize("task, kinds, sizes", [
    ("semantic", [0, 2], [3, 4]), ("instance", [2, 2], [2, 1]), ("panoptic", [2, 2, 0], [2, 1, 3])])
def test_segments_by_hand(task, kinds, sizes):
    """Three pixels of stuff, one unknown; a thing of two pixels, one of one pixel, and a pixel of a thing that has no place."""
    masks, classes = segments(*taught()[:2], task, taught()[2])
    assert classes.tolist() == kinds and masks.sum((1, 2)).tolist() == sizes


def test_a_picture_without_things_teaches_no_instance():
    masks, classes = segments(torch.zeros(2, 3, dtype=torch.long), torch.zeros(2, 3, dtype=torch.long), "instance", np.array([False]))
    assert masks.shape == (0, 2, 3) and classes.shape == (0,)


def step_losses(task, model, arrays, stage):
    batch = {name: torch.from_numpy(np.stack([array, array])) for name, array in arrays.items()}
    inputs = task.inputs(np.zeros(2), batch, np.zeros(2, bool))
    targets = task.targets(np.zeros(2), {name: np.stack([array, array]) for name, array in arrays.items()})
    return model(**inputs), targets, inputs, task.weights if stage is None else stage.weights(task.weights, 0.5)


@pytest.mark.slow
def test_every_part_of_the_loss_falls_on_one_sample(sample):
    arrays, _ = sample
    task = build_task(build_processor(CONFIG), TrainOptions(contrast_weight=0.5))
    torch.manual_seed(0)
    model = build_model(CONFIG)
    text = task.modules(model)
    optimiser = torch.optim.AdamW([*model.parameters(), *text.parameters()], lr=3e-3)
    first: dict = {}
    for _ in range(8):
        torch.manual_seed(7)  # the same task and points: the losses can be compared
        outputs, targets, inputs, weights = step_losses(task, model.train(), arrays, None)
        loss = task.loss(outputs, targets, inputs, None, weights)
        extra = task.auxiliary_losses(outputs, SimpleNamespace(arrays={"classes": np.stack([arrays["classes"]] * 2)}))
        assert set(extra) == {"contrast"} and torch.isfinite(extra["contrast"][1])
        first = first or {name: float(part) for name, part in loss.parts.items()}
        optimiser.zero_grad()
        (loss.total + sum(weight * part for weight, part in extra.values())).backward()
        optimiser.step()
    assert set(first) == {name for name, weight in task.weights.items() if weight} == set(WEIGHTS)
    last = {name: float(part) for name, part in loss.parts.items()}
    assert all(last[name] < first[name] for name in ("depth", "class", "mask", "dice", "translation", "flow", "motion")), (first, last)


def test_each_stage_has_a_loss_and_reaches_what_it_trains(sample):
    arrays, task = sample
    torch.manual_seed(0)
    model = build_model(CONFIG).train()
    parts = {name.split(".")[0] for name, _ in model.named_parameters()}
    for stage in STAGES:
        model.zero_grad(set_to_none=True)
        outputs, targets, inputs, weights = step_losses(task, model, arrays, stage)
        task.loss(outputs, targets, inputs, stage, weights).total.backward()
        reached = {name.split(".")[0] for name, one in model.named_parameters() if one.grad is not None and one.grad.abs().sum() > 0}
        assert {part for part in parts if stage.trains(part)} <= reached, stage.name
    assert sum(stage.share for stage in STAGES) == pytest.approx(1.0)


def composed(classes, sure: float, queries: int = 13):
    """Outputs whose query ``k`` says class ``k`` at its pixels with logits of ``sure``; the last query says none."""
    logits = torch.full((len(classes), queries, 13), -sure)
    logits[:, range(queries), range(queries)] = sure
    masks = torch.stack([torch.where(classes == kind, sure, -sure) for kind in range(queries)], 1)
    return {"class_logits": logits, "mask_logits": masks}


def test_the_loss_of_the_class_map_is_zero_where_it_is_right_and_log_of_the_classes_where_it_says_nothing():
    classes = torch.arange(2 * 8 * 12).reshape(2, 8, 12) % 12
    whole = torch.tensor([True, True])
    assert float(semantic_loss(composed(classes, 30.0), classes, whole)) == pytest.approx(0.0, abs=1e-4)
    assert float(semantic_loss(composed(classes, 0.0), classes, whole)) == pytest.approx(np.log(12), rel=1e-4)
    # A mask at a quarter of the size is taught the shares of its pixels.
    coarse = {name: value[..., ::4, ::4] if name == "mask_logits" else value for name, value in composed(classes, 0.0).items()}
    assert float(semantic_loss(coarse, classes, whole)) == pytest.approx(np.log(12), rel=1e-4)


def test_the_loss_of_the_class_map_leaves_out_unknown_pixels_and_samples_of_instances():
    classes = torch.zeros(2, 8, 12, dtype=torch.long)
    classes[:, :, 6:] = 1
    outputs = composed(classes, 3.0)
    told = classes.clone()
    told[0, :, 6:] = VOID
    outputs["mask_logits"].requires_grad_()
    semantic_loss(outputs, told, torch.tensor([True, False])).backward()
    gradient = outputs["mask_logits"].grad
    assert gradient[0, :, :, :6].abs().sum() > 0 and not gradient[0, :, :, 6:].any() and not gradient[1].any()
    nothing = semantic_loss(outputs, told, torch.tensor([False, False]))
    assert float(nothing.detach()) == 0.0 and nothing.requires_grad


def test_a_rare_class_weighs_more_a_pixel_in_the_loss_of_the_class_map():
    classes = torch.zeros(1, 10, 10, dtype=torch.long)
    classes[0, 0, :4] = 5
    outputs = composed(classes, 3.0)
    outputs["mask_logits"].requires_grad_()
    semantic_loss(outputs, classes, torch.tensor([True])).backward()
    rare, common = outputs["mask_logits"].grad[0, 5, 0, 0].abs(), outputs["mask_logits"].grad[0, 0, 5, 5].abs()
    assert float(rare / common) == pytest.approx((96 / 4) ** 0.5, rel=0.05)


def test_figures_of_perfect_outputs(sample, targets):
    arrays, task = sample
    queries = 12
    logits = torch.full((1, queries, 13), -20.0)
    logits[0, range(queries), range(queries)] = 20.0
    masks = torch.stack([torch.where(targets["classes"][0] == kind, 20.0, -20.0) for kind in range(queries)])[None]
    outputs = {"depth": targets["depth"], "class_logits": logits, "mask_logits": masks, "pose": targets["pose"], "flow": targets["flow"],
               "motion": torch.where(targets["moving"], 9.0, -9.0)}
    found = {name: total / max(count, 1.0) for name, (total, count) in task.figures(outputs, targets).items()}
    assert found["abs_rel"] == found["flow_static_m"] == found["flow_moving_m"] == found["translation_m"] == 0.0
    assert found["motion_iou"] == found["iou_road"] == found["iou_car"] == 1.0 and found["iou_rider"] == 0.0
    assert task.selection_score(found) < 1.0


def test_figures_of_an_arbitrary_unit_are_scaled_by_the_median(sample, targets):
    """A depth that is 3 times too small makes flow and pose 3 times too small; the second source's outputs are left out."""
    outputs = {"depth": targets["depth"] / 3.0, "pose": torch.cat([targets["pose"]] * 2), "flow": torch.cat([targets["flow"]] * 2) / 3.0,
               "motion": torch.zeros(2, *targets["depth"].shape[1:])}
    outputs["pose"][:, 3:] /= 3.0
    found = in_metres(outputs, targets)
    assert all(torch.allclose(found[name], targets[name], rtol=1e-4, atol=1e-5) for name in ("depth", "pose", "flow"))
    assert found["motion"].shape == targets["depth"].shape


def test_augmentation_is_the_same_for_both_pictures(sample):
    arrays, task = sample
    stack = {name: np.stack([arrays[MAIN]] * 4) for name in (MAIN, "before")}
    changed = task.augment(stack, 1.0, np.random.default_rng(0))
    assert (changed[MAIN] == changed["before"]).all() and (changed[MAIN] != stack[MAIN]).any()


def test_a_point_moves_with_the_matrix():
    """One metre towards the camera along z."""
    shift = torch.eye(4)[None].clone()
    shift[0, 2, 3] = -1.0
    where = points(torch.full((1, 2, 3), 5.0), torch.eye(3)[None])
    assert torch.equal(moved(shift, where)[0, 2], torch.full((2, 3), 4.0))
    assert torch.equal(rigid_flow(shift, where)[0, :2], torch.zeros(2, 2, 3))
