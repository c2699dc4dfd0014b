"""Distillation on the scores of the next token: its direction, and which teachers it takes."""

from types import SimpleNamespace

import pytest
import torch

from kd_planner_ros.core.errors import CardError, ConfigError
from kd_planner_ros.distill.methods.logits.loss import token_divergence
from kd_planner_ros.distill.methods.logits.method import require_taught
from kd_planner_ros.distill.methods.registry import find_method


def test_the_gradient_is_that_of_the_teacher_s_divergence_from_the_student():
    """T / N (p_S - p_T), on the tokens that are known alone."""
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 3, 7, requires_grad=True), torch.randn(2, 3, 7, requires_grad=True)
    known = torch.tensor([[True, True, False], [True, False, False]])
    token_divergence(student, teacher, known, 2.0).backward()
    wanted = 2.0 / 3 * ((student / 2).softmax(-1) - (teacher / 2).softmax(-1)).detach() * known[..., None]
    torch.testing.assert_close(student.grad, wanted)
    assert teacher.grad is None
    assert token_divergence(student, student.detach(), known, 2.0).item() == pytest.approx(0.0, abs=1e-6)


def card(**scores):
    return SimpleNamespace(name="wise", scores={"validation": scores} if scores else {})


def test_a_teacher_that_has_not_learnt_to_plan_is_refused():
    require_taught(card(l2_m=2.0, constant_velocity_m=3.0))
    for bad in (card(), card(l2_m=3.0, constant_velocity_m=3.0), card(l2_m=float("nan"), constant_velocity_m=3.0), card(l2_m=1.0)):
        with pytest.raises(CardError, match="weak-teacher"):
            require_taught(bad)


def test_it_is_for_networks_whose_answers_are_tokens():
    accepts = find_method("logits").accepts
    assert accepts("v2x_vlm", ["v2x_vlm"]) == ""
    assert "v2x_vlm" in accepts("tcp", ["tcp"]) and accepts("v2x_vlm", []) and accepts("v2x_vlm", ["tcp"])
    with pytest.raises(ConfigError, match="--teacher"):
        from support.training import training
        training(bags=(), network="v2x_vlm", size="nano", method="logits")
