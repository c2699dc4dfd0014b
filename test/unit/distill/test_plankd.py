"""PlanKD as the trainer holds it: where gradients go, what moves when, and that it learns."""

import math

import numpy as np
import pytest
import torch
from support.training import distiller, training

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.maps import stage_shapes
from kd_planner_ros.distill.methods.plankd.attention import with_coordinates
from kd_planner_ros.distill.methods.plankd.method import PlanKD
from kd_planner_ros.distill.methods.plankd.switches import PlanKDSwitches, scene_detail
from kd_planner_ros.distill.methods.registry import method_names
from kd_planner_ros.imaging.bev_scene import BevView
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.tcp.config import TCPConfig

CONFIG = TCPConfig(size="3.1m", input_height=32, input_width=64)
QUICK = PlanKDSwitches(bev_detail="quarter")


def switches(network="tcp", **options):
    """PlanKD's switches with these options, the scene encoder's detail fixed."""
    config = CONFIG if network == "tcp" else find_network(network).config({"size": "3.8m"})
    return distiller("plankd", network, config, config, **{"bev_detail": "quarter", **options}).choice


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def scenes(batch=4):
    """Two kinds of scene: an obstacle at the first waypoint, or at the last; the picture shows which."""
    torch.manual_seed(1)
    late = torch.arange(batch) % 2 == 1
    waypoints = torch.stack([torch.zeros(4), -torch.arange(1.0, 5.0) * 4], 1).expand(batch, 4, 2).clone()
    obstacles = torch.full((batch, 15, 2), math.nan)
    obstacles[:, 0] = torch.where(late[:, None], waypoints[:, 3], waypoints[:, 0])
    bev = torch.zeros(batch, 3, 180, 180, dtype=torch.uint8)
    bev[late, :, :, 20:60], bev[~late, :, :, 120:160] = 250, 250
    truth = {"waypoints": waypoints, "waypoints_mask": torch.ones(batch, 4, dtype=torch.bool), "obstacles": obstacles,
             "bev": bev, "measured": torch.zeros(batch, 7), "states": torch.randint(0, 2, (batch, 8))}
    student = {"stage2": torch.randn(batch, 8, 4, 8, requires_grad=True), "waypoints": torch.zeros(batch, 4, 2, requires_grad=True)}
    teacher = {"mean_stage2": torch.randn(batch, 32, requires_grad=True), "waypoints": waypoints + 1.0}
    return student, teacher, truth


def test_terms_and_where_their_gradients_go():
    method, (student, teacher, truth) = PlanKD(32, QUICK), scenes()
    before = [parameter.clone() for parameter in method.bottleneck.parameters()]
    terms = method.losses(student, [teacher], truth, 0.0)
    assert set(terms) == {"feature", "attended", "ranking", "entropy"}
    assert any(not torch.equal(a, b) for a, b in zip(before, method.bottleneck.parameters()))  # its own step
    after = [parameter.clone() for parameter in method.bottleneck.parameters()]
    terms["feature"].backward(retain_graph=True)
    assert student["stage2"].grad.abs().sum() > 0 and teacher["mean_stage2"].grad is None
    assert all(parameter.grad is None for parameter in method.bottleneck.parameters())
    assert all(torch.equal(a, b) for a, b in zip(after, method.bottleneck.parameters()))
    assert all(parameter.grad is None for parameter in method.attention.parameters())
    for name in ("ranking", "entropy", "attended"):
        method.zero_grad(set_to_none=True)
        terms[name].backward(retain_graph=True)
        assert method.attention.query.weight.grad.abs().sum() > 0, name
    assert student["waypoints"].grad.abs().sum() > 0
    assert set(map(id, method.trained())) == set(map(id, method.attention.parameters()))


@pytest.mark.slow
def test_attention_learns_where_the_obstacle_is():
    method, (student, teacher, truth) = PlanKD(32, PlanKDSwitches(bev_detail="quarter", use_bottleneck=False)), scenes()
    optimiser = torch.optim.Adam(method.trained(), 1e-3)
    for _ in range(25):
        terms = method.losses(student, [teacher], truth, 0.0)
        optimiser.zero_grad()
        (terms["ranking"] * 50.0).backward()
        optimiser.step()
    weights = method.attention(truth["bev"], truth["measured"], truth["waypoints"], truth["waypoints_mask"])
    assert (weights[0::2].argmax(1) == 0).all() and (weights[1::2].argmax(1) == 3).all(), weights


def test_the_waypoint_loss_pulls_at_the_attention_as_much_as_asked():
    student, teacher, truth = scenes()
    gradients = {}
    for pull in (1.0, 0.02, 0.0):
        torch.manual_seed(3)
        method = PlanKD(32, PlanKDSwitches(bev_detail="quarter", use_bottleneck=False, pull=pull))
        method.losses(student, [teacher], truth, 0.0)["attended"].backward()
        gradients[pull] = method.attention.query.weight.grad
    torch.testing.assert_close(gradients[0.02], 0.02 * gradients[1.0], rtol=1e-3, atol=1e-7)
    assert gradients[1.0].abs().sum() > 0 and gradients[0.0].abs().sum() == 0


