"""Losses of DistillDrive by hand-computed cases: pairing, focal loss, orders of lines, the choice, the latent variable, reinforcement."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from kd_planner_ros.core.errors import CardError
from kd_planner_ros.core.timeline import Series, Timeline
from kd_planner_ros.distill.methods.base import MethodContext
from kd_planner_ros.distill.methods.instance_imitation.config import Config, accepts
from kd_planner_ros.distill.methods.instance_imitation.method import VOCABULARY, InstanceImitation, build
from kd_planner_ros.networks.distilldrive.config import CONFIGURATIONS, DistillDriveConfig
from kd_planner_ros.networks.distilldrive.generative import Generative, posterior
from kd_planner_ros.networks.distilldrive.kmeans import first_boxes, first_lines, kmeans, motion_vocabulary, plan_vocabulary
from kd_planner_ros.networks.distilldrive.loss import (
    box_losses,
    focal,
    is_closed,
    line_distances,
    line_losses,
    orders,
    paired,
    score_costs,
    shares,
)
from kd_planner_ros.networks.distilldrive.plan_loss import (
    Taught,
    choice_target,
    motion_losses,
    offsets_of,
    plan_losses,
    start_weights,
    taught_tokens,
    with_future,
)
from kd_planner_ros.networks.distilldrive.processor import build_processor
from kd_planner_ros.networks.distilldrive.reinforcement import Reinforcement, rewards
from kd_planner_ros.networks.distilldrive.task import statuses
from kd_planner_ros.networks.distilldrive.training import DistillDriveTask, TrainOptions
from kd_planner_ros.networks.training import Stage

CONFIG = DistillDriveConfig()
STRAIGHT = 2


# --- perception ------------------------------------------------------------------------------------------------------

def test_the_focal_loss_is_that_of_its_paper():
    found = focal(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]))
    assert found.tolist() == pytest.approx([0.25 * 0.25 * math.log(2.0), 0.75 * 0.25 * math.log(2.0)])
    assert float(focal(torch.tensor(8.0), torch.tensor(1.0))) < 1e-6
    costs = score_costs(torch.tensor([[0.0, 5.0]]), torch.tensor([1, 0]))
    assert costs[0, 0] < costs[0, 1], "it is called by kind 1"


def test_instances_are_paired_at_the_least_cost():
    rows, columns = paired(torch.tensor([[1.0, 5.0], [0.0, 1.0], [9.0, 9.0]]))
    assert dict(zip(rows.tolist(), columns.tolist(), strict=True)) == {0: 0, 1: 1}, "2 in all; 0 -> 1 and 1 -> 0 cost 5"
    assert paired(torch.zeros(3, 0))[0].tolist() == [] and len(paired(torch.full((2, 2), torch.nan))[0]) == 2


def boxes(*places):
    found = torch.zeros(len(places), 10)
    found[:, 7] = 1.0
    found[:, :2] = torch.tensor(places)
    return found


def test_boxes_learn_where_they_are_sure_and_nobody_is_no_one():
    outputs = {"boxes": boxes((5.0, 0.0), (20.0, 3.0))[None], "agent_anchors_0": boxes((5.0, 0.0), (20.0, 3.0))[None],
               "agent_logits_0": torch.full((1, 2, 7), -9.0)}
    outputs["agent_logits_0"][0, 1, 0] = 2.0
    truth = torch.zeros(1, 3, 10)
    truth[0, 1] = boxes((20.5, 3.0))[0]
    targets = {"boxes": truth, "kinds": torch.tensor([[-1, 0, -1]])}
    parts, pairs = box_losses(outputs, targets)
    assert [one.tolist() for one in pairs[0]] == [[1], [1]]
    assert float(parts["agent_box"]) == pytest.approx(2.0 * 0.5), "half a metre, weight 2"
    sure = 1.0 / (1.0 + math.exp(-2.0))
    assert float(parts["agent_score"]) == pytest.approx(0.25 * (1.0 - sure) ** 2 * -math.log(sure), rel=1e-3)
    outputs["agent_logits_0"][0, 1, 0] = -9.0
    assert float(box_losses(outputs, targets)[0]["agent_box"]) == 0.0, "below 0.05 the place is not taught"
    nobody = box_losses(outputs, targets | {"kinds": torch.full((1, 3), -1)})
    assert float(nobody[0]["agent_box"]) == 0.0 and nobody[1][0][0].numel() == 0


def test_lines_fit_in_any_order_that_says_the_same():
    line = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    told = orders(torch.stack([line, line]), torch.tensor([True, False]))
    assert told.shape == (2, 6, 4, 2) and len({tuple(one.flatten().tolist()) for one in told[0]}) == 6
    assert len({tuple(one.flatten().tolist()) for one in told[1]}) == 2
    found = line_distances(line.roll(-1, 0)[None].flatten(1), line[None], torch.tensor([False]))
    turned = torch.cat([line[1:], line[1:2]])
    assert float(line_distances(turned[None].flatten(1), line[None], torch.tensor([True]))) == 0.0 < float(found)
    apart = line_distances((line + torch.tensor([0.1, 0.0]))[None].flatten(1), line[None], torch.tensor([False]))
    assert float(apart) == pytest.approx(0.1 - 0.005), "a tenth in x, beyond the squared part"
    assert shares(torch.tensor([[30.0, 15.0], [-2.0, -15.0]]), CONFIG).tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert is_closed(torch.stack([line, line]), torch.tensor([0, 1])).tolist() == [True, False], "crossings alone"


def test_without_lines_every_query_learns_that_there_is_none():
    outputs = {"lines": torch.zeros(1, 2, 20), "line_anchors_0": torch.zeros(1, 2, 20), "line_logits_0": torch.zeros(1, 2, 6)}
    targets = {"lines": torch.zeros(1, 4, 10, 2), "line_kinds": torch.full((1, 4), -1)}
    parts = line_losses(outputs, targets, CONFIG)
    assert float(parts["line_score"]) == pytest.approx(12 * 0.75 * 0.25 * math.log(2.0)) and float(parts["line_place"]) == 0.0
    targets["line_kinds"][0, 0] = 1
    targets["lines"][0, 0, :, 0] = torch.linspace(0.0, 9.0, 10)
    parts = line_losses(outputs, targets, CONFIG)
    each = (torch.linspace(0.0, 9.0, 10) / 32.0)
    wanted = torch.where(each < 0.01, 50.0 * each ** 2, each - 0.005).mean()
    assert float(parts["line_place"]) == pytest.approx(float(wanted), rel=1e-4)


# --- planner ---------------------------------------------------------------------------------------------------------

def planned(speeds=(1.0, 2.0, 4.0, 6.0, 8.0, 9.0), **more):
    """Answers whose straight trajectories drive at these speeds, all others stand."""
    offsets = torch.zeros(1, 18, 6, 2)
    offsets[0, 12:, :, 0] = 0.5 * torch.tensor(speeds)[:, None]
    return {"offsets": offsets, "scores": torch.zeros(1, 18), "status": torch.zeros(1, 10), **more}


def driven(speed=4.0, **more):
    way = torch.zeros(1, 6, 2)
    way[0, :, 0] = 0.5 * speed * torch.arange(1, 7)
    return {"plan": way, "plan_known": torch.tensor([True]), "command": torch.tensor([STRAIGHT]), "status": torch.zeros(1, 10),
            "next_status": torch.zeros(1, 10), **more}


def test_the_nearest_trajectory_of_the_command_learns():
    outputs = planned()
    outputs["offsets"].requires_grad_(True)
    parts = plan_losses(outputs, driven(4.4))
    assert float(parts["plan"].detach()) == pytest.approx(0.2 / 2.0), "0.2 m a step too short in x, nothing in y"
    assert float(plan_losses(outputs, driven(4.4), space="cumulative")["plan"].detach()) == pytest.approx(0.2 * 3.5 / 2.0)
    assert float(parts["plan_score"]) == pytest.approx((0.25 + 5 * 0.75) * 0.25 * math.log(2.0) / 6.0)
    parts["plan"].backward()
    learning = outputs["offsets"].grad.abs().sum((0, 2, 3)).nonzero().flatten().tolist()
    assert learning == [14], "trajectory 2 of straight on"


def test_the_choice_is_taught_as_a_distribution():
    target = choice_target(torch.tensor([[3.0, 0.5, 9.0, 1.0, 2.0, 8.0]]))
    assert target[0].tolist() == pytest.approx([1e-10, 0.9, 1e-10, 0.05, 0.05, 1e-10])
    assert float(target.sum()) == pytest.approx(1.0, abs=1e-6)
    outputs = planned()
    wrong = float(plan_losses(outputs, driven(), score="distribution")["plan_score"])
    near = torch.tensor([1.0, 2.0, 4.0, 6.0, 8.0, 9.0])
    outputs["scores"] = torch.zeros(1, 18)
    outputs["scores"][0, 12:] = choice_target((near - 4.0).abs()[None])[0].log()
    right = float(plan_losses(outputs, driven(), score="distribution")["plan_score"])
    assert right == pytest.approx(0.0, abs=1e-5) and wrong > 0.1


def test_a_start_weighs_more_in_trajectory_and_choice():
    both = {name: torch.cat([one, one]) for name, one in driven(4.4).items()}
    both["plan"][1] = driven(8.0)["plan"][0]
    outputs = {name: torch.cat([one, one]) for name, one in planned().items()}
    plain, one, other = (plan_losses(outputs, both | {"weight": torch.tensor(given)}) for given in ([1.0, 1.0], [1.0, 0.0], [0.0, 1.0]))
    mixed = plan_losses(outputs, both | {"weight": torch.tensor([1.0, 3.0])})
    assert float(plan_losses(outputs, both)["plan"]) == pytest.approx(float(plain["plan"]))
    assert float(one["plan"]) != pytest.approx(float(other["plan"]))
    for name in ("plan", "plan_score"):
        assert float(mixed[name]) == pytest.approx((float(one[name]) + 3.0 * float(other[name])) / 4.0), name


def test_frames_before_a_start_are_those_of_a_standing_car_that_moves_off():
    plan = torch.cat([driven(speed)["plan"] for speed in (3.0, 0.1, 6.0, 3.0)])
    plan[3] = torch.nan
    assert start_weights(torch.tensor([0.0, 0.0, 6.0, 0.0]), plan, 5.0).tolist() == [5.0, 1.0, 1.0, 1.0]


def test_what_is_unknown_teaches_nothing():
    targets = driven(plan_known=torch.tensor([False]))
    targets["plan"][0, 3] = torch.nan
    targets["status"][0] = torch.nan
    parts = plan_losses(planned(), targets)
    assert [float(one) for one in parts.values()] == [0.0, 0.0, 0.0]
    some = driven()
    some["status"][0] = torch.tensor([1.0, *[torch.nan] * 9])
    assert float(plan_losses(planned(), some)["status"]) == 1.0


def test_road_users_learn_their_nearest_way_over_what_is_known():
    ways = torch.zeros(1, 2, 6, 6, 2)
    ways[0, 1, :, :, 0] = 0.5 * torch.tensor([0.0, 2.0, 4.0, 6.0, 8.0, 9.0])[:, None]
    future = torch.full((1, 3, 6, 2), torch.nan)
    future[0, 2, :3] = torch.tensor([[12.0, 1.0], [14.0, 1.0], [16.0, 1.0]])  # 4 m/s from (10, 1)
    truth = torch.zeros(1, 3, 10)
    truth[0, 2, :2] = torch.tensor([10.0, 1.0])
    targets = {"future": future, "boxes": truth, "kinds": torch.tensor([[-1, 1, 0]])}
    pairs = [(torch.tensor([1, 0]), torch.tensor([2, 1]))]
    parts = motion_losses({"agent_offsets": ways, "agent_scores": torch.zeros(1, 2, 6)}, targets, pairs)
    assert float(parts["motion"]) == 0.0, "mode 2 fits, and of the other user no step is known"
    assert float(parts["motion_score"]) == pytest.approx((0.25 + 5 * 0.75) * 0.25 * math.log(2.0))


class Parts(DistillDriveTask):
    """Each part of the loss is 1."""

    def parts(self, outputs, targets, wanted):
        return dict.fromkeys(sorted(wanted), torch.ones(()))


def test_a_stage_may_weigh_a_part_more_and_a_ramp_may_not():
    task = Parts(build_processor(CONFIG), TrainOptions(frozen_perception=True))
    outputs, targets = {"offsets": torch.zeros(1, 18, 6, 2)}, driven()
    heavy = Stage(losses={"plan": 5.0, "status": 0.5}, ramps={"latent": (0.0, 5.0)})
    assert float(task.loss(outputs, targets, {}, heavy, heavy.weights(task.weights, 1.0)).total) == 5.0 + 0.5 + 1.0
    assert float(task.loss(outputs, targets, {}, heavy, heavy.weights(task.weights, 0.1)).total) == 5.0 + 0.5 + 0.5
    assert float(task.loss(outputs, targets, {}).total) == pytest.approx(sum(task.weights.values()))


# --- latent variable -------------------------------------------------------------------------------------------------

def test_only_what_knows_its_future_is_drawn_from_the_posterior():
    spec = CONFIGURATIONS[1].spec
    torch.manual_seed(0)
    part, seer = Generative(spec).eval(), posterior(spec, 6)
    outputs = planned(tokens=torch.randn(1, 20, spec.width), agent_modes=torch.zeros(1, 2, 6, spec.width))
    future = torch.full((1, 3, 6, 2), torch.nan)
    future[0, 0] = torch.tensor([[float(step), 0.0] for step in range(1, 7)])
    targets = driven(boxes=torch.zeros(1, 3, 10), kinds=torch.tensor([[0, 0, -1]]), future=future)
    pairs = [(torch.tensor([1, 0]), torch.tensor([0, 1]))]
    taught = taught_tokens(outputs, targets, pairs, 6, every=False)
    assert taught.known[0].nonzero().flatten().tolist() == [1, 2 + 14], "the user with a future, and the nearest straight trajectory"
    assert taught.future[0, 1].tolist() == [1.0, 0.0] * 6 and taught.future[0, 16].tolist() == [2.0, 0.0] * 6
    assert taught_tokens(outputs, targets, pairs, 6, every=True).known.sum() == 19
    moved, apart = with_future(part, seer, outputs["tokens"], taught)
    assert moved.shape == outputs["tokens"].shape and float(apart.detach()) > 0.0
    nobody = with_future(part, seer, outputs["tokens"], Taught(torch.zeros(1, 20, dtype=torch.bool), taught.future))
    assert float(nobody[1].detach()) == 0.0


# --- reinforcement ---------------------------------------------------------------------------------------------------

def state(speed=4.0):
    found = torch.zeros(1, 10)
    found[0, 6] = speed
    return found


def test_rewards_lie_between_nothing_and_one():
    way = offsets_of(driven()["plan"])
    assert rewards(state(), state(), way, way)[0].tolist() == pytest.approx([1.0] * 6)
    found = rewards(state(4.0), state(5.0), way, way + torch.tensor([0.1, 0.0]))[0].tolist()
    assert found == pytest.approx([math.exp(one) for one in (-0.1, -0.4, 0.0, -0.05, -0.05, -0.3)], rel=1e-5)
    assert rewards(state(), state(25.0), way, way)[0, 2] == 0.0 and rewards(state(), state(-1.0), way, way)[0, 2] == 0.0


@pytest.mark.parametrize("form", ["repo", "td"])
def test_the_gradient_reaches_the_status_and_not_the_way(form):
    torch.manual_seed(0)
    term = Reinforcement(form)
    status, way = state().requires_grad_(True), offsets_of(driven()["plan"]).requires_grad_(True)
    truth = offsets_of(driven()["plan"])
    term(state(4.0), state(4.0), status, truth, way, torch.tensor([STRAIGHT])).backward()
    assert status.grad.abs().sum() > 0.0 and way.grad is None
    unknown = torch.full((1, 10), torch.nan)
    assert float(term(unknown, unknown, status, truth, way, torch.tensor([0])).detach()) == 0.0


@pytest.mark.parametrize("form", ["repo", "td"])
def test_a_status_without_a_steering_angle_still_teaches(form):
    """Public data sets have none: the networks read 0 there, and the reward counts what is known."""
    torch.manual_seed(0)
    term, way, command = Reinforcement(form), offsets_of(driven()["plan"]), torch.tensor([STRAIGHT])
    partly, off = state(4.0), state(4.0)
    partly[0, 9], off[0, 9] = torch.nan, 7.0
    assert rewards(partly, off, way, way)[0].tolist() == pytest.approx([1.0] * 6), "nothing is wrong of what is known"
    with torch.no_grad():
        found = term(partly, partly, state(4.0), way, way, command)
    assert float(found) > 0.0 and torch.equal(found, term(state(4.0), state(4.0), state(4.0), way, way, command).detach())


def test_the_slow_network_follows_slowly():
    torch.manual_seed(0)
    term = Reinforcement("td")
    with torch.no_grad():
        term.value[0].weight.add_(1.0)
    before = term.other[0].weight.clone()
    term.follow()
    assert torch.allclose(term.other[0].weight - before, torch.full_like(before, 0.005), atol=1e-6)
    assert not any(one.requires_grad for one in term.other.parameters())


def test_a_value_is_the_reward_and_what_comes_after():
    torch.manual_seed(0)
    term, way = Reinforcement("td"), offsets_of(driven()["plan"])
    wanted = torch.tensor([0.0, 0.0, 1.0])
    with torch.no_grad():
        best, own = term.other(state(5.0)).max(), term.value(state())[0]
        found = term(state(), state(5.0), state(), way, way, torch.tensor([STRAIGHT]))
        ended = term(state(), torch.full((1, 10), torch.nan), state(), way, way, torch.tensor([STRAIGHT]))
        cloned = 0.5 * (own - wanted).abs().mean()
        assert float(found) == pytest.approx(float(cloned + (own[STRAIGHT] - (1.0 + 0.95 * best)).abs()), rel=1e-5)
        assert float(ended) == pytest.approx(float(cloned + (own[STRAIGHT] - 1.0).abs()), rel=1e-5)


# --- vocabulary, status ----------------------------------------------------------------------------------------------

def test_centres_are_those_of_the_clusters():
    points = np.concatenate([np.random.default_rng(one).normal(place, 0.01, (20, 2)) for one, place in enumerate((1.0, 5.0, 9.0))])
    found = kmeans(points, 3)
    assert found[:, 0] == pytest.approx([1.0, 5.0, 9.0], abs=0.02) and np.array_equal(found, kmeans(points, 3))
    assert kmeans(points[:2], 3) is None and kmeans(np.ones((9, 2)), 2) is None and kmeans(np.full((9, 2), np.nan), 2) is None


@given(st.integers(1, 5), st.integers(0, 40), st.integers(0, 9))
def test_every_centre_lies_among_the_points(count, many, seed):
    points = np.random.default_rng(seed).uniform(-3.0, 3.0, (many, 2))
    found = kmeans(points, count, seed)
    if found is not None:
        assert found.shape == (count, 2) and (found >= points.min(0)).all() and (found <= points.max(0)).all()


def test_a_command_with_few_ways_keeps_its_first_anchors():
    first = np.arange(3 * 6 * 4, dtype=np.float32).reshape(3, 6, 2, 2)
    places = np.random.default_rng(0).uniform(0.0, 9.0, (30, 2, 2))
    found = plan_vocabulary(places, np.array([2] * 28 + [0] * 2), first)
    assert np.array_equal(found[:2], first[:2]) and not np.array_equal(found[2], first[2])
    boxes_ = np.zeros((30, 10))
    boxes_[:, 6] = 1.0  # heading along y
    ways = np.stack([np.zeros((30, 2)), np.cumsum(np.random.default_rng(1).uniform(1.0, 5.0, (30, 2)), 1)], -1)
    own = motion_vocabulary(boxes_, np.zeros(30, int), ways, np.zeros((2, 6, 2, 2)))
    assert (own[0, :, :, 0] > 0.9).all() and np.abs(own[0, :, :, 1]).max() < 1e-6, "along the heading"
    assert np.array_equal(own[1], own[0]), "a kind without ways takes those of all"


def test_first_boxes_and_lines_lie_where_things_were():
    places = np.random.default_rng(0).uniform(0.0, 40.0, (50, 10))
    first = np.full((4, 10), 0.5)
    found = first_boxes(places, first)
    assert (found[:, 3:] == 0.5).all() and found[:, 0].min() > 2.0 and len(np.unique(found[:, 0])) == 4
    shape = np.tile(np.stack([np.linspace(-4.0, 4.0, 5), np.zeros(5)], 1).reshape(1, -1), (3, 1))
    lines = np.random.default_rng(1).uniform(0.0, 9.0, (20, 5, 2))
    moved = first_lines(lines, shape).reshape(3, 5, 2)
    assert np.ptp(moved[..., 0], axis=1) == pytest.approx([8.0] * 3) and (moved.mean(1) > 0.0).all()
    assert np.array_equal(first_lines(lines[:1], shape), shape.astype(np.float32))


def test_the_status_is_of_the_ego_and_its_steering():
    ego = np.zeros((2, 10))
    ego[:, 6], ego[:, 7], ego[:, 8] = 5.0, 0.2, 0.5
    stamps = np.array([0, 500_000_000])
    timeline = Timeline(Series(stamps, ego), Series(stamps[:1], np.array([[0.3, 0.5, 0.0]])))
    found = statuses(timeline, stamps, 70.0)
    assert found[0].tolist() == pytest.approx([0.5, 1.0, 0.0, 0.0, 0.0, 0.2, 5.0, 0.0, 0.0, 0.5 * math.radians(70.0)], rel=1e-5)
    assert np.isnan(found[1, 9]) and np.isfinite(found[1, :9]).all() and np.isnan(statuses(timeline, np.array([10**10]), 70.0)[0, 6])


# --- distillation ----------------------------------------------------------------------------------------------------

def answers(seed):
    rng = torch.Generator().manual_seed(seed)
    return {"queries": torch.randn(2, 18, 4, generator=rng), "scores": torch.randn(2, 18, generator=rng),
            "offsets": torch.randn(2, 18, 6, 2, generator=rng), "words": torch.randn(2, 18, 4, generator=rng)}


def method(**options):
    found = InstanceImitation(Config(**options), 4, {})
    found.adapter = nn.Identity()
    return found


def test_each_instance_follows_its_own():
    teacher, truth = answers(0), {"command": torch.tensor([0, 2])}
    every = {"distribution_weight": 0.1, "trajectory_weight": 0.1, "vocabulary_weight": 1.0}
    same = method(**every).losses(teacher, [teacher], truth, 0.0)
    assert set(same) == {"instances", "distribution", "trajectories", "words"}
    assert [float(one) for one in same.values()] == pytest.approx([0.0] * 4, abs=1e-6)
    shuffled = {name: one.roll(1, 1) for name, one in teacher.items()}
    assert all(float(one) > 0.0 for one in method(**every).losses(shuffled, [teacher], truth, 0.0).values()), "k follows k"
    moved = {**teacher, "queries": teacher["queries"] + 2.0, "offsets": teacher["offsets"] - 3.0}
    found = method(trajectory_weight=0.1).losses(moved, [teacher], truth, 0.0)
    assert set(found) == {"instances", "trajectories"}
    assert float(found["instances"]) == pytest.approx(0.5 * 4.0) and float(found["trajectories"]) == pytest.approx(0.3)


def test_one_command_can_be_distilled_alone():
    teacher, truth = answers(0), {"command": torch.tensor([0, 2])}
    student = {name: one.clone() for name, one in teacher.items()}
    student["queries"][0, 6:] += 1.0
    assert float(method(of_command=True).losses(student, [teacher], truth, 0.0)["instances"]) == 0.0
    one = method()
    assert float(one.losses(student, [teacher], truth, 0.0)["instances"]) > 0.0
    assert set(one.report()) == {"instances_right", "instances_straight"}
    uniform = {**teacher, "scores": torch.zeros(2, 18)}
    sharp = {**teacher, "scores": torch.tensor([[9.0] + [0.0] * 17] * 2)}
    found = method(distribution_weight=1.0).losses(uniform, [sharp], truth, 0.0)["distribution"]
    share = sharp["scores"].softmax(-1)
    assert float(found) == pytest.approx(float((share * (share * 18).log()).sum(-1).mean()), rel=1e-4)


def test_student_and_teacher_must_fit():
    assert accepts("distilldrive", ["distilldrive_teacher"]) == "" and "distilldrive_teacher" in accepts("tcp", ["distilldrive_teacher"])
    buffers = {name: torch.zeros(2) for name in VOCABULARY}
    model = SimpleNamespace(named_buffers=lambda: iter(buffers.items()))
    teacher = SimpleNamespace(config=DistillDriveConfig(horizon_s=4.0), model=model, name="wise")
    context = MethodContext("distilldrive", CONFIG, (teacher,), None, Config(), {})
    with pytest.raises(CardError, match=r"horizon_s 3.0.*'wise' with 4.0"):
        build(context)
    teacher.config = DistillDriveConfig()
    assert set(build(context).buffers()) == set(VOCABULARY)
    assert build(context).switches()["distribution_weight"] == 0.0
