"""Rule sub-scores of DistillDrive's candidates by hand-made scenes, and the heads that learn them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.networks import noise

from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.distill.methods.instance_imitation.config import Config
from kd_planner_ros.distill.methods.instance_imitation.method import InstanceImitation
from kd_planner_ros.networks.distilldrive.config import CANDIDATES, KINDS, LINES, RULES, DistillDriveConfig, rules_of
from kd_planner_ros.networks.distilldrive.model import build_model, example_inputs
from kd_planner_ros.networks.distilldrive.plan_loss import offsets_of
from kd_planner_ros.networks.distilldrive.processor import build_processor
from kd_planner_ros.networks.distilldrive.rules import rule_figures, rule_loss, rule_scores, taught_rules
from kd_planner_ros.networks.distilldrive.training import TrainOptions, build_task, config_fields

CONFIG = DistillDriveConfig()
CAR, STATIC, STRAIGHT = KINDS.index(ActorKind.CAR), KINDS.index(ActorKind.STATIC), 2
BOUNDARY, RED, GREEN = 2, len(LINES), len(LINES) + 2
STEPS = 0.5 * torch.arange(1, 7)


def straight(speed, y=0.0):
    """Places [6, 2] of a car that drives ahead at ``speed``, and comes to ``y`` beside its line at once."""
    return torch.stack([speed * STEPS, torch.full((6,), float(y))], -1)


def user(x, y, vx=0.0, vy=0.0, yaw=0.0, kind=CAR):
    box = torch.tensor([x, y, 0.75, math.log(4.0), math.log(2.0), math.log(1.5), math.sin(yaw), math.cos(yaw), vx, vy])
    return box, kind, torch.tensor([x, y]) + STEPS[:, None] * torch.tensor([vx, vy])


def line(kind, *ends):
    (x0, y0), (x1, y1) = ends
    return kind, torch.stack([torch.linspace(x0, x1, 10), torch.linspace(y0, y1, 10)], -1)


def scene(plan=None, users=(), lines=()):
    """Targets of one sample; slots that nobody takes are as ``scene.scene_arrays`` fills them."""
    found = {"boxes": torch.zeros(1, 6, 10), "kinds": torch.full((1, 6), -1), "future": torch.full((1, 6, 6, 2), torch.nan),
             "lines": torch.zeros(1, 5, 10, 2), "line_kinds": torch.full((1, 5), -1), "command": torch.tensor([STRAIGHT]),
             "plan": (straight(5.0) if plan is None else plan)[None], "plan_known": torch.tensor([True])}
    for row, (box, kind, future) in enumerate(users):
        found["boxes"][0, row], found["kinds"][0, row], found["future"][0, row] = box, kind, future
    for row, (kind, points) in enumerate(lines):
        found["line_kinds"][0, row], found["lines"][0, row] = kind, points
    return found


def scores(way, targets, config=CONFIG):
    """Sub-scores by name of one way [6, 2], given as places."""
    found = rule_scores(offsets_of(way)[None, None], targets, config)
    return dict(zip(rules_of(config), found[0, 0].tolist(), strict=True))


CLEAN = {name: 1.0 for name in RULES}


def test_a_free_road_breaks_no_rule():
    assert scores(straight(5.0), scene()) == CLEAN
    assert scores(straight(5.0), scene(), DistillDriveConfig(signals=False)) == {"NC": 1.0, "DAC": 1.0, "TTC": 1.0, "EP": 1.0}


def test_who_stands_in_the_way_is_hit():
    """The bumper is 2.45 m ahead, the other's rear at 9 m: 5 m/s comes there after 1.3 s, and 2 m/s not."""
    standing = scene(users=[user(11.0, 0.0)])
    assert scores(straight(5.0), standing) == CLEAN | {"NC": 0.0, "TTC": 0.0}
    assert scores(straight(2.0), standing) == CLEAN | {"EP": pytest.approx(0.4)}, "its bumper comes to 8.45 m"
    assert scores(straight(5.0), scene(users=[user(11.0, 2.2)])) == CLEAN, "beside"
    post = scores(straight(5.0), scene(users=[user(11.0, 0.0, kind=STATIC)]))
    assert (post["NC"], post["TTC"]) == (0.5, 0.0)