def test_ablations_leave_out_what_they_say():
    student, teacher, truth = scenes()
    no_entropy = PlanKD(32, switches(entropy=False))
    assert set(no_entropy.losses(student, [teacher], truth, 0.0)) == {"feature", "attended", "ranking"}
    no_attention = PlanKD(32, switches(safe_attention=False))
    assert no_attention.attention is None and no_attention.needs == ("states",)
    terms = no_attention.losses(student, [teacher], truth, 0.0)
    assert set(terms) == {"feature", "attended"}
    error = (student["waypoints"] - truth["waypoints"]).abs().mean()
    assert terms["attended"].item() == pytest.approx(error.item())  # TCP's own mean L1
    assert switches("interfuser", safe_attention=False).weighting == "decay"
    no_bottleneck = PlanKD(32, switches(bottleneck=False))
    assert no_bottleneck.bottleneck is None and "states" not in no_bottleneck.needs and not no_bottleneck.own_optimisers()
    gap = (student["stage2"].mean(1).flatten(1) - teacher["mean_stage2"]).abs().mean()
    assert no_bottleneck.losses(student, [teacher], truth, 0.0)["feature"].item() == pytest.approx(0.5 * gap.item())


def test_networks_have_their_own_weights():
    tcp, interfuser = switches("tcp"), switches("interfuser")
    assert (tcp.feature, tcp.ranking, tcp.entropy, tcp.scale, tcp.waypoints, tcp.pull) == (0.5, 0.1, 0.05, "sum", 1.0, 0.02)
    assert (interfuser.feature, interfuser.ranking, interfuser.entropy, interfuser.scale, interfuser.waypoints) == (
        0.1, 0.1, 0.005, "mean", 0.2)
    assert switches(latent_noise="none").noise == "none" and switches(feature_weight=0.25).feature == 0.25
    with pytest.raises(ConfigError, match="noise out of"):
        switches(latent_noise="loud")


def test_repository_switches_reach_the_losses():
    method = PlanKD(32, switches(freeze_bottleneck=False, rank_loss="paper", latent_noise="independent", teacher_waypoints=1.0))
    student, teacher, truth = scenes()
    terms = method.losses(student, [teacher], truth, 0.0)
    assert "teacher_waypoints" in terms and method.teacher_fields == ("mean_stage2", "waypoints")
    terms["feature"].backward()
    assert all(parameter.grad is not None for parameter in method.bottleneck.encoder.parameters())
    assert len(method.trained()) == len(list(method.parameters()))


def test_state_goes_on_bit_identically():
    def run(method, steps):
        for step in steps:
            torch.manual_seed(100 + step)
            student, teacher, truth = scenes()
            method.losses(student, [teacher], truth, 0.0)
        return method

    torch.manual_seed(5)
    whole = run(PlanKD(32, QUICK), range(4))
    torch.manual_seed(5)
    half = run(PlanKD(32, QUICK), range(2))
    torch.manual_seed(77)
    rest = PlanKD(32, QUICK)
    rest.restore(half.state())
    run(rest, range(2, 4))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, rest.state_dict()[name]), name


def test_a_broken_feature_moves_nothing_and_shows():
    method, (student, teacher, truth) = PlanKD(32, QUICK), scenes()
    before = [parameter.clone() for parameter in method.bottleneck.parameters()]
    with torch.no_grad():
        student["stage2"][0, 0, 0, 0] = math.nan
    terms = method.losses(student, [teacher], truth, 0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, method.bottleneck.parameters()))
    assert math.isnan(terms["feature"].item()) and math.isnan(method.report()["bottleneck"].item())


@pytest.mark.slow
def test_shapes_and_details_come_from_the_networks():
    assert stage_shapes("tcp", TCPConfig(size="25.8m"))[1] == ((128, 32, 113),)
    assert stage_shapes("tcp", TCPConfig(size="13.9m", input_height=128, input_width=448))[1] == ((128, 16, 56),)
    assert len(stage_shapes("tcp", CONFIG)) == 3
    assert scene_detail("tcp", TCPConfig(size="13.9m")) == "full"
    assert scene_detail("tcp", TCPConfig(size="3.1m", input_height=128, input_width=448)) == "quarter"
    small = [scene_detail("tcp", TCPConfig(size=size, input_height=64, input_width=224)) for size in ("13.9m", "7.6m", "3.1m")]
    assert small == ["quarter", "sixth", "eighth"]
    assert distiller("plankd", "tcp", CONFIG, CONFIG).bottleneck.inputs == 32
    paper = TCPConfig(size="13.9m")
    assert distiller("plankd", "tcp", paper, paper).bottleneck.inputs == 3616


def test_interfusers_three_views_make_1296_cells():
    config = find_network("interfuser").config({"size": "3.8m"})
    stages = stage_shapes("interfuser", config)
    assert [view[1:] for view in stages[1]] == [(16, 16), (28, 28), (16, 16)] and len(stages) == 3  # left, front, right
    assert distiller("plankd", "interfuser", config, config).bottleneck.inputs == 1296


def test_scene_and_coordinate_channels_agree():
    row, column = BevView().pixels(np.array([5.0, -2.0])).astype(int)  # 5 m ahead, 2 m to the right, in base_link
    x, y = with_coordinates(torch.zeros(1, 3, 180, 180))[0, 3:, row, column].tolist()
    assert row > 90 > column and (x, y) == pytest.approx((2.0, -5.0), abs=0.2)  # frame P: x right, y backward


TESTED_ELSEWHERE = ("scene_motion", "instance_imitation", "logits", "feature_imitation")
"""test_scene_motion, test_distilldrive_loss, test_logits and test_feature_imitation build these."""


def test_methods_by_name():
    assert method_names() == ("imitation", "at", "dpk", "feature_imitation", "instance_imitation", "logits", "plankd", "reviewkd",
                              "scene_motion")
    for method in method_names():
        if method not in TESTED_ELSEWHERE:
            assert distiller(method, "tcp", CONFIG, CONFIG).name == method
        with pytest.raises(ConfigError, match="--teacher") if method != "imitation" else pytest.MonkeyPatch.context():
            training(bags=(), method=method)
    with pytest.raises(ConfigError, match="method out of"):
        training(bags=(), method="osmosis")
