"""Learning from video: the order of a pair's pictures, and comparing them at several sizes."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.networks.training import Stage
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.depth import DisparityHead
from kd_planner_ros.networks.unified_encoder.geometry import inverted, points, transform
from kd_planner_ros.networks.unified_encoder.model import build_model, example_inputs
from kd_planner_ros.networks.unified_encoder.motion import pose_in_time
from kd_planner_ros.networks.unified_encoder.options import TrainOptions
from kd_planner_ros.networks.unified_encoder.processor import UnifiedEncoderProcessor
from kd_planner_ros.networks.unified_encoder.selfsup import above_ground, ground_plane, photometric
from kd_planner_ros.networks.unified_encoder.stages import STAGES
from kd_planner_ros.networks.unified_encoder.training import UnifiedEncoderTask
from kd_planner_ros.networks.unified_encoder.video_loss import (
    FINAL,
    PUBLISHED,
    RECORDED,
    RIGID,
    Comparison,
    Triplet,
    is_ground,
    video_losses,
)
from kd_planner_ros.networks.unified_single_scale.config import UnifiedSingleScaleConfig
from kd_planner_ros.networks.unified_single_scale.model import build_model as build_single
from kd_planner_ros.networks.unified_teacher.config import UnifiedTeacherConfig
from kd_planner_ros.networks.unified_teacher.model import build_model as build_teacher

torch.set_num_threads(1)
INTRINSICS = torch.eye(3).expand(1, 3, 3)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_an_inverted_pose_leads_back():
    pose = random(5, 6) - 0.5
    assert torch.allclose(transform(inverted(pose)) @ transform(pose), torch.eye(4).expand(5, 4, 4), atol=1e-6)
    assert torch.allclose(inverted(inverted(pose)), pose, atol=1e-6)


def test_the_earlier_picture_stands_first_in_every_pair():
    """Pictures are numbers: 1 before, 2 now, 3 after. The later source's pose is that of the other direction."""
    shown, said = [], torch.tensor([0.1, 0.0, 0.0, 0.0, 0.0, 2.0])

    def decoder(pairs):
        shown.extend(pairs)
        return said.expand(len(pairs[0]), 6)

    pairs = [torch.tensor([[[[1.0]], [[2.0]]], [[[3.0]], [[2.0]]]])]
    pose = pose_in_time(decoder, pairs, 1)
    assert shown[0].flatten(1).tolist() == [[1.0, 2.0], [2.0, 3.0]]
    assert torch.equal(pose[0], said) and torch.allclose(pose[1:], inverted(said[None]))
    assert torch.equal(pose_in_time(decoder, [pairs[0][:1]], 1), said[None])


@pytest.mark.parametrize("build, config", [(build_model, UnifiedEncoderConfig), (build_teacher, UnifiedTeacherConfig)])
def test_both_sources_say_the_same_of_the_camera(build, config):
    """A pair whose pictures change places: the pose from the later picture to the earlier one is the inverse of that from the earlier one
    to the later one."""
    first, second = random(2, 1, 3, 32, 64)
    torch.manual_seed(0)
    model = build(config(size="tiny", metric=False)).eval()
    inputs = example_inputs(config(size="tiny"))
    known = {name: torch.zeros(2, 0) for name in inputs if name.startswith("before_")}
    with torch.no_grad():
        pose = model(**inputs | known | {"image": second, "before": torch.cat([first, first])})["pose"]
        turned = model(**inputs | known | {"image": first, "before": torch.cat([second, second])})["pose"]
    assert torch.allclose(pose[:1], inverted(turned[1:]), atol=1e-6) and not torch.allclose(pose[:1], pose[1:], atol=1e-6)


@pytest.mark.parametrize("build, config", [(build_model, UnifiedEncoderConfig), (build_teacher, UnifiedTeacherConfig),
                                           (build_single, UnifiedSingleScaleConfig)])
def test_the_rotation_alone_is_scaled(build, config):
    poses = []
    for scale in (1.0, 0.1):
        torch.manual_seed(0)
        model = build(config(size="tiny", metric=False, rotation_scale=scale)).eval()
        inputs = example_inputs(config(size="tiny"))
        known = {name: torch.zeros(1, 0) for name in inputs if name.startswith("before_")}
        with torch.no_grad():
            poses.append(model(**inputs | known | {"image": random(1, 3, 32, 64), "before": random(1, 3, 32, 64, seed=1)})["pose"])
    assert torch.allclose(0.1 * poses[0][:, :3], poses[1][:, :3]) and poses[0][:, :3].any()
    assert torch.equal(poses[0][:, 3:], poses[1][:, 3:])


