"""Flow and mask of a unified encoder that compares its pictures: the best place, cells averaged, blocks compared, and the mask's choice."""

import pytest
import torch
from torch.nn.functional import interpolate

from kd_planner_ros.networks.unified_encoder.geometry import points, projected
from kd_planner_ros.networks.unified_encoder.matched import MatchedFlow, MatchedMask, summed
from kd_planner_ros.networks.unified_encoder.matching import COLUMNS, NEAREST_M, ROWS, STRIDE, WINDOW, Matcher, best, window

torch.set_num_threads(1)
HEIGHT, WIDTH, FOCAL = 64, 192, 40.0
CAMERA = [[FOCAL, 0.0, 95.5], [0.0, FOCAL, 31.5], [0.0, 0.0, 1.0]]
INTRINSICS = torch.tensor([CAMERA])
CHANNELS = (8, 16, 32, 64)


@pytest.fixture
def flow():
    torch.manual_seed(0)
    return MatchedFlow(CHANNELS, 16, (HEIGHT, WIDTH), CAMERA)


def numbered(right, down):
    """The number in a window of the place so many cells away."""
    return (down + ROWS) * (2 * COLUMNS + 1) + right + COLUMNS


@pytest.mark.parametrize("peaks, wanted", [
    ({(3, -1): 1.0}, (3.0, -1.0)),
    ({(-COLUMNS, ROWS): 1.0}, (-7.0, 3.0)),
    ({(3, -1): 1.0, (4, -1): 1.0}, (3.5, -1.0)),
    ({(3, -1): 1.0, (-5, 2): 0.8}, (3.0, -1.0))], ids=["a cell", "a corner", "between cells", "two peaks"])
def test_the_best_place_is_no_mean_of_far_ones(peaks, wanted):
    scores = torch.zeros(1, WINDOW, 2, 2)
    for place, score in peaks.items():
        scores[:, numbered(*place)] = 20.0 * score  # 0.2 are 4 in a logit, 16 in the sharper one
    assert torch.allclose(best(scores, window())[0, :, 0, 0], torch.tensor(wanted), atol=0.05)


def test_what_is_found_says_how_far_the_best_place_is_from_the_rigid_flow():
    torch.manual_seed(0)
    matcher = Matcher(CHANNELS, 16, CAMERA, (HEIGHT, WIDTH))
    own, around = torch.zeros(1, WINDOW, 8, 24), torch.zeros(1, WINDOW, 8, 24)
    own[:, numbered(3, 0)], around[:, numbered(0, 0)] = 1.0, 0.25
    matcher.sharpness.data.fill_(5.0)
    found = matcher._found(own, around, torch.tensor([0.0, -4.0]).view(1, 2, 1, 1).expand(1, 2, 8, 24))
    assert torch.allclose(found[0, WINDOW:, 0, 0], torch.tensor([3.0, 0.0, 3.0, 4.0, 5.0, 1.0, 0.75]), atol=1e-3)


def test_cells_that_stand_still_say_nothing_about_those_that_move():
    scores, weight = torch.zeros(1, WINDOW, 4, 8), torch.full((1, 1, 4, 8), 0.02)
    scores[:, 0, :, :4], scores[:, 1, :, 4:], weight[..., 4:] = 1.0, 1.0, 1.02
    found = summed(scores, weight)
    assert found[0, 1, :, 4].min() > 0.9 and torch.allclose(found.sum(1), torch.tensor(1.0))
    assert torch.allclose(summed(scores, torch.ones_like(weight))[0, 1, :, 4], torch.tensor(2.0 / 3.0), atol=0.01)


@pytest.fixture
def mask():
    torch.manual_seed(0)
    made = MatchedMask(CHANNELS, 8, 16, (HEIGHT, WIDTH))
    made.keenness.data.fill_(5.0)
    return made


def picture():
    small = torch.rand(1, 3, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(1))
    return interpolate(small, scale_factor=4, mode="bilinear")


