"""The auxiliary planning-state loss against hand-computed values."""

import math

import pytest
import torch

from kd_planner_ros.core.planning_states import STATE_CLASSES
from kd_planner_ros.networks.blocks.state_head import StateHead, state_loss


def test_uniform_logits_cost_the_mean_log_of_the_class_counts():
    states = torch.zeros(4, 8, dtype=torch.long)
    expected = (math.log(3) + 7 * math.log(2)) / 8
    assert float(state_loss(torch.zeros(4, sum(STATE_CLASSES)), states)) == pytest.approx(expected)


def test_unrecorded_states_count_for_nothing():
    logits = torch.zeros(2, sum(STATE_CLASSES), requires_grad=True)
    states = torch.full((2, 8), -1)
    loss = state_loss(logits, states)
    loss.backward()
    assert float(loss) == 0.0 and float(logits.grad.abs().sum()) == 0.0
    states[0, 1] = 1
    assert float(state_loss(torch.zeros(2, sum(STATE_CLASSES)), states)) == pytest.approx(math.log(2))


def test_a_confident_right_answer_costs_less_than_a_wrong_one():
    logits = torch.zeros(1, sum(STATE_CLASSES))
    logits[0, 2] = 5.0
    right, wrong = torch.tensor([[2] + [-1] * 7]), torch.tensor([[0] + [-1] * 7])
    assert float(state_loss(logits, right)) < 0.1 < float(state_loss(logits, wrong))


def test_the_head_sees_one_bright_cell():
    torch.manual_seed(0)
    head, dark, bright = StateHead(4), torch.zeros(1, 4, 4, 14), torch.zeros(1, 4, 4, 14)
    bright[0, 2, 1, 3] = 10.0
    assert head(dark).shape == (1, sum(STATE_CLASSES))
    assert float((head(bright) - head(dark)).abs().max()) > 0.1