@pytest.mark.parametrize("bound", (0.0, 4.0))
def test_a_bounded_depth_head_that_says_one_bin_alone_still_has_a_gradient(bound):
    torch.manual_seed(0)
    head = DisparityHead(8, bound)
    with torch.no_grad():
        head.layers[1].weight.zero_()
        head.layers[1].bias.zero_()[3] = 30.0
    said = head(random(1, 8, 4, 4))
    said.mean().backward()
    pull = abs(float(head.layers[1].bias.grad[5]))
    assert (pull > 1e-4) == bool(bound) and (abs(float(said.detach().mean()) - float(head.values[3])) < 1e-6) == (not bound)


def test_standing_frames_teach_nothing_of_depth_and_frames_of_unknown_speed_do():
    samples = SimpleNamespace(rows=np.array([(0.0,), (0.9,), (1.0,), (-3.0,), (np.nan,)], [("speed", "f4")]))
    task = {supervision: UnifiedEncoderTask(UnifiedEncoderProcessor(UnifiedEncoderConfig(size="tiny", metric=supervision == "truth")),
                                            TrainOptions(supervision=supervision)) for supervision in ("self", "truth")}
    assert task["self"].useful(samples, STAGES[0]).tolist() == [False, False, True, True, True]
    assert task["truth"].useful(samples, STAGES[0]) is None


def test_the_published_comparison_is_at_full_size_with_the_sources_as_they_are():
    pictures, still = random(1, 3, 3, 16, 16), torch.zeros(2, 16, 16, 2)
    rows = torch.linspace(-1.0, 1.0, 16)
    still[..., 0], still[..., 1] = rows[None, :], rows[:, None]
    error = torch.stack([photometric(pictures[:, number], pictures[:, 1]) for number in (0, 2)]).min(0).values.mean()
    for by, comparison in ((RIGID, PUBLISHED), (RIGID, Comparison(1, False)), (FINAL, PUBLISHED)):
        torch.manual_seed(0)
        assert float(Triplet(pictures, INTRINSICS, by, comparison).reconstruction(still)) == pytest.approx(float(error), abs=2e-4)
    away = still + 0.5
    masked, plain = (float(Triplet(pictures, INTRINSICS, RIGID, one).reconstruction(away)) for one in (PUBLISHED, Comparison(1, False)))
    assert masked < min(float(error), plain) - 1e-3


def test_smaller_pictures_show_the_way_to_a_far_place():
    """A picture of fine texture shifted by 12 pixels: a shift of 4 fits no better than none at full size, and better at four sizes."""
    texture = interpolate(random(1, 3, 24, 72), size=(48, 144), mode="bilinear")
    target, source = texture[..., 24:120], texture[..., 12:108]
    pictures = torch.stack([source, target, source], 1)
    columns, rows = torch.linspace(-1.0, 1.0, 96), torch.linspace(-1.0, 1.0, 48)

    def error(shift, sizes):
        places = torch.stack(torch.broadcast_tensors((columns + shift * 2.0 / 95.0)[None, :], rows[:, None]), -1)[None]
        return float(Triplet(pictures, INTRINSICS, RIGID, Comparison(sizes, False)).reconstruction(places.repeat(2, 1, 1, 1)))

    assert error(12, 1) < 0.3 * error(0, 1) and error(12, 4) < 0.3 * error(0, 4)
    assert error(4, 4) < 0.97 * error(0, 4) and error(4, 1) > 0.97 * error(0, 1)


def made_up_outputs():
    """Outputs for one sample and two sources that know nothing: every point lies anywhere."""
    outputs = {"pose": 0.1 * random(2, 6)}
    for scale in range(4):
        size = 32 >> scale, 64 >> scale
        outputs |= {f"disparity_{scale}": random(1, 1, *size, seed=scale), f"flow_{scale}": random(2, 3, *size), f"motion_{scale}":
                    random(2, 1, *size) - 0.5}
    return {name: one.requires_grad_() for name, one in outputs.items()}