def test_a_car_ahead_that_drives_as_fast_is_not_met():
    leader = scene(users=[user(9.0, 0.0, vx=5.0)])
    assert scores(straight(5.0), leader) == CLEAN
    assert scores(straight(8.0), leader) == CLEAN | {"NC": 0.0, "TTC": 0.0}
    late = torch.stack([torch.tensor([4.5, 9.0, 11.0, 13.0, 15.0, 17.0]), torch.zeros(6)], -1)
    assert scores(late, leader) == CLEAN | {"TTC": 0.0}, "2.55 m apart after 0.5 s, 4 m/s faster: 3.6 m nearer in 0.9 s; then it brakes"


def test_nobody_is_blamed_for_what_comes_from_behind_or_was_there():
    behind = scene(users=[user(-9.0, 0.0, vx=8.0)])
    found = scores(straight(4.0), behind)
    assert (found["NC"], found["TTC"]) == (1.0, 1.0)
    assert scores(straight(5.0), scene(users=[user(1.0, 0.0)])) == CLEAN, "it touches from the beginning"
    assert scores(straight(0.0), scene(straight(0.0), users=[user(9.0, 0.0, vx=-4.0, yaw=math.pi)]))["NC"] == 1.0, "the car stands"


def test_the_front_is_the_drivers_fault_and_the_side_is_not():
    crossing = user(10.0, -6.0, vy=4.0, yaw=math.pi / 2.0)
    assert scores(straight(5.0), scene(users=[crossing]))["NC"] == 0.0
    into_the_side = user(4.0, -6.0, vy=5.0, yaw=math.pi / 2.0)  # meets the rear half of a car that is past it
    assert scores(straight(5.0), scene(users=[into_the_side]))["NC"] == 1.0


def test_unknown_futures_meet_nobody_from_there_on():
    leaves = user(11.0, 0.0)
    leaves[2][0:] = torch.nan
    found = scores(straight(5.0), scene(users=[leaves]))
    assert found == CLEAN
    leaves[2][:] = torch.tensor([11.0, 0.0])
    leaves[2][4:] = torch.nan  # known to 2 s, and at 1.5 s it is hit
    assert scores(straight(5.0), scene(users=[leaves]))["NC"] == 0.0


def test_the_boundary_of_the_road_is_not_crossed():
    edge = line(BOUNDARY, (-2.0, 1.5), (30.0, 1.5))
    assert scores(straight(5.0), scene(lines=[edge])) == CLEAN, "1.06 m to the side, 1.5 m of room"
    assert scores(straight(5.0, y=0.9), scene(lines=[edge]))["DAC"] == 0.0
    assert scores(straight(5.0, y=0.9), scene(lines=[line(1, (-2.0, 1.5), (30.0, 1.5))]))["DAC"] == 1.0, "a divider is no boundary"
    assert scores(straight(5.0, y=6.0), scene(lines=[edge]))["DAC"] == 0.0, "on the way there"


def test_red_lights_hold():
    red, green = line(RED, (10.0, -2.0), (10.0, 2.0)), line(GREEN, (10.0, -2.0), (10.0, 2.0))
    assert scores(straight(5.0), scene(lines=[red])) == CLEAN | {"TLC": 0.0}
    assert scores(straight(2.0), scene(lines=[red])) == CLEAN | {"EP": pytest.approx(0.4)}, "8.45 m"
    assert scores(straight(5.0), scene(lines=[green])) == CLEAN
    assert scores(straight(5.0), scene(lines=[line(RED, (10.0, 2.0), (10.0, 6.0))])) == CLEAN, "of another lane"
    assert scores(straight(5.0), scene(lines=[line(RED, (1.0, -2.0), (1.0, 2.0))])) == CLEAN, "the bumper is past it"


def test_progress_is_a_share_of_the_driven_way():
    bend = torch.stack([torch.tensor([2.5, 5.0, 7.5, 7.5, 7.5, 7.5]), torch.tensor([0.0, 0.0, 0.0, 2.5, 5.0, 7.5])], -1)
    assert scores(bend, scene(bend))["EP"] == 1.0
    assert scores(straight(2.5), scene(bend))["EP"] == pytest.approx(0.5)
    assert scores(straight(9.0), scene(straight(5.0)))["EP"] == 1.0, "further than the driver"
    assert scores(straight(0.0), scene(straight(5.0)))["EP"] == 0.0 and scores(straight(-1.0), scene())["EP"] == 0.0
    assert scores(straight(0.0), scene(straight(0.5)))["EP"] == 1.0, "hardly anything was driven"


