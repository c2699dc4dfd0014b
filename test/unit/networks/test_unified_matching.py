"""Matching of two pictures: shifts found, the source after the rigid flow, what teaches it, and what a network without it keeps."""

import math
from dataclasses import replace

import pytest
import torch
from support.unified import TINY
from torch.nn.functional import normalize

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.start import warm_start
from kd_planner_ros.networks.parts import Schedule
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.geometry import points
from kd_planner_ros.networks.unified_encoder.match_loss import match_losses
from kd_planner_ros.networks.unified_encoder.matching import COLUMNS, ROWS, STRIDE, WINDOW, Aligned, Matcher, looked_up
from kd_planner_ros.networks.unified_encoder.model import OUTPUTS, SCALES, build_model, example_inputs
from kd_planner_ros.networks.unified_encoder.parts import build_parts
from kd_planner_ros.networks.unified_single_scale.config import UnifiedSingleScaleConfig
from kd_planner_ros.networks.unified_teacher.config import UnifiedTeacherConfig
from kd_planner_ros.runtime.params import count_macs, count_parameters

torch.set_num_threads(1)
MATCHING = replace(TINY, matching=True)
HEIGHT, WIDTH, FOCAL = 64, 192, 40.0
CAMERA = [[FOCAL, 0.0, 95.5], [0.0, FOCAL, 31.5], [0.0, 0.0, 1.0]]
INTRINSICS = torch.tensor([CAMERA])


@pytest.fixture
def matcher():
    torch.manual_seed(0)
    return Matcher((8, 16, 32, 64), 16, CAMERA, (HEIGHT, WIDTH))


