"""The self-supervised losses on worlds small enough to be worked out: a textured ground, planes, pixels by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import avg_pool2d, pad

from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.depth import FARTHEST, NEAREST
from kd_planner_ros.networks.unified_encoder.geometry import (
    final_flow,
    in_view,
    pixels,
    points,
    projected,
    rigid_flow,
    sampled,
    transform,
)
from kd_planner_ros.networks.unified_encoder.selfsup import (
    above_ground,
    consistency,
    disparity_smoothness,
    distillation,
    ground_plane,
    local,
    photometric,
    reconstruction,
    smoothness,
    sparsity,
    ssim,
    steering_loss,
    unit_ratio,
)

torch.set_num_threads(1)
CONFIG = UnifiedEncoderConfig(size="nano")
INTRINSICS = torch.from_numpy(CONFIG.intrinsics)[None]
SIZE = (CONFIG.input_height, CONFIG.input_width)
HEIGHT = 0.23
"""Height of the camera over the ground, in units."""


def ground_depth(height=HEIGHT):
    """Depth [1, H, W] of a flat ground, FARTHEST above the horizon."""
    rays = torch.linalg.inv(INTRINSICS) @ pixels(*SIZE, INTRINSICS)
    depth = height / rays[:, 1].clamp(min=1e-6)
    return depth.clamp(max=FARTHEST).unflatten(1, SIZE)


def disparity_of(depth):
    return ((1.0 / depth - 1.0 / FARTHEST) / (1.0 / NEAREST - 1.0 / FARTHEST))[:, None]


def colours(where):
    """A smooth texture of the ground at points [B, 3, H, W] of the world."""
    x, z = where[:, 0], where[:, 2]
    waves = [torch.sin(17.0 * x + 3.0 * z), torch.sin(9.0 * z + x), torch.cos(14.0 * x) * torch.sin(6.0 * z)]
    return torch.stack(waves, 1) * 0.4 + 0.5


@pytest.fixture(scope="module")
def drive():
    """(target, source, depth, pose): the camera turns a little and goes 0.08 units ahead over a textured ground."""
    pose = torch.tensor([[0.0, 0.012, 0.0, 0.004, 0.0, -0.08]])
    depth = ground_depth()
    where = points(depth, INTRINSICS)
    from_source = torch.linalg.inv(transform(pose))
    world = (from_source[:, :3, :3] @ where.flatten(2) + from_source[:, :3, 3:]).view_as(where)  # both cameras have one height
    return colours(where), colours(world), depth, pose


def near(depth):
    return depth[0] < 1.5


def test_the_rigid_warp_explains_a_static_world(drive):
    target, source, depth, pose = drive
    where = points(depth, INTRINSICS)
    positions = projected(where + rigid_flow(transform(pose), where), INTRINSICS)
    seen = near(depth) & in_view(positions)[0]

    def error(picture):
        return float((picture - target).abs().mean(1)[0][seen].mean())

    assert error(sampled(source, positions)) < 0.1 * error(source)


BOARD = (-0.12, 0.12, -0.1, 0.1, 0.6)
"""A board before the camera: its bounds in x and y, and its distance, in units."""


def view_of(origin, rays, moved):
    """(colours [1, 3, H, W], mask of the board [H, W], points [1, 3, H, W]) that ``rays`` [1, 3, H, W] from ``origin`` [3] meet; the board
    has moved by ``moved`` [3]. The ground is ``HEIGHT`` below the target camera, whose axes all is in."""
    def met(along, place):
        share = (place - origin[along]) / rays[:, along]
        return origin[None, :, None, None] + share[:, None] * rays

    on_board, on_ground = met(2, BOARD[4] + moved[2]), met(1, HEIGHT)
    own = on_board - moved[None, :, None, None]
    board = ((own[:, 0] > BOARD[0]) & (own[:, 0] < BOARD[1]) & (own[:, 1] > BOARD[2]) & (own[:, 1] < BOARD[3]))[0]
    stripes = torch.stack([torch.sin(45.0 * own[:, 0]), torch.cos(40.0 * own[:, 1] + 20.0 * own[:, 0]), torch.sin(30.0 * own[:, 1])], 1)
    return torch.where(board, 0.5 + 0.4 * stripes, colours(on_ground)), board, torch.where(board, on_board, on_ground)


def test_a_moving_board_is_explained_by_the_final_flow_alone():
    """The thresholds of the published sanity check: rigid < 0.3 of identity where nothing moves, final < 0.2 of rigid where it does."""
    pose, moved = torch.tensor([[0.0, 0.012, 0.0, 0.004, 0.0, -0.08]]), torch.tensor([0.03, 0.0, 0.02])
    rays = (torch.linalg.inv(INTRINSICS) @ pixels(*SIZE, INTRINSICS)).unflatten(2, SIZE)
    matrix = transform(pose)
    turn, shift = matrix[0, :3, :3], matrix[0, :3, 3]
    target, board, where = view_of(torch.zeros(3), rays, torch.zeros(3))
    source, _, _ = view_of(-turn.T @ shift, torch.einsum("ji,bjhw->bihw", turn, rays), moved)
    rigid = rigid_flow(matrix, where)
    complete = torch.where(board, rigid + torch.einsum("ij,j->i", turn, moved)[None, :, None, None], rigid)
    final = final_flow(rigid, complete, board[None, None].float())
    inside = -torch.nn.functional.max_pool2d(-board[None].float(), 9, 1, 4)[0] > 0.5
    outside = torch.nn.functional.max_pool2d(board[None].float(), 61, 1, 30)[0] < 0.5  # the board hides other ground in each picture
    low = torch.zeros(SIZE, dtype=torch.bool)
    low[80:] = True

    def error(flow, mask):
        positions = projected(where + flow, INTRINSICS)
        return float((sampled(source, positions) - target).abs().mean(1)[0][mask & in_view(positions)[0]].mean())

    still = torch.zeros_like(rigid)
    assert inside.sum() > 2000 and (outside & low).sum() > 2000
    assert error(rigid, outside & low) < 0.3 * error(still, outside & low)
    assert error(final, outside & low) == error(rigid, outside & low)
    assert error(final, inside) < 0.2 * error(rigid, inside) and error(final, inside) < 0.2 * error(still, inside)


def test_the_final_flow_is_the_sum_where_the_mask_says_so():
    rigid, complete = torch.full((1, 3, 2, 2), 1.0), torch.full((1, 3, 2, 2), 3.0)
    mask = torch.tensor([[[[0.0, 1.0], [0.5, 0.0]]]])
    assert final_flow(rigid, complete, mask)[0, 0].tolist() == [[1.0, 3.0], [2.0, 1.0]]


def test_reconstruction_is_least_for_the_true_motion(drive):
    target, source, depth, pose = drive
    where = points(depth, INTRINSICS)

    def loss(scale):
        positions = projected(where + rigid_flow(transform(pose * scale), where), INTRINSICS)
        return float(reconstruction([photometric(sampled(source, positions)[:, :, 64:], target[:, :, 64:])]))

    assert loss(1.0) < 0.3 * min(loss(0.0), loss(2.0), loss(-1.0)) and loss(1.0) < loss(0.8)


def test_ssim_and_photometric_error_of_equal_pictures():
    picture = torch.rand(1, 3, 8, 9, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(ssim(picture, picture), torch.ones_like(picture), atol=1e-4)
    assert float(photometric(picture, picture).max()) < 1e-4
    assert float(photometric(picture, 1.0 - picture).mean()) > 0.2
    flat = torch.full((1, 3, 4, 4), 0.2)  # means alone differ: SSIM is (2 ab + c) / (a^2 + b^2 + c)
    expected = 0.85 * (1 - (2 * 0.2 * 0.7 + 1e-4) / (0.04 + 0.49 + 1e-4)) / 2 + 0.15 * 0.5
    assert float(photometric(flat, torch.full_like(flat, 0.7)).mean()) == pytest.approx(expected, abs=1e-4)


def test_windows_reflect_at_borders_and_may_be_known():
    a, b = torch.rand(2, 2, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    pooled = avg_pool2d(pad(a, (1, 1, 1, 1), mode="reflect"), 3, 1)
    squares = avg_pool2d(pad(a * a, (1, 1, 1, 1), mode="reflect"), 3, 1)
    assert torch.allclose(local(a).mean, pooled, atol=1e-6)
    assert torch.allclose(local(a).variance, squares - pooled ** 2, atol=1e-6)
    assert torch.equal(photometric(a, b, local(b)), photometric(a, b))


def test_a_static_pair_teaches_nothing():
    """Where the source as it is fits, no warped picture is chosen: no gradient reaches it."""
    torch.manual_seed(0)
    target = torch.rand(1, 3, 8, 8)
    warped = torch.rand(1, 3, 8, 8, requires_grad=True)
    reconstruction([photometric(warped, target)], [photometric(target.clone(), target)]).backward()
    assert warped.grad.abs().sum() == 0.0
    reconstruction([photometric(warped, target)]).backward()
    assert warped.grad.abs().sum() > 0.0


def test_smoothness_by_hand():
    """A step of 1 between two columns of four: mean |dx| = 1/3; an edge of the picture of 1 there makes it exp(-1) as large."""
    field = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(1, 1, 2, 4)
    flat = torch.zeros(1, 3, 2, 4)
    assert float(smoothness(field, flat, 0)) == pytest.approx(1 / 3)
    assert float(smoothness(field, field.expand(1, 3, 2, 4), 0)) == pytest.approx(math.exp(-1) / 3)
    assert float(smoothness(field, flat, 2)) == pytest.approx(1 / 12)
    steep = field + 1.0
    assert float(disparity_smoothness(10 * steep, flat, 0)) == pytest.approx(float(disparity_smoothness(steep, flat, 0)), rel=1e-5)


def test_consistency_counts_near_static_pixels():
    """Four pixels: near and static, near and moving, far, near and half moving; the flows differ by 2."""
    disparity = torch.tensor([[[[0.1, 0.1, 0.02, 0.1]]]])
    mask = torch.tensor([[[[0.0, 1.0, 0.0, 0.5]]]], requires_grad=True)
    complete = torch.full((1, 3, 1, 4), 2.0, requires_grad=True)
    loss = consistency(disparity, mask, complete, torch.zeros(1, 3, 1, 4), 1)
    assert float(loss.detach()) == pytest.approx((2.0 + 1.0) / 4 / 2)
    loss.backward()
    assert mask.grad is None and complete.grad.abs().sum() > 0


def test_sparsity_counts_pixels_below_the_mean_difference():
    rigid = torch.zeros(1, 1, 4, 2)
    complete = torch.tensor([[[[0.0, 0.0], [0.1, 0.0], [0.0, 0.1], [2.0, 0.0]]]])
    logits = torch.tensor([[[[0.0, 0.0, 0.0, 9.0]]]])
    assert float(sparsity(logits, rigid, complete, 0)) == pytest.approx(math.log(2))
    assert float(sparsity(logits, rigid, rigid, 0)) == 0.0  # all alike: none lies below the mean


def test_the_ground_is_found_and_points_below_it_cost():
    depth = ground_depth()
    plane, share = ground_plane(points(depth, INTRINSICS), torch.Generator().manual_seed(0))
    assert float(share) > 0.99
    assert plane[0].tolist() == pytest.approx([0.0, 0.0, HEIGHT], abs=2e-3)
    assert float(above_ground(disparity_of(depth), plane, INTRINSICS, 0)) == pytest.approx(0.0, abs=1e-6)
    hole = depth.clone()
    hole[:, 100:, 150:200] *= 1.43  # as if the ground were a metre of 2.3 lower there
    loss = float(above_ground(disparity_of(hole), plane, INTRINSICS, 0))
    assert loss > 1e-4 and float(above_ground(disparity_of(hole), plane, INTRINSICS, 1)) == pytest.approx(loss / 2)


def test_the_ground_is_found_beside_objects():
    depth = ground_depth()
    depth[:, 80:, :120] = 0.3  # a wall
    plane, share = ground_plane(points(depth, INTRINSICS), torch.Generator().manual_seed(1))
    assert 0.5 < float(share) < 0.9
    assert float(plane[0, 2]) == pytest.approx(HEIGHT, abs=5e-3)


def test_distillation_is_zero_for_equal_outputs_and_knows_the_units():
    flow, mask = torch.ones(2, 3, 2, 2), torch.full((2, 1, 2, 2), 0.5)
    assert float(distillation(flow, mask, flow, mask)) == 0.0
    assert float(distillation(flow, mask, 0.5 * flow, mask)) == pytest.approx(0.05)
    depth = torch.tensor([2.0, 4.0])[:, None, None].expand(2, 3, 3)
    ratio = unit_ratio(depth, torch.ones(2, 3, 3))
    assert ratio.tolist() == [2.0, 4.0]
    taught = flow / ratio[:, None, None, None]
    assert float(distillation(flow, mask, taught, mask + 0.1, ratio)) == pytest.approx(1e-4, rel=1e-3)


def test_steering_loss_by_hand():
    found, wanted = torch.tensor([1.0, 12.0]), torch.tensor([0.0, 10.0])
    assert float(steering_loss(found, wanted)) == pytest.approx((1.0 + 4.0 * math.e) / (1.0 + math.e))
    assert float(steering_loss(found, torch.tensor([0.0, 1e3]))) == pytest.approx((1.0 + 50.0 * 988.0 ** 2) / 51.0)