def test_a_rule_that_the_driver_breaks_is_not_taught():
    red = line(RED, (10.0, -2.0), (10.0, 2.0))
    ways = torch.stack([offsets_of(straight(speed)) for speed in (5.0, 2.0)])[None]
    wanted, known = taught_rules(ways, scene(lines=[red]), CONFIG)
    names = list(rules_of(CONFIG))
    assert known[0, 0].tolist() == [float(name != "TLC") for name in names] and wanted[0, :, names.index("TLC")].tolist() == [0.0, 1.0]
    assert not taught_rules(ways, scene() | {"plan_known": torch.tensor([False])}, CONFIG)[1].any()
    logits = torch.zeros(1, 2, len(names), requires_grad=True)
    rule_loss({"offsets": ways, "rules": logits}, scene(lines=[red]), CONFIG).backward()
    assert not logits.grad[..., names.index("TLC")].any() and logits.grad[..., :-1].all()
    nothing = rule_loss({"offsets": ways, "rules": logits}, scene() | {"plan_known": torch.tensor([False])}, CONFIG)
    assert float(nothing.detach()) == 0.0


def test_the_loss_is_the_cross_entropy_of_each_sub_score():
    ways = offsets_of(straight(2.0))[None, None]
    logits = torch.tensor([[[2.0, 2.0, 2.0, 0.5, 2.0]]])
    targets = scene(lines=[line(RED, (10.0, -2.0), (10.0, 2.0))], plan=straight(2.5))
    sure, half = -math.log(1.0 / (1.0 + math.exp(-2.0))), 1.0 / (1.0 + math.exp(-0.5))
    part = -(0.8 * math.log(half) + 0.2 * math.log(1.0 - half))
    assert float(rule_loss({"offsets": ways, "rules": logits}, targets, CONFIG)) == pytest.approx((4.0 * sure + part) / 5.0, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 6), st.integers(0, 5))
def test_any_scene_gives_shares_and_batches_change_nothing(seed, users, lines):
    rng = np.random.default_rng(seed)
    made = []
    for count, many in ((users, lines), (6 - users, 5 - lines)):
        cars = [user(*rng.uniform(-20.0, 30.0, 2), *rng.uniform(-9.0, 9.0, 2), rng.uniform(-4.0, 4.0), int(rng.integers(len(KINDS))))
                for _ in range(count)]
        drawn = [line(int(rng.integers(6)), *rng.uniform(-15.0, 30.0, (2, 2))) for _ in range(many)]
        made.append(scene(straight(rng.uniform(0.0, 12.0)), cars, drawn))
    ways = torch.from_numpy(rng.uniform(-1.0, 6.0, (2, 18, 6, 2)).astype(np.float32))
    both = {name: torch.cat([one[name] for one in made]) for name in made[0]}
    found = rule_scores(ways, both, CONFIG)
    assert found.shape == (2, 18, 5) and found.min() >= 0.0 and found.max() <= 1.0 and found.isfinite().all()
    for row, one in enumerate(made):
        assert torch.allclose(rule_scores(ways[row:row + 1], one, CONFIG), found[row:row + 1], atol=1e-6)


# --- heads -----------------------------------------------------------------------------------------------------------

def built(rules):
    torch.manual_seed(0)
    return build_model(DistillDriveConfig(cameras=1, rule_scores=rules)).eval()


def test_a_student_without_the_heads_is_the_same_as_ever():
    plain, ruled = built(False), built(True)
    own, more = plain.state_dict(), ruled.state_dict()
    assert {name.split(".")[1] for name in set(more) - set(own)} == {"rule_head"} and not set(own) - set(more)
    assert all(torch.equal(one, more[name]) for name, one in own.items()), "first weights are the same"
    with torch.no_grad():
        found, other = (model(**example_inputs(model.config)) for model in (plain, ruled))
    assert "rules" not in found and torch.equal(found["scores"], other["imitation"])
    weights = torch.tensor([RULES[name] for name in rules_of(ruled.config)])
    assert torch.allclose(other["scores"], other["imitation"] + (other["rules"].sigmoid().log() * weights).sum(-1), atol=1e-5)
    assert other["rules"].shape == (1, CANDIDATES, 5)
    blind = build_model(DistillDriveConfig(cameras=1, rule_scores=True, signals=False))
    assert blind.planner.rule_head[-1].out_features == 4


