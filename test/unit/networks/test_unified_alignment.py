"""The camera's motion by aligning pictures: known motions found, wrong beginnings left, and what must not change."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.unified import TINY
from torch.nn.functional import interpolate

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.parts import Schedule
from kd_planner_ros.networks.unified_encoder.alignment import Alignment, moved_by, solved
from kd_planner_ros.networks.unified_encoder.geometry import moved, points, projected, rotation, sampled, transform
from kd_planner_ros.networks.unified_encoder.model import build_model, example_inputs
from kd_planner_ros.networks.unified_encoder.parts import build_parts
from kd_planner_ros.networks.unified_teacher.config import UnifiedTeacherConfig

torch.set_num_threads(1)
HEIGHT, WIDTH, FOCAL = 64, 192, 80.0
CAMERA = [[FOCAL, 0.0, 95.5], [0.0, FOCAL, 20.5], [0.0, 0.0, 1.0]]
ALIGNED = replace(TINY, aligned_pose=True)
STANDS = torch.zeros(1, 6)


def scene(pose, seed=0):
    """(the picture now, the picture before, depth) of a textured ground and a far wall, for a camera that moved by ``pose`` [1, 6]:
    the picture now is the one before, seen at the places that the motion leads to."""
    noise = torch.rand(1, 3, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(seed))
    before = interpolate(noise, scale_factor=4, mode="bicubic", align_corners=False) * 3.0
    below = (torch.arange(float(HEIGHT)) - 20.5).clamp(min=1e-3)
    depth = (FOCAL * 0.2 / below).clamp(max=4.0)[:, None].expand(HEIGHT, WIDTH)[None].contiguous()
    there = moved(transform(pose), points(depth, torch.tensor([CAMERA])))
    return sampled(before, projected(there, torch.tensor([CAMERA]))), before, depth


@settings(max_examples=25, deadline=None)
@given(forward=st.floats(-0.02, 0.08), left=st.floats(-0.01, 0.01), yaw=st.floats(-0.02, 0.02), pitch=st.floats(-0.005, 0.005),
       wrong=st.floats(-0.05, 0.05), seed=st.integers(0, 5))
def test_a_known_motion_is_found_from_a_wrong_one(forward, left, yaw, pitch, wrong, seed):
    pose = torch.tensor([[pitch, yaw, 0.0, left, 0.0, forward]])
    image, before, depth = scene(pose, seed)
    found = Alignment(CAMERA, (HEIGHT, WIDTH))(image, before, depth, pose + torch.tensor([[0.0, 0.0, 0.0, 0.0, 0.0, wrong]]))
    assert torch.allclose(found, pose, atol=2e-3), (found, pose)


def test_a_standing_camera_stands_whatever_was_told():
    """Two equal pictures, and a decoder that says 6 m/s."""
    image, _, depth = scene(STANDS)
    found = Alignment(CAMERA, (HEIGHT, WIDTH))(image, image, depth, torch.tensor([[0.0, 0.002, 0.0, 0.0, 0.0, -0.06]]))
    assert found.abs().max() < 1e-4


def test_rows_of_a_batch_are_aligned_alone():
    poses = torch.tensor([[0.0, 0.01, 0.0, 0.0, 0.0, 0.05], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]])
    rows = [torch.cat(one) for one in zip(*(scene(poses[i:i + 1], i) for i in range(2)), strict=True)]
    assert torch.allclose(Alignment(CAMERA, (HEIGHT, WIDTH))(*rows, torch.zeros(2, 6)), poses, atol=2e-3)


@pytest.mark.parametrize("what", ["one colour", "all sky", "strangers"])
def test_where_nothing_can_be_aligned_the_answer_is_no_worse(what):
    """Pictures without a slope, without a near point, or of two places: the pose that was told stays, or one that fits better."""
    told = torch.tensor([[0.0, 0.01, 0.0, 0.0, 0.0, 0.05]])
    image, before, depth = scene(told)
    if what == "one colour":
        image = before = torch.zeros_like(image)
    elif what == "all sky":
        depth = torch.full_like(depth, 9.0)
    else:
        before = scene(told, 7)[1]
    found = Alignment(CAMERA, (HEIGHT, WIDTH))(image, before, depth, told)
    assert torch.isfinite(found).all() and (what == "strangers" or torch.allclose(found, told, atol=1e-5))
    assert found[:, :3].norm() < 0.25 and found[:, 3:].norm() < 0.5, "some steps away at most"


def test_systems_are_solved_whatever_their_units():
    units = torch.tensor([1e3, 1e3, 1e3, 1.0, 1.0, 1.0])[None, :, None]
    slopes = torch.randn(3, 6, 200, generator=torch.Generator().manual_seed(0)) * units
    matrix, right = slopes @ slopes.transpose(1, 2), torch.randn(3, 6, generator=torch.Generator().manual_seed(1))
    exact = torch.linalg.solve(matrix, right)
    assert torch.allclose(solved(matrix, right), exact, rtol=0.05, atol=float(exact.abs().max()) * 2e-3)
    assert torch.equal(solved(torch.zeros(1, 6, 6), torch.zeros(1, 6)), torch.zeros(1, 6))


def test_a_step_is_a_motion():
    step = torch.tensor([[0.012, -0.01, 0.008, 0.03, -0.02, 0.01]])
    found = moved_by(step)[0]
    assert torch.allclose(found[:3, :3] @ found[:3, :3].T, torch.eye(3), atol=1e-6)
    assert torch.allclose(found[:3, :3], rotation(step[:, :3])[0], atol=1e-6) and torch.equal(found[:3, 3], step[0, 3:])


def test_the_decoder_learns_by_its_own_answer_and_others_by_the_refined_one():
    torch.manual_seed(0)
    model = build_model(ALIGNED).eval()
    plain = build_model(TINY).eval()
    plain.load_state_dict(model.state_dict())  # no weight more, none less
    inputs = {name: torch.rand_like(one) if name in ("image", "before") else one[..., :0] if name.startswith("before_") else one
              for name, one in example_inputs(TINY).items()}
    with torch.enable_grad():
        assert torch.equal(model(**inputs)["pose"], plain(**inputs)["pose"])
    with torch.no_grad():
        told, refined = plain(**inputs)["pose"], model(**inputs)["pose"]
    assert not torch.equal(told, refined) and torch.isfinite(refined).all()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(("flow.", "motion.")))
    with torch.enable_grad():
        learnt = model(**inputs)
    assert torch.equal(learnt["pose"], refined) and learnt["motion"].requires_grad and not learnt["pose"].requires_grad


def test_its_parts_need_depth():
    parts = build_parts(build_model(ALIGNED), ALIGNED)
    schedule = Schedule(parts)
    assert "told_pose" not in schedule.switches and {"told_pose", "depth", "encoder"} <= schedule.needed(["pose"])
    schedule.set_rates({"depth": 0})
    assert schedule.blocked()["pose"] == ("depth",)


def test_a_network_that_refines_nothing_refuses():
    with pytest.raises(ConfigError, match="aligned_pose true"):
        UnifiedTeacherConfig(size="tiny", aligned_pose=True)
