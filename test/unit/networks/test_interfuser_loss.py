"""InterFuser's imitation loss: hand-worked values, masks, unknown classes."""

from __future__ import annotations

import math

import pytest
import torch

from kd_planner_ros.networks.interfuser.loss import (
    WEIGHTS, class_loss, imitation_loss, map_loss, waypoint_decay, waypoint_loss)

torch.set_num_threads(1)


def test_decay_by_hand():
    """sqrt(10/10), sqrt(9/10) ... sqrt(1/10), divided by their sum."""
    raw = [math.sqrt((11 - t) / 10) for t in range(1, 11)]
    assert waypoint_decay().tolist() == pytest.approx([value / sum(raw) for value in raw])
    assert float(waypoint_decay().sum()) == pytest.approx(1.0)


def test_waypoint_loss_by_hand():
    """Everywhere 0.3 m off in x: 0.15 a coordinate, weights of sum 1, and the mean's further tenth: 0.015."""
    wanted = torch.zeros(2, 10, 2)
    found = wanted.clone()
    found[..., 0] = 0.3
    known = torch.ones(2, 10, dtype=torch.bool)
    assert float(waypoint_loss(found, wanted, known)) == pytest.approx(0.015)
    known[:, 1:] = False  # only the first point counts, in both samples
    assert float(waypoint_loss(found, wanted, known)) == pytest.approx(0.015 * float(waypoint_decay()[0]))
    known[1] = False  # a sample without any counts as met
    assert float(waypoint_loss(found, wanted, known)) == pytest.approx(0.0075 * float(waypoint_decay()[0]))


def test_map_loss_by_hand():
    """One of 400 cells is occupied. Empty cells: 0.1 off; the occupied one: 0.5 off in probability, 0.2 in channels 1-5,
    0.3 in speed. L_map = 1/2 (1/2 0.1 + 1/2 0.5) + 1/2 0.2 = 0.25."""
    wanted = torch.zeros(1, 400, 7)
    wanted[0, 7, 0] = 0.9
    found = torch.zeros(1, 400, 7)
    found[..., 0] = 0.1
    found[0, 7] = torch.tensor([0.4, 0.2, 0.2, 0.2, 0.2, 0.2, 0.3])
    traffic, velocity = map_loss(found, wanted)
    assert (float(traffic), float(velocity)) == pytest.approx((0.25, 0.3))
    empty = map_loss(found, torch.zeros(1, 400, 7))
    assert float(empty[0]) == pytest.approx(0.25 * (399 * 0.1 + 0.4) / 400) and float(empty[1]) == 0.0


def test_unknown_classes_are_left_out():
    logits = torch.tensor([[0.0, 0.0], [3.0, -3.0]], requires_grad=True)
    assert float(class_loss(logits, torch.tensor([1, -1])).detach()) == pytest.approx(math.log(2.0))
    nothing = class_loss(logits, torch.tensor([-1, -1]))
    nothing.backward()
    assert float(nothing.detach()) == 0.0 and logits.grad.abs().sum() == 0.0


def example():
    wanted = torch.zeros(1, 400, 7)
    wanted[0, 7] = torch.tensor([0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    found = torch.zeros(1, 400, 7)
    found[0, 7] = torch.tensor([0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.4])
    outputs = {"traffic_map": found, "waypoints": torch.full((1, 10, 2), 0.2),
               **{name: torch.zeros(1, 2) for name in ("junction", "light", "stop")}}
    targets = {"traffic_map": wanted, "waypoints": torch.zeros(1, 10, 2), "waypoints_mask": torch.ones(1, 10, dtype=bool),
               **{name: torch.ones(1, dtype=torch.int64) for name in ("junction", "light", "stop")}}
    return outputs, targets


def test_total_by_hand():
    """0.5 L_map(0.1) + 0.05 L_vel(0.4) + 0.2 L_wp(0.02) + (0.05 + 0.1 + 0.01) ln 2."""
    total, parts = imitation_loss(*example())
    assert {name: float(part) for name, part in parts.items()} == pytest.approx(
        {"traffic": 0.1, "velocity": 0.4, "waypoints": 0.02, "junction": math.log(2), "light": math.log(2),
         "stop": math.log(2)})
    assert float(total) == pytest.approx(0.05 + 0.02 + 0.004 + 0.16 * math.log(2))


def test_weights_can_leave_a_part_to_others():
    """PlanKD puts its own, attention-weighted term in the place of the waypoints'."""
    total, parts = imitation_loss(*example(), {**WEIGHTS, "waypoints": 0.0})
    assert float(total) == pytest.approx(0.07 + 0.16 * math.log(2)) and float(parts["waypoints"]) > 0.0


def test_half_precision_is_cast_up():
    outputs, targets = example()
    total, _ = imitation_loss({name: value.bfloat16() for name, value in outputs.items()}, targets)
    assert total.dtype == torch.float32
