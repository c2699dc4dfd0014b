"""PlanKD's modules and losses against the counts and the hand-computed values of the specification's section 8."""

import math

import pytest
import torch

from kd_planner_ros.distill.maps import channel_mean, energy, stage_pairs
from kd_planner_ros.distill.methods.plankd import safety
from kd_planner_ros.distill.methods.plankd.attention import DETAILS, PARAMETERS, WaypointAttention, measurement, with_coordinates
from kd_planner_ros.distill.methods.plankd.bottleneck import (
    InformationBottleneck,
    Latent,
    divergence,
    latent_distance,
    naming,
    whole_map_distance,
)
from kd_planner_ros.world.bev_source import OBSTACLES

NO_OBSTACLES = torch.full((1, OBSTACLES, 2), math.nan)


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameter_counts_are_the_papers():
    assert count(InformationBottleneck(1296)) == 1_592_337
    tcp = InformationBottleneck(3616)
    assert (count(tcp.encoder), count(tcp.decoder)) == (2_377_216, 402_961)
    for detail in DETAILS:
        assert count(WaypointAttention(detail)) == PARAMETERS == 1_621_120


def test_channel_means_of_several_views_stand_in_order():
    left, front = torch.zeros(2, 3, 2, 2), torch.ones(2, 5, 3, 3)
    flat = channel_mean([left, front])
    assert flat.shape == (2, 13) and flat[:, :4].sum() == 0 and (flat[:, 4:] == 1).all()
    sizes = [torch.zeros(1, 8, 16, 16), torch.zeros(1, 8, 28, 28), torch.zeros(1, 8, 16, 16)]
    assert channel_mean(sizes).shape == (1, 1296)
    assert energy(front).norm(dim=1).tolist() == pytest.approx([1.0, 1.0])


def test_resnet6_stages_meet_those_of_equal_stride():
    assert stage_pairs(4, 4) == ((1, 1), (2, 2), (3, 3), (4, 4))
    assert stage_pairs(3, 4) == ((1, 1), (2, 2), (3, 4))


# --- the bottleneck ------------------------------------------------------------------------------------------------------


def test_divergence_of_the_prior_is_zero():
    unit = Latent(torch.zeros(3, 256), torch.ones(3, 256))
    assert float(divergence(unit)) == 0.0
    shifted = Latent(torch.ones(3, 256), torch.ones(3, 256))
    assert float(divergence(shifted)) == pytest.approx(128.0)


def test_naming_counts_recorded_states_only():
    states = torch.full((2, 8), -1)
    states[0, 0], states[1, 1] = 2, 1
    total, right = naming(torch.zeros(2, 17), states)
    assert float(total) == pytest.approx(math.log(3) + math.log(2))
    assert float(right) == 0.0  # the first of equal logits is the likeliest
    logits = torch.zeros(2, 17)
    logits[0, 2] = logits[1, 4] = 9.0
    assert float(naming(logits, states)[1]) == 1.0


def test_bottleneck_loss_is_in_bits_and_detached_from_the_features():
    torch.manual_seed(0)
    bottleneck, features = InformationBottleneck(12), torch.randn(4, 12, requires_grad=True)
    states = torch.zeros(4, 8, dtype=torch.long)
    loss, _ = bottleneck.loss(features, states, beta=0.0)
    loss.backward()
    assert features.grad is None and all(p.grad is not None for p in bottleneck.decoder.parameters())
    assert loss.item() == pytest.approx(math.log2(3) + 7, rel=0.1)  # nearly uniform at birth


def test_bottleneck_loss_by_hand():
    """With all weights zero every class is as likely, the mean is 0 and the scale softplus(-5) = 0.0067153 in 256 dimensions:
    log2(3) + 7 bits of naming and 1e-3 * 128 * (scale^2 - 1 - 2 ln scale) / ln 2 = 1.6633 of divergence."""
    bottleneck = InformationBottleneck(12)
    for parameter in bottleneck.parameters():
        torch.nn.init.zeros_(parameter)
    latent = bottleneck.encode(torch.randn(4, 12))
    assert not latent.mean.any() and latent.scale.flatten().tolist() == pytest.approx([0.0067153] * 1024, rel=1e-4)
    loss, _ = bottleneck.loss(torch.randn(4, 12), torch.zeros(4, 8, dtype=torch.long))
    assert loss.item() == pytest.approx(math.log2(3) + 7 + 1.6633, abs=1e-3)