def cells(seed=0):
    return normalize(torch.randn(1, 16, HEIGHT // STRIDE, WIDTH // STRIDE, generator=torch.Generator().manual_seed(seed)))


def middle(field):
    """Without cells whose window leaves the picture."""
    return field[..., ROWS:-ROWS, COLUMNS:-COLUMNS]


@pytest.mark.parametrize("spread", [0.6, 30.0])
def test_places_between_cells_and_outside_are_what_sampling_gives(matcher, spread):
    generator = torch.Generator().manual_seed(3)
    one, other = cells(), cells(1)
    places = matcher.cells[None] + spread * torch.randn(1, 2, HEIGHT // STRIDE, WIDTH // STRIDE, generator=generator)
    height, width = places.shape[-2:]
    volume = torch.einsum("bchw,bcyx->hwyx", one, other).reshape(-1, 1, height, width)
    where = places.permute(0, 2, 3, 1).reshape(-1, 1, 1, 2) + matcher.offsets.permute(1, 2, 0)
    grid = where / torch.tensor([width - 1.0, height - 1.0]) * 2.0 - 1.0
    wanted = torch.nn.functional.grid_sample(volume, grid, align_corners=True).reshape(height, width, WINDOW).permute(2, 0, 1)
    assert torch.allclose(looked_up(one, other, places)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("right, down", [(0, 0), (2, -1), (-COLUMNS, ROWS)])
def test_the_peak_is_where_the_picture_went(matcher, right, down):
    """Features that moved by whole cells: the best place of the window says so, and a sharp expectation too."""
    matcher.sharpness.data.fill_(5.0)
    source = cells()
    target = source.roll((-down, -right), (2, 3))
    clue = matcher.plain(target, source).detach()
    assert middle(clue[:, :WINDOW].argmax(1)).unique().tolist() == [(down + ROWS) * (2 * COLUMNS + 1) + right + COLUMNS]
    assert torch.allclose(middle(clue[0, WINDOW:WINDOW + 2]).flatten(1).mean(1), torch.tensor([float(right), float(down)]), atol=1e-3)


def test_what_the_rigid_flow_explains_has_its_peak_in_the_middle(matcher):
    """A wall 10 m ahead; the camera moved 2 m to the left, which is 8 pixels, a cell: the source was shifted by that. Aligned it is the
    target again, and only what moved by itself is off the middle."""
    depth, pose = torch.full((1, HEIGHT, WIDTH), 10.0), torch.zeros(1, 6)
    pose[0, 3] = -2.0  # the target's points lie 2 m farther right in the source's camera
    image = torch.rand(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(1))
    fine = torch.randn(1, 8, HEIGHT // 4, WIDTH // 4, generator=torch.Generator().manual_seed(2))
    target = cells()
    source = target.roll(1, 3)
    found = matcher.align(depth, pose, image.roll(8, 3), fine.roll(2, 3), matcher.plain(target, source), target, source)
    assert torch.allclose(found.rigid, torch.tensor([2.0, 0.0, 0.0]).view(1, 3, 1, 1).expand_as(found.rigid), atol=1e-5)
    inside = slice(16, -16)
    assert torch.allclose(found.image[..., inside], image[..., inside], atol=1e-3)
    assert torch.allclose(found.fine[..., 4:-4], fine[..., 4:-4], atol=1e-3)
    assert middle(found.clue[:, :WINDOW].argmax(1)).unique().tolist() == [WINDOW // 2]
    assert (found.image[..., -8:] == 0.0).all()  # outside of the source


def test_no_gradient_of_the_alignment_reaches_depth_and_pose(matcher):
    depth, pose = torch.full((1, HEIGHT, WIDTH), 10.0, requires_grad=True), torch.zeros(1, 6, requires_grad=True)
    features = [cells(seed).requires_grad_() for seed in (0, 1)]
    found = matcher.align(depth, pose, torch.rand(1, 3, HEIGHT, WIDTH), torch.rand(1, 8, HEIGHT // 4, WIDTH // 4),
                          matcher.plain(*features), *features)
    (found.clue.sum() + found.found.sum()).backward()
    assert depth.grad is None and pose.grad is None and all(one.grad is not None for one in features)


@pytest.mark.parametrize("near", [0.0, -3.0])
def test_points_behind_the_camera_stay_finite(matcher, near):
    pose = torch.zeros(1, 6)
    pose[0, 5] = 10.0
    found = matcher.align(torch.full((1, HEIGHT, WIDTH), near), pose, torch.rand(1, 3, HEIGHT, WIDTH),
                          torch.rand(1, 8, HEIGHT // 4, WIDTH // 4), matcher.plain(cells(), cells(1)), cells(), cells(1))
    assert all(one.isfinite().all() for one in found)


# --- what teaches it -------------------------------------------------------------------------------------------------

def truth(shift):
    """A wall 10 m ahead of a camera that stands; in its left half everything moves by ``shift`` metres."""
    moving = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    moving[..., :WIDTH // 2] = True
    flow = torch.tensor(shift).view(1, 3, 1, 1) * moving
    return {"depth": torch.full((1, HEIGHT, WIDTH), 10.0), "flow": flow, "flow_known": torch.ones_like(moving), "moving": moving,
            "moving_known": torch.ones_like(moving)}


def outputs(targets, flow, logit, places):
    """Outputs with the true depth, a complete flow, a mask of one logit and windows sure of ``places`` (static, moving)."""
    where = torch.where(targets["moving"][:, 4::8, 4::8], *(torch.tensor(place) for place in reversed(places)))
    window = 20.0 * torch.nn.functional.one_hot(where, WINDOW).permute(0, 3, 1, 2).float()
    fields = {f"flow_{scale}": flow[:, :, ::1 << scale, ::1 << scale] for scale in SCALES}
    masks = {f"motion_{scale}": torch.full((1, 1, HEIGHT >> scale, WIDTH >> scale), logit) for scale in SCALES}
    return {"depth": targets["depth"], "rigid": torch.zeros(1, 3, HEIGHT, WIDTH), "match_plain": window, "match_around": window,
            **fields, **masks}


def told(found, targets):
    """The losses for a picture that shows the true motion: its colours say where a pixel was, 16 to the right."""
    before = torch.arange(float(WIDTH)).expand(1, 3, HEIGHT, WIDTH) / WIDTH
    image = before + 16.0 / WIDTH
    return {name: float(part) for name, part in match_losses(found, targets, INTRINSICS, image, before).items()}


def test_the_losses_by_hand():
    """4 m at 10 m are 16 pixels, two cells. Sure windows in the right place cost nothing. A mask of one half leads half the way."""
    targets = truth((4.0, 0.0, 0.0))
    right, everywhere = (WINDOW // 2, WINDOW // 2 + 2), targets["flow"][..., :1].expand(-1, -1, -1, WIDTH)
    good = told(outputs(targets, everywhere, 20.0, right), targets)
    assert all(part == pytest.approx(0.0, abs=0.02) for part in good.values())
    half = told(outputs(targets, everywhere, 0.0, right), targets)
    assert half["final_pixels"] == pytest.approx(math.log(9.0), rel=0.02) and half["own_pixels"] == pytest.approx(0.0, abs=0.02)
    assert half["final_colour"] == pytest.approx(8.0 / WIDTH, rel=0.02)
    wrong = told(outputs(targets, 0.0 * everywhere, 20.0, (right[0], right[0])), targets)
    assert wrong["own_pixels"] == pytest.approx(math.log(17.0), rel=0.02) and wrong["final_colour"] == pytest.approx(16.0 / WIDTH, rel=0.02)
    assert wrong["match"] == pytest.approx(20.0 / 2.0, rel=0.02)  # the static half is right


def test_a_place_outside_of_the_window_teaches_nothing():
    targets = truth((40.0, 0.0, 0.0))
    assert told(outputs(targets, targets["flow"], 20.0, (WINDOW // 2, 0)), targets)["match"] == pytest.approx(0.0, abs=1e-3)


# --- the network -----------------------------------------------------------------------------------------------------

def test_the_nano_size_stays_within_its_limits():
    costs = []
    for config in (UnifiedEncoderConfig(size="nano"), UnifiedEncoderConfig(size="nano", matching=True)):
        with torch.device("meta"):
            model = build_model(config)
        costs.append((count_macs(model, example_inputs(config)), count_parameters(model)))
    assert costs[1][0] <= 3.0e9 and costs[1][0] - costs[0][0] < 0.3e9
    assert costs[1][1] * 2 <= 12e6 and costs[1][1] - costs[0][1] < 0.25e6


def test_a_model_without_matching_starts_one_with_it():
    """All but layers of the flow is taken over, and depth, segmentation and features are the same to the bit; the flow begins where
    matching leads to."""
    torch.manual_seed(0)
    old, new = build_model(TINY).eval(), build_model(MATCHING).eval()
    left = {name for name in old.state_dict() if name not in warm_start(new, old)}
    assert {name.split(".")[0] for name in left} == {"flow"}
    inputs = {name: one if name == "task" else torch.randn_like(one) for name, one in example_inputs(TINY).items()}
    with torch.no_grad():
        before, after = old(**inputs), new(**inputs)
    same = [name for name in OUTPUTS if name not in ("flow", "motion")]
    assert all(torch.equal(before[name], after[name]) for name in same)
    assert all(after[name].isfinite().all() for name in after) and set(before) <= set(after)
    assert all(torch.equal(after["flow"], after[f"flow_{scale}"]) for scale in SCALES)


def test_several_sources_give_what_each_gives_alone():
    torch.manual_seed(0)
    model = build_model(MATCHING).eval()
    for parameter in (model.flow.told.clue.weight, model.motion.told.clue.weight, *(step.weight for step in model.flow.mix)):
        torch.nn.init.normal_(parameter, std=0.1)
    inputs = {name: one if name == "task" else torch.randn_like(one) for name, one in example_inputs(MATCHING, 2).items()}
    empty = {f"before_{level}": torch.zeros(2, 0) for level in (1, 2, 3, 4)}
    other = torch.randn_like(inputs["image"])
    with torch.no_grad():
        both = model(**(inputs | empty | {"before": torch.cat([inputs["before"], other])}))
        first, second = model(**(inputs | empty)), model(**(inputs | empty | {"before": other}))
    for name in ("pose", "flow", "motion", "rigid", "match_plain", "match_around"):
        assert torch.allclose(both[name], torch.cat([first[name], second[name]]), atol=1e-4, rtol=1e-4), name


def test_without_depth_or_pose_flow_and_motion_wait():
    """They read the rigid flow, and the flow the mask; the pose needs no depth. The parts between have no switch."""
    schedule = Schedule(build_parts(build_model(MATCHING).eval(), MATCHING))
    assert schedule.switches == ("depth", "segmentation", "pose", "motion", "flow")
    schedule.set_rates({"depth": 0})
    assert schedule.blocked() == {"flow": ("depth",), "motion": ("depth",)} and "pose" in schedule.next()
    schedule.set_rates({"depth": 1, "pose": 0, "segmentation": 0})
    assert schedule.blocked() == {"flow": ("pose",), "motion": ("pose",)} and "aligned" not in schedule.next()
    schedule.set_rates({"pose": 1, "motion": 0})
    assert schedule.blocked() == {"flow": ("motion",)} and "flow" not in schedule.next()
    assert Schedule(build_parts(build_model(TINY).eval(), TINY)).needed(["flow"]) == {"encoder", "pose", "flow"}


@pytest.mark.parametrize("kind", [UnifiedTeacherConfig, UnifiedSingleScaleConfig])
def test_networks_that_cannot_match_say_so(kind):
    with pytest.raises(ConfigError, match="use the network unified_encoder"):
        kind(size="tiny", matching=True)


def test_points_and_pixels_agree(matcher):
    """The matcher's rays are those of ``points``."""
    depth = torch.rand(1, HEIGHT, WIDTH) + 1.0
    assert torch.allclose(depth[:, None] * matcher.rays, points(depth, INTRINSICS), atol=1e-4)
    assert Aligned._fields == ("image", "fine", "clue", "found", "rigid")