def test_the_heads_learn_by_heart_and_the_choice_follows():
    model, config = built(True), DistillDriveConfig(cameras=1, rule_scores=True)
    targets = scene(straight(4.0), [user(13.0, 0.0)], [line(BOUNDARY, (-2.0, 1.9), (30.0, 1.9)), line(RED, (24.0, -2.0), (24.0, 2.0))])
    with torch.no_grad():
        queries = model(**noise(example_inputs(config)))["queries"]
        offsets = torch.zeros(1, CANDIDATES, 6, 2)
        offsets[0, :, :, 0] = 0.5 * torch.linspace(0.5, 12.0, CANDIDATES)[:, None]
        offsets[0, ::2, :, 1] = 0.3
    rate = torch.optim.Adam(model.planner.rule_head.parameters(), 1e-2)
    wanted, known = taught_rules(offsets, targets, config)
    for _ in range(300):
        loss = rule_loss({"offsets": offsets, "rules": model.planner.rule_head(queries)}, targets, config)
        rate.zero_grad()
        loss.backward()
        rate.step()
    found = model.planner.rule_head(queries).sigmoid().detach()
    sure = (known > 0.0).expand_as(wanted)
    assert (found - wanted)[sure].abs().max() < 0.05 and 0.0 < wanted[sure].mean() < 1.0
    chosen = model.planner.chosen_by(torch.zeros(1, CANDIDATES), model.planner.rule_head(queries))
    best = int(chosen[0, 12:].argmax()) + 12
    assert wanted[0, best].prod() == wanted[0, 12:].prod(-1).max()
    outputs = {"offsets": offsets, "scores": chosen}
    figures = rule_figures(outputs, targets, config)
    assert figures["rule_nc"] == (float(wanted[0, best, 0] * known[0, 0, 0]), float(known[0, 0, 0])) and len(figures) == 5


def test_the_task_teaches_the_rules_where_it_is_asked_to():
    config = DistillDriveConfig(cameras=1, rule_scores=True, proposals=0)
    task = build_task(build_processor(config), TrainOptions(cameras=1, rule_scores=True, reinforcement="off", heat=False, dense=False))
    plain = build_task(build_processor(DistillDriveConfig(cameras=1)), TrainOptions(cameras=1, dense=False))
    assert task.weights["rules"] == 1.0 and "rules" not in plain.weights and dict(task.key) == dict(plain.key), "the same samples"
    assert config_fields("nano", TrainOptions(rule_scores=True), None, {})["rule_scores"] is True
    model = built(True)
    task.modules(model)
    inputs = example_inputs(config)
    outputs = model(**inputs)
    targets = scene(users=[user(11.0, 0.0)]) | {"status": torch.zeros(1, 10), "next_status": torch.zeros(1, 10)}
    targets |= {"shown": targets["kinds"] >= 0, "projection": inputs["projection"], "seen": inputs["seen"]}
    loss = task.loss(outputs, targets, inputs)
    assert float(loss.parts["rules"]) > 0.0
    shifted = {**outputs, "scores": outputs["scores"] + torch.arange(18.0)}
    with torch.no_grad():
        one, other = (task.loss(own, targets, inputs).parts["plan_score"] for own in (outputs, shifted))
    assert float(one) == float(other), "the imitation's logits learn the choice, not those with the rules"
    before = {**outputs, "offsets": outputs["offsets"].detach().requires_grad_(True)}
    rule_loss(before, targets, config).backward()
    assert before["offsets"].grad is None and model.planner.rule_head[-1].weight.grad.any()


def test_a_teachers_distribution_teaches_the_imitation_alone():
    torch.manual_seed(0)
    teacher = {"queries": torch.randn(2, 18, 4), "scores": torch.randn(2, 18)}
    student = {**teacher, "imitation": teacher["scores"], "scores": torch.randn(2, 18)}
    method = InstanceImitation(Config(distribution_weight=0.1), 4, {})
    found = method.losses(student, [teacher], {"command": torch.tensor([0, 2])}, 0.0)
    assert float(found["distribution"].detach()) == pytest.approx(0.0, abs=1e-6)