@pytest.mark.parametrize("noise, zero", [("shared", True), ("none", True), ("independent", False)])
def test_equal_features_are_at_distance_zero_unless_the_noise_differs(noise, zero):
    torch.manual_seed(0)
    bottleneck, features = InformationBottleneck(12), torch.randn(4, 12)
    distance = float(latent_distance(bottleneck, features, features.clone(), noise))
    assert (distance == 0.0) is zero


def test_latent_distance_reaches_the_student_only():
    torch.manual_seed(0)
    bottleneck = InformationBottleneck(12)
    ours, theirs = torch.randn(4, 12, requires_grad=True), torch.randn(4, 12, requires_grad=True)
    latent_distance(bottleneck, ours, theirs).backward()
    assert ours.grad.abs().sum() > 0 and theirs.grad is None
    assert all(parameter.grad is None for parameter in bottleneck.parameters())
    latent_distance(bottleneck, ours, theirs, frozen=False).backward()  # the repository's way
    assert theirs.grad is None and all(p.grad is not None for p in bottleneck.encoder.parameters())


def test_without_bottleneck_the_means_themselves_are_compared():
    assert float(whole_map_distance(torch.zeros(2, 4), torch.full((2, 4), 0.5))) == 0.5


# --- safety --------------------------------------------------------------------------------------------------------------


def test_proximity_of_one_obstacle_at_three_metres():
    obstacles = NO_OBSTACLES.clone()
    assert safety.proximity(torch.zeros(1, 1, 2), obstacles).item() == 0.0
    obstacles[0, 0] = torch.tensor([3.0, 0.0])
    assert safety.proximity(torch.zeros(1, 1, 2), obstacles).item() == pytest.approx(math.exp(-0.5)) == pytest.approx(0.6065, abs=1e-4)
    obstacles[0, 7] = torch.tensor([0.0, 0.0])
    assert safety.proximity(torch.zeros(1, 1, 2), obstacles).item() == pytest.approx(1.6065, abs=1e-4)


