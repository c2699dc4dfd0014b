"""AT, ReviewKD and DPK: zero at equality, gradients to the student alone, and they bring the student nearer."""

from dataclasses import replace

import pytest
import torch
from support.training import distiller as build_distiller

from kd_planner_ros.distill.maps import energy, stage_count
from kd_planner_ros.distill.methods.at.loss import activation_loss
from kd_planner_ros.distill.methods.dpk.loss import MOST_TOKENS, DynamicPrior, limit_cells, linear_cka
from kd_planner_ros.distill.methods.reviewkd.loss import Review, context_loss
from kd_planner_ros.distill.teacher import field
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.tcp.config import TCPConfig

STUDENT = TCPConfig(size="3.1m", input_height=32, input_width=64)
TEACHER = replace(STUDENT, size="7.6m")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def test_activation_loss_by_hand():
    student = torch.tensor([[[[1.0, 0.0]]]])
    teacher = torch.tensor([[[[0.0, 2.0]], [[0.0, 1.0]]]])
    # energies (1, 0) and (0, 1): squared differences 1 and 1, mean 1, times 1000 / 2
    assert float(activation_loss([student], [energy(teacher)])) == pytest.approx(500.0)
    assert float(activation_loss([teacher * 3.0], [energy(teacher)])) == pytest.approx(0.0, abs=1e-6)


def test_context_loss_by_hand():
    student, teacher = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    assert float(context_loss(student, teacher)) == pytest.approx(1.0)  # every level's error is 1
    checks = (torch.arange(8)[:, None] + torch.arange(8)[None]) % 2 * 2.0 - 1.0  # vanishes where pooled
    assert float(context_loss(student, checks[None, None])) == pytest.approx(1.0 / 1.875)
    assert float(context_loss(torch.zeros(1, 1, 2, 2), checks[None, None, :2, :2])) == pytest.approx(1.0 / 1.125)


def test_review_gives_the_teachers_shapes_from_deep_to_shallow():
    stages = [torch.randn(2, c, s, 2 * s) for c, s in ((8, 8), (16, 4), (32, 2))]
    review = Review((8, 16, 32), (24, 48, 64))
    out = review(stages)
    assert [tuple(one.shape) for one in out] == [(2, 24, 8, 16), (2, 48, 4, 8), (2, 64, 2, 4)]
    stages[2].requires_grad_(True)
    review(stages)[0].square().sum().backward()
    assert stages[2].grad.abs().sum() > 0  # the deepest stage is taught by the shallowest target


def test_linear_cka_of_equal_and_of_orthogonal_features():
    torch.manual_seed(3)
    one = torch.randn(16, 6)
    turned = one @ torch.linalg.qr(torch.randn(6, 6))[0]
    assert float(linear_cka(one, turned)) == pytest.approx(1.0, abs=1e-5)
    apart = torch.zeros(4, 1), torch.zeros(4, 1)
    apart[0][:2], apart[1][::2] = 1.0, 1.0
    assert float(linear_cka(*apart)) == pytest.approx(0.0, abs=1e-6)


def test_the_priors_share_follows_the_alignment():
    prior = DynamicPrior(4, 6)
    student = torch.randn(8, 4, 2, 4)
    teacher = torch.cat([student, student[:, :2] * 0.0], 1)
    prior([student], [teacher])
    assert float(prior.share) == pytest.approx(0.9 * 0.5 + 0.1 * 1.0, abs=1e-4)
    prior.eval()([student], [teacher])
    assert float(prior.share) == pytest.approx(0.55, abs=1e-4)


def test_three_views_move_the_priors_share_once():
    prior = DynamicPrior(4, 6)
    student = [torch.randn(8, 4, 2, 4) for _ in range(3)]
    prior(student, [torch.cat([one, one[:, :2] * 0.0], 1) for one in student])
    assert float(prior.share) == pytest.approx(0.9 * 0.5 + 0.1 * 1.0, abs=1e-4)


def test_large_maps_are_averaged_before_attention():
    assert limit_cells(torch.zeros(1, 2, 32, 113)).shape == (1, 2, 16, 57) and 16 * 57 <= MOST_TOKENS
    assert limit_cells(torch.zeros(1, 2, 16, 56)).shape == (1, 2, 16, 56)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["at", "reviewkd", "dpk"])
def test_a_rival_brings_the_student_nearer(method):
    network = find_network("tcp")
    student, teacher = network.build_model(STUDENT).train(), network.build_model(TEACHER).eval()
    distiller = build_distiller(method, "tcp", STUDENT, TEACHER).train()
    inputs = {"image": torch.randn(4, 3, 32, 64), "state": torch.zeros(4, 9)}
    with torch.no_grad():
        outputs = teacher(**inputs, features=True)
    fields = {name: field(outputs, name) for name in distiller.teacher_fields}
    optimiser = torch.optim.Adam([*student.parameters(), *distiller.trained()], 1e-3)
    values = []
    for step in range(16):
        torch.manual_seed(step)
        terms = distiller.losses(student(**inputs, features=True), [fields], {}, 1.0)
        loss = sum(terms.values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        values.append(loss.item())
    assert sum(values[-3:]) < 0.8 * sum(values[:3]), values
    assert student.backbone.conv1.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert all(parameter.grad is not None for parameter in distiller.trained())


def test_reviewkd_warms_up_over_the_first_epoch():
    distiller = build_distiller("reviewkd", "tcp", STUDENT, STUDENT).eval()
    stages = {f"stage{i}": torch.randn(2, c, 4, 4) for i, c in ((1, 64), (2, 128), (3, 256))}
    none, half, full = (distiller.losses(stages, [stages], {}, epoch)["review"].item() for epoch in (0.0, 0.5, 3.0))
    assert none == 0.0 and half == pytest.approx(full / 2) and full > 0


def test_dpk_reports_and_keeps_its_share():
    distiller = build_distiller("dpk", "tcp", STUDENT, STUDENT)
    stages = {f"stage{i}": torch.randn(2, c, 4, 4) for i, c in ((2, 128), (3, 256))}
    distiller.losses(stages, [stages], {}, 0.0)
    other = build_distiller("dpk", "tcp", STUDENT, STUDENT)
    other.restore(distiller.state())
    assert float(other.report()["own_share"]) == float(distiller.report()["own_share"]) != 0.5


def test_views_are_taught_one_by_one():
    distiller = build_distiller("at", "tcp", STUDENT, STUDENT)
    outputs = {f"{view}_stage{i}": torch.randn(2, 4, 2, 2 + i) for i in (1, 2, 3) for view in ("left", "front", "right", "lidar")}
    fields = {name: field(outputs, name) for name in distiller.teacher_fields}
    assert fields["energy_stage1"].shape == (2, 18)
    assert float(distiller.losses(outputs, [fields], {}, 0.0)["activation"].detach()) == pytest.approx(0.0, abs=1e-6)
    assert stage_count(outputs) == 3