@pytest.mark.parametrize(("comparison", "pulls"), [(Comparison(), False), (PUBLISHED, True)])
def test_depth_and_pose_are_left_alone_by_a_ground_that_is_none_and_by_a_flow(comparison, pulls):
    torch.manual_seed(0)
    outputs, intrinsics = made_up_outputs(), torch.from_numpy(UnifiedEncoderConfig(size="tiny").intrinsics)[None]
    parts = video_losses(outputs, random(1, 3, 3, 32, 64), intrinsics, 10.0, FINAL, comparison)
    assert (float(parts["ground"].detach()) > 0.0) == pulls
    parts["consistency"].backward()
    assert outputs["flow_0"].grad.abs().sum() > 0.0
    assert (outputs["pose"].grad is not None and bool(outputs["pose"].grad.abs().sum() > 0.0)) == pulls


def test_samples_whose_ground_does_not_count_have_none():
    config = UnifiedEncoderConfig(size="tiny")
    flat, plane = torch.zeros(2, 1, config.input_height, config.input_width), torch.tensor([[0.0, 0.0, 0.2]] * 2)
    intrinsics = torch.from_numpy(config.intrinsics).expand(2, 3, 3)
    whole, half, none = (float(above_ground(flat, plane, intrinsics, 0, counts)) for counts in (
        None, torch.tensor([True, False]), torch.tensor([False, False])))
    assert whole > 0.0 and half == pytest.approx(whole / 2) and none == 0.0


def test_the_ground_is_a_level_plane_below_the_camera_that_most_points_lie_on():
    planes = torch.tensor([[0.0, 0.1, 0.2], [0.0, 0.1, 0.2], [0.0, 5.0, -0.8], [0.0, -5.0, 0.8], [0.0, 0.1, -0.2]])
    assert is_ground(planes, torch.tensor([0.9, 0.5, 0.9, 0.9, 0.9])).tolist() == [True, False, False, False, False]
    config = UnifiedEncoderConfig(size="tiny")
    where = points(1.0 + 0.02 * random(1, config.input_height, config.input_width), torch.from_numpy(config.intrinsics)[None])
    torch.manual_seed(0)
    plane, share = ground_plane(where)
    assert not is_ground(plane, torch.ones_like(share)).any(), "a flat depth stands upright before the camera"


def test_by_the_recorded_motion_depth_alone_learns_from_the_picture_before():
    torch.manual_seed(0)
    outputs, intrinsics = made_up_outputs(), torch.from_numpy(UnifiedEncoderConfig(size="tiny").intrinsics)[None]
    pictures, pose = random(1, 3, 3, 32, 64), torch.tensor([[0.0, 0.01, 0.0, 0.0, 0.0, -0.5]])
    parts = video_losses(outputs, pictures, intrinsics, 10.0, RECORDED, recorded=pose)
    assert set(parts) == {"reconstruction", "smooth_disparity"}
    parts["reconstruction"].backward()
    assert outputs["disparity_0"].grad.abs().sum() > 0.0 and outputs["pose"].grad is None
    said = []
    for shown, moved in ((pictures, pose), (pictures.clone(), pose), (pictures, 2.0 * pose)):
        if shown is not pictures:
            shown[:, 2] = 0.0
        said.append(float(video_losses(outputs, shown, intrinsics, 10.0, RECORDED, recorded=moved)["reconstruction"].detach()))
    assert said[0] == said[1] != said[2], "the picture after counts nothing"


def test_the_stage_of_recorded_motion_teaches_the_pose_and_refuses_pictures_without_it():
    config = UnifiedEncoderConfig(size="tiny", metric=False)
    task = UnifiedEncoderTask(UnifiedEncoderProcessor(config), TrainOptions(supervision="self"))
    size = config.input_height, config.input_width
    outputs = {name: one.detach() for name, one in made_up_outputs().items()}
    targets = {"video": random(1, 3, 3, *size), "depth": torch.ones(1, *size), "pose": torch.zeros(1, 6)}
    weights = {**task.weights, "class": 0.0, "mask": 0.0, "dice": 0.0, "rotation": 6.0, "translation": 0.25}

    def told(name, targets):
        return task.loss(outputs, targets, {"task": torch.zeros(1, 8)}, Stage(name, 1.0), weights)

    for name, taught in (("recorded motion", True), (STAGES[0].name, False)):
        loss = told(name, targets)
        assert ("rotation" in loss.parts) == taught == ("translation" in loss.parts)
    with pytest.raises(SensorError, match="recorded motion.*leave the stage out"):
        told("recorded motion", {**targets, "pose": torch.full((1, 6), np.nan)})