def test_no_obstacle_gives_a_constant_rank_loss_without_gradient():
    attention = torch.tensor([[0.1, 0.2, 0.3, 0.4]], requires_grad=True)
    loss = safety.ranking_loss(attention, torch.zeros(1, 4), torch.ones(1, 4, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(0.1) and float(attention.grad.abs().sum()) == 0.0


def test_rank_loss_pulls_attention_to_the_nearer_waypoint():
    attention = torch.tensor([[0.5, 0.5]], requires_grad=True)
    loss = safety.ranking_loss(attention, torch.tensor([[0.0, 1.0]]), torch.ones(1, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(0.1) and attention.grad[0, 0] > 0 > attention.grad[0, 1]
    settled = torch.tensor([[0.2, 0.8]])
    assert float(safety.ranking_loss(settled, torch.tensor([[0.0, 1.0]]), torch.ones(1, 2, dtype=torch.bool))) == pytest.approx(0.05)


def test_the_papers_rank_loss_pulls_ties_together():
    attention = torch.tensor([[0.1, 0.4, 0.5]], requires_grad=True)
    mask = torch.ones(1, 3, dtype=torch.bool)
    loss = safety.ranking_loss(attention, torch.zeros(1, 3), mask, 0.0, "minus", "sum")
    assert loss.item() == pytest.approx(0.3 + 0.4 + 0.1)
    loss.backward()
    assert attention.grad[0, 0] < 0 < attention.grad[0, 2]


def test_entropy_of_uniform_attention():
    mask = torch.ones(2, 10, dtype=torch.bool)
    assert float(safety.negative_entropy(torch.full((2, 10), 0.1), mask)) == pytest.approx(-2.3026, abs=1e-4)
    assert float(safety.negative_entropy(torch.eye(10)[:2], mask)) == pytest.approx(0.0, abs=1e-6)


def test_weighted_waypoint_loss_in_both_scales():
    truth, mask = torch.zeros(1, 4, 2), torch.ones(1, 4, dtype=torch.bool)
    given = torch.tensor([[[1.0, 0.0], [0.0, 0.0], [0.0, 0.0], [2.0, 4.0]]])
    equal = safety.fixed_weights("equal", mask)
    assert float(safety.weighted_waypoint_loss(given, truth, equal, mask)) == pytest.approx(given.abs().mean().item())
    assert float(safety.weighted_waypoint_loss(given, truth, equal, mask, "mean")) == pytest.approx(given.abs().mean().item() / 4)
    last = torch.tensor([[0.0, 0.0, 0.0, 1.0]])
    assert float(safety.weighted_waypoint_loss(given, truth, last, mask)) == pytest.approx(3.0)


def test_decaying_weights_are_interfusers():
    row = safety.fixed_weights("decay", torch.ones(1, 10, dtype=torch.bool))[0]
    expected = torch.sqrt((11 - torch.arange(1, 11)) / 10)
    torch.testing.assert_close(row, expected / expected.sum())


def test_missing_waypoints_count_nowhere():
    mask = torch.tensor([[True, True, False], [False, False, False]])
    attention = torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]])
    psi = torch.tensor([[0.0, 1.0, 50.0], [9.0, 1.0, 5.0]])
    assert float(safety.ranking_loss(attention, psi, mask)) == pytest.approx((0.1 + 0.1 + 0 + 0) / 4)
    assert float(safety.negative_entropy(attention, mask)) == pytest.approx(0.25 * math.log(0.25) + 0.75 * math.log(0.75), abs=1e-5)
    given = torch.full((2, 3, 2), 7.0)
    assert float(safety.weighted_waypoint_loss(given, torch.zeros(2, 3, 2), attention, mask)) == pytest.approx(7.0)
    assert safety.fixed_weights("equal", mask).tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]


# --- the attention -------------------------------------------------------------------------------------------------------


def test_coordinates_of_the_bev_picture():
    five = with_coordinates(torch.full((1, 3, 180, 180), 255, dtype=torch.uint8))
    assert five.shape == (1, 5, 180, 180) and float(five[0, :3].max()) == 1.0
    x, y = five[0, 3:]
    assert x[0, 0] == -18 and x[179, 5] == 18 and y[0, 0] == -18 and y[5, 179] == 18
    assert x[120, 60] > 0 > y[120, 60]  # row > 90, column < 90: right and in front


@pytest.mark.parametrize("shrink", sorted({shrink for shrink, _ in DETAILS.values()}))
def test_coordinates_are_averaged_as_the_picture_is(shrink):
    torch.manual_seed(0)
    picture = torch.randint(0, 256, (2, 3, 180, 180), dtype=torch.uint8)
    torch.testing.assert_close(with_coordinates(picture, shrink), torch.nn.functional.avg_pool2d(with_coordinates(picture), shrink))


@pytest.mark.parametrize("detail", list(DETAILS))
def test_attention_is_a_distribution_over_known_waypoints(detail):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    module = WaypointAttention(detail).eval()
    mask = torch.tensor([[True, True, True, False], [False] * 4])
    waypoints = torch.randn(2, 4, 2)
    waypoints[0, 3] = math.nan
    weights = module(torch.rand(2, 3, 180, 180), torch.zeros(2, 7), waypoints, mask)
    assert weights[0].sum().item() == pytest.approx(1.0) and weights[0, 3] == 0 and weights[1].tolist() == [0.0] * 4


def test_measurement_is_command_and_speed():
    assert measurement(torch.eye(6)[[3]], torch.tensor([4.5])).tolist() == [[0, 0, 0, 1, 0, 0, 4.5]]