def test_a_cell_that_matching_misplaces_has_the_place_of_its_neighbour(mask):
    """Everything was 16 pixels to the right. One cell in the middle of the picture says 40 to the left; grey values say no."""
    mask.sharpness.data.fill_(5.0)
    scores = torch.zeros(1, WINDOW, HEIGHT // STRIDE, WIDTH // STRIDE)
    scores[:, numbered(2, 0)] = 1.0
    scores[0, :, 3:6, 11:14] = 0.0
    scores[0, numbered(-5, 0), 3:6, 11:14] = 1.0
    image, moves = 3.0 * picture(), torch.full((1, 1, HEIGHT, WIDTH), 9.0)
    found = mask._near(image, image.roll(16, 3), scores, moves)
    wrong = interpolate(STRIDE * best(148.4 * summed(scores, moves[..., ::STRIDE, ::STRIDE]), mask.offsets), scale_factor=STRIDE)
    middle = (0, 0, slice(32, 40), slice(96, 104))
    assert wrong[middle].max() < -30.0 and 12.0 < found[middle].min() and found[middle].median() > 15.0 and found[middle].max() < 16.5


def test_at_a_border_what_stands_still_does_not_count(mask):
    """The right half moves by 16 pixels. Plain interpolation would leave the moving pixels next to the border with half of that."""
    mask.sharpness.data.fill_(5.0)
    moves, scores = torch.zeros(1, 1, HEIGHT, WIDTH), torch.zeros(1, WINDOW, HEIGHT // STRIDE, WIDTH // STRIDE)
    moves[..., WIDTH // 2:] = 1.0
    scores[:, numbered(0, 0), :, :12], scores[:, numbered(2, 0), :, 12:] = 1.0, 1.0
    flat = torch.zeros(1, 3, HEIGHT, WIDTH)
    found = mask._near(flat, flat, scores, 20.0 * (2.0 * moves - 1.0))
    assert found[0, 0, :, WIDTH // 2].min() > 14.0 and torch.allclose(found[..., :STRIDE], torch.tensor(0.0), atol=1e-3)


@pytest.mark.parametrize("right, down", [(0, 0), (3, -2), (-3, 3)])
def test_blocks_find_what_the_cells_missed(mask, right, down):
    """Everything was 10 pixels to the right and as far as given beside; matching says 10. What is left of the differences is told."""
    image = picture()
    before = image.roll((down, 10 + right), (2, 3))
    shift = torch.tensor([10.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, HEIGHT, WIDTH).contiguous().requires_grad_()
    found, compared = mask._refined(image, before, before, shift)
    inside = (slice(None), slice(None), slice(16, -16), slice(32, -32))
    assert torch.allclose(found[inside].flatten(2).median(2).values[0], torch.tensor([10.0 + right, float(down)]), atol=0.25)
    rigid, same, block, rigid_block = compared[inside].abs().mean((0, 2, 3)).tolist()
    assert block < 0.5 * rigid_block and (same > block or (right, down) == (0, 0)) and rigid > same
    found.sum().backward()
    assert torch.equal(shift.grad, torch.ones_like(shift)) and mask.keenness.grad.isfinite()


def everywhere(*values):
    return torch.tensor(values).view(1, -1, 1, 1).expand(1, -1, HEIGHT, WIDTH)


def test_the_mask_chooses_between_the_rigid_flow_and_the_place_that_matches(flow):
    """A wall 10 m ahead and a rigid flow of 1 m to the right and 2 m away; matching says 6 pixels to the left. A depth that is wrong by a
    half still leads to the pixel that matches, and so does any distance of the point there."""
    depth, rigid, shift = everywhere(10.0)[:, 0], everywhere(1.0, 0.0, 2.0), everywhere(-6.0, 0.0)
    still, moves, own = everywhere(-50.0), everywhere(50.0), projected(points(depth, INTRINSICS), INTRINSICS)
    assert torch.allclose(flow.complete(everywhere(5.0), shift, still, depth, rigid), rigid, atol=1e-4)
    for wrong, farther in ((1.0, 0.0), (1.5, 0.0), (1.5, 2.0)):
        complete = flow.complete(everywhere(farther), shift, moves, wrong * depth, rigid)
        off = projected(points(wrong * depth, INTRINSICS) + complete, INTRINSICS) - own
        assert torch.allclose(off[..., 0] * (WIDTH - 1) / 2.0, torch.tensor(-6.0), atol=1e-2)
        assert torch.allclose(off[..., 1], torch.tensor(0.0), atol=1e-4)
        assert torch.allclose(complete[:, 2], torch.tensor(farther), atol=1e-4)


def test_a_point_that_comes_from_behind_stays_ahead(flow):
    complete = flow.complete(everywhere(-20.0), everywhere(0.0, 0.0), everywhere(50.0), everywhere(10.0)[:, 0], everywhere(0.0, 0.0, 0.0))
    assert torch.allclose(complete[:, 2], torch.tensor(NEAREST_M - 10.0))


def test_a_pixel_that_moves_as_likely_as_not_has_nearly_its_whole_motion(flow):
    """The final flow takes half of it then."""
    complete = flow.complete(everywhere(0.0), everywhere(-6.0, 0.0), everywhere(0.0), everywhere(10.0)[:, 0], everywhere(0.0, 0.0, 0.0))
    assert 0.8 * -6.0 * 10.0 / FOCAL > complete[0, 0, 0, 0] > -6.0 * 10.0 / FOCAL


def test_a_coarse_field_is_spread_over_the_picture_and_depth_and_mask_get_no_gradient(flow):
    depth, rigid, logit = (torch.full(shape, 5.0, requires_grad=True)
                           for shape in ((1, HEIGHT, WIDTH), (1, 3, HEIGHT, WIDTH), (1, 1, HEIGHT, WIDTH)))
    shift, field = torch.zeros(1, 2, HEIGHT, WIDTH, requires_grad=True), everywhere(0.0)[..., ::4, ::4].clone().requires_grad_()
    complete = flow.complete(field, shift, logit, depth, rigid)
    assert complete.shape == (1, 3, HEIGHT, WIDTH)
    complete.sum().backward()
    assert all(one.grad is None for one in (depth, rigid, logit)) and all(one.grad is not None for one in (shift, field))
