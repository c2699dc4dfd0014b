"""DistillDrive's three stages on small recordings: a teacher on the scene, then a student from its pictures and the teacher."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.bags import borders, pose_at, write_bag
from support.training import but, training

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.distill.config import stages_of
from kd_planner_ros.distill.learner import Learner, _fit
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recipes import read_recipe, train_config
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.distilldrive.config import COMMANDS
from kd_planner_ros.networks.distilldrive.decode import command_rows
from kd_planner_ros.networks.distilldrive.plan_loss import distances, of_command, plan_losses
from kd_planner_ros.networks.registry import find_network, find_training
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.runtime.store import load_model, save_model
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards

PLANNER = ({"name": "planner", "trained": ("planner", "front", "task")},)
FOUND_BY = {"agent_score": 2.0, "agent_box": 0.25, "line_score": 1.0, "line_place": 10.0, "heat": 1.0, "heat_depth": 0.2}
VOCABULARY = ("planner.plan_anchors", "planner.motion_anchors")


def users(rate):
    """A car that drives ahead of the ego, and one that stands beside the road."""
    def at(tick):
        rows, ahead = np.zeros(2, ACTOR_DTYPE), pose_at(0.05 * tick + 2.0, rate)
        rows["id"], rows["kind"], rows["length"], rows["width"], rows["height"] = (1, 2), ActorKind.CAR, 4.5, 1.9, 1.5
        rows["x"], rows["y"], rows["yaw"] = (ahead.x, 20.0), (ahead.y, 9.0), (ahead.yaw, 0.0)
        rows["vx"][0], rows["vy"][0] = 5.0 * np.cos(ahead.yaw), 5.0 * np.sin(ahead.yaw)
        return rows
    return at


@pytest.fixture
def config(tmp_path):
    torch.set_num_threads(1)
    for number, rate in enumerate((0.2, -0.2)):
        write_bag(tmp_path / "bags" / f"b{number}", rate=rate, seconds=6.0, seed=number, actors=users(rate), lines=borders(rate))
    return training(bags=(tmp_path / "bags",), name="teacher", network="distilldrive_teacher", size="nano", batch=2, epochs=1.0, lr=1e-3,
                    validation_share=0.0, models_dir=tmp_path / "models", runs_dir=tmp_path / "runs", seed=1, ema=0.0,
                    cache=tmp_path / "cache", progress=False, threads=1, device="cpu", precision="fp32", validate_minutes=0)


def student(config, **changes):
    return but(config, **{"name": "student", "network": "distilldrive", "cameras": 1, **changes})


def learner_of(config):
    others = cameras(find_bags(config.bags)[0])[1]
    return Learner(config, join("cpu"), others["front"], others)


@pytest.mark.slow
def test_a_student_learns_from_a_teacher_and_takes_its_vocabulary(config, capsys):
    first = train(config)
    assert first.finished and read_card(config.models_dir / "teacher").network == "distilldrive_teacher"
    report = train(student(config, method="instance_imitation", teacher="teacher", trajectory_weight=0.1, distribution_weight=0.1))
    card = read_card(config.models_dir / "student")
    assert report.finished and card.network == "distilldrive"
    assert card.training["method"] == "instance_imitation" and card.training["switches"]["instance_weight"] == 0.5
    mine, theirs = (load_model(config.models_dir / name)[0].state_dict() for name in ("student", "teacher"))
    for name in VOCABULARY:
        assert torch.equal(mine[name], theirs[name]), name
    assert not any("posterior" in name or "reinforcement" in name or "adapter" in name for name in mine), "only the student is shipped"
    assert load_planner("student", engine="torch", models_dir=config.models_dir).rig.cameras
    again = learner_of(student(config, name="again", method="instance_imitation", teacher="teacher", warm_start=Path("student")))
    samples = Samples(build_shards(find_bags(config.bags), config.cache, again.task, progress=False))
    capsys.readouterr()
    _fit(again, samples)
    assert "replaced" not in capsys.readouterr().err
    again.model.planner.plan_anchors += 1.0
    _fit(again, samples)
    assert "planner.plan_anchors of the start are replaced by the teacher's" in capsys.readouterr().err
    assert torch.equal(again.model.planner.plan_anchors, theirs["planner.plan_anchors"])


def test_a_planner_that_begins_anew_has_the_weights_of_its_seed_and_the_vocabulary_of_its_samples(config):
    """Rows of the grid differ in their seed: without it all would begin with the planner that the run of perception never trained."""
    begun = learner_of(student(config, name="begun", seed=7))
    with torch.no_grad():
        begun.model.planner.plan_anchors += 1.0
    folder = config.models_dir / "begun"
    save_model(folder, "distilldrive", begun.task.processor.config, begun.model.state_dict())
    kept, one, two = (learner_of(student(config, name="row", seed=seed, warm_start=folder, start_without=without))
                      for seed, without in ((1, ()), (1, ("planner",)), (2, ("planner",))))
    saved = load_model(folder)[0]
    weights = [dict(model.named_parameters()) for model in (saved, kept.model, one.model, two.model)]
    for name, first in weights[0].items():
        same = [torch.equal(first, others[name]) for others in weights[1:]]
        assert same[0] and (same[1] == same[2] == (not name.startswith("planner.")) or first.unique().numel() <= 2), name
    assert any(not torch.equal(weights[2][name], weights[3][name]) for name in weights[2])
    samples = Samples(build_shards(find_bags(config.bags), config.cache, one.task, progress=False))
    for learner in (kept, one):
        _fit(learner, samples)
    assert torch.equal(kept.model.planner.plan_anchors, saved.planner.plan_anchors)
    assert torch.equal(one.model.planner.plan_anchors, one.task.fit(samples)["planner.plan_anchors"])
    with pytest.raises(ConfigError, match="start_without with modules out of .*planner.*; got plan;"):
        learner_of(student(config, name="row", warm_start=folder, start_without=("plan",)))
    with pytest.raises(ConfigError, match="--warm-start beside the recipe's start_without"):
        learner_of(student(config, name="row", start_without=("planner",)))


def test_samples_hold_the_scene_and_the_vocabulary_is_theirs(config):
    learner = learner_of(student(config))
    samples = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))
    assert len(samples) >= 8 and samples.shards[0].images.shape[1:] == (128, 352, 3)
    batch = samples.fetch(np.array([1, 2]))
    assert (batch.arrays["kinds"] == 0).sum(1).tolist() == [2, 2] and (batch.arrays["line_kinds"] == 2).sum() >= 4
    ahead = batch.arrays["boxes"][0][np.argmin(np.abs(batch.arrays["boxes"][0][:, 1] - 2.0) + (batch.arrays["ids"][0] != 1) * 99)]
    assert np.hypot(*ahead[:2]) == pytest.approx(10.0, abs=0.3), "2 s ahead at 5 m/s"
    assert batch.arrays["status"][0][[0, 5, 6]] == pytest.approx([0.5, 0.2, 5.0], abs=1e-4)
    assert batch.arrays["status"][0][9] == pytest.approx(0.1 * np.radians(70.0), abs=1e-4)
    fitted = learner.task.fit(samples)
    own = dict(learner.model.named_buffers())
    assert all(own[name].shape == one.shape and one.isfinite().all() for name, one in fitted.items()) and set(VOCABULARY) < set(fitted)
    assert torch.equal(fitted["planner.plan_anchors"], learner.task.fit(samples)["planner.plan_anchors"])


def test_stages_train_what_they_name(config):
    learner = learner_of(student(config))
    samples = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))
    before = {name: one.clone() for name, one in learner.model.named_parameters()}
    values = learner.step(learner.prepare(samples, np.array([0, 3]), 0, np.array([True, True])), 0, 1e-3)
    changed = {name.split(".")[0] for name, one in learner.model.named_parameters() if not torch.equal(one, before[name])}
    assert changed == {"backbone", "neck", "agents", "lines"} and {"agent_score", "line_place"} <= set(values)
    learner.begin_stage(1)
    assert learner.stage.shuffled and set(learner.model.front.state_dict()) == {
        name.removeprefix("front.") for name, one in learner.model.named_parameters() if one.requires_grad} | {
        name.removeprefix("front.") for name, _ in learner.model.named_buffers() if name.startswith("front.")}
    learner.begin_stage(2)
    learner.stage_progress = 1.0
    posterior = learner.heads["posterior"].net[0].weight.detach().clone()
    values = learner.step(learner.prepare(samples, np.array([1, 4]), 1, np.array([False, False])), 1, 1e-3)
    assert {"plan", "status", "latent", "reinforcement", "motion"} <= set(values) and np.isfinite(list(values.values())).all()
    assert not torch.equal(learner.heads["posterior"].net[0].weight, posterior)
    assert all(len(slot.entries) == 2 for slot in learner.task.slots._slots), "both remember"


@pytest.mark.parametrize("left_out, words", [
    (("heat",), "with heat, heat_depth, which alone teach agents.kind.proposals.heat; got weight 0 for heat; give them in the stage's"),
    (("line_place",), "with line_score, line_place, which alone teach lines; got weight 0 for line_place;"),
    (("agent_score", "agent_box"), "which alone teach agents; got weight 0 for agent_score, agent_box;")])
def test_a_stage_that_trains_a_part_of_perception_without_its_losses_is_refused(config, left_out, words):
    """Boxes begin at the map's maxima and give it no gradient: without its own loss they would begin at random places for ever."""
    losses = {name: weight for name, weight in FOUND_BY.items() if name not in left_out}
    with pytest.raises(ConfigError, match=words) as refused:
        learner_of(student(config, stages=({"name": "perception", "trained": ("backbone", "neck", "agents", "lines"), "losses": losses},)))
    assert "\n" not in str(refused.value) and "stage 'perception'" in str(refused.value)


def test_a_map_that_is_left_alone_or_does_not_exist_needs_no_loss(config):
    losses = {name: weight for name, weight in FOUND_BY.items() if not name.startswith("heat")}
    stage = {"name": "perception", "trained": ("backbone", "neck", "agents", "lines"), "losses": losses}
    learner_of(student(config, stages=({**stage, "frozen_eval": ("agents.kind.proposals.heat",)},)))
    learner_of(student(config, stages=(stage,), heat=False, proposals=0))


def test_a_validation_of_the_mean_weights_judges_their_own_map(config):
    learner = learner_of(student(config, ema=0.9))
    samples = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))
    heads = [model.agents.kind.proposals.heat for model in (learner.model, learner.mean)]
    asked = []
    for head in heads:
        head.register_forward_hook(lambda module, *_: asked.append(module))
    learner.validate(samples, 2)
    assert set(asked) == {heads[1]}, "the trained network's map saw the pyramid of the mean weights"
    asked.clear()
    learner.step(learner.prepare(samples, np.array([0, 3]), 0, np.array([True, True])), 0, 1e-3)
    assert set(asked) == {heads[0]}, "training goes on with its own"


def test_every_stage_learns_in_half_precision(config):
    learner = learner_of(student(config, precision="bf16"))
    samples = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))
    for number in range(3):
        if number:
            learner.begin_stage(number)
        values = learner.step(learner.prepare(samples, np.array([0, 3]), number, np.array([True, True])), number, 1e-4)
        assert np.isfinite(list(values.values())).all(), learner.stage.name


def test_a_student_without_signals_has_no_stage_for_lights(config):
    blind = learner_of(student(config, signals=False))
    assert [(stage.name, stage.share) for stage in blind.plan.stages] == [("perception", 0.6), ("planning", 0.4)]


def test_a_recording_that_lacks_the_scene_is_refused(config, tmp_path):
    write_bag(tmp_path / "bare" / "b0", seconds=6.0)
    with pytest.raises(BagError, match="map_lines"):
        build_shards(find_bags((tmp_path / "bare",)), config.cache, learner_of(config).task, progress=False)


@pytest.mark.parametrize("name, teacher", [("distilldrive_teacher", ""), ("distilldrive_nano", "wise")])
def test_the_recipes_fit_the_code(name, teacher, config):
    made = train_config({"bags": config.bags, "teacher": teacher}, read_recipe(config_folder() / "recipes" / f"{name}.yaml"))
    assert made.size == "nano" and (made.method == "instance_imitation") is bool(teacher)
    network = find_network(made.network)
    task = find_training(made.network).build_task(network.build_processor(network.config({})), made.options(made.network))
    own, stages = task.weights, stages_of(made)
    assert [stage.weights(own, 1.0) for stage in stages] == [
        stage.weights(own, 1.0) for stage in find_training(made.network).stages], "the recipe says what the network says"


@pytest.fixture
def eyes(config):
    """A student whose perception was trained for a moment."""
    perception = ({"name": "perception", "trained": ("backbone", "neck", "agents", "lines"),
                   "losses": FOUND_BY},)
    train(but(student(config, stages=perception, epochs=0.3), name="eyes"))
    return but(student(config, stages=PLANNER, warm_start="eyes", augment=False), name="planner")


def test_a_frozen_perception_trains_the_planner_alone(eyes):
    learner = learner_of(eyes)
    samples = Samples(build_shards(find_bags(eyes.bags), eyes.cache, learner.task, progress=False))
    before = {name: one.clone() for name, one in learner.model.named_parameters()}
    learner.step(learner.prepare(samples, np.array([0, 3]), 0, np.array([True, True])), 0, 1e-3)
    changed = {name.split(".")[0] for name, one in learner.model.named_parameters() if not torch.equal(one, before[name])}
    assert changed == {"planner", "front"}


def test_a_backbone_that_no_stage_trains_is_refused_without_a_start_that_has_it(config):
    with pytest.raises(ConfigError, match=r"a start that has backbone.*fresh weights in (\d+) of its \1 tensors.*in 'trained' of the"):
        learner_of(but(student(config), stages=PLANNER))


@pytest.mark.parametrize("token, trained", ((False, {"planner", "front"}), (True, {"planner"})))
def test_samples_of_a_frozen_perception_teach_the_planner_what_pictures_teach(eyes, token, trained):
    """Samples are 0.5 s apart, so both memories are in use from the second step on; the front picture is kept for its token, or that."""
    eyes = but(eyes, stages=({"name": "planner", "trained": (*trained, "task")},))
    kept, seen = learner_of(but(eyes, frozen_perception=True, frozen_token=token)), learner_of(eyes)
    samples = [Samples(build_shards(find_bags(eyes.bags), eyes.cache, one.task, progress=False)) for one in (kept, seen)]
    assert "projection" not in (kept_fields := samples[0].shards[0].fields) and len(samples[0]) == len(samples[1])
    assert ("found_front" in kept_fields) is token
    second = len(samples[0].shards[0].rows)
    for step in range(second):
        index, first = np.array([step, second + step]), np.full(2, step == 0)
        one, other = (learner.step(learner.prepare(own, index, step, first), step, 0.0)
                      for learner, own in zip((kept, seen), samples, strict=True))
        for name in ("plan", "plan_score", "status", "motion", "motion_score", "latent"):
            assert one[name] == pytest.approx(other[name], rel=2e-3), (step, name)
    assert second >= 4 and all(len(slot.entries) == 2 for slot in kept.task.slots._slots)
    kept.step(kept.prepare(samples[0], np.array([0, second]), 99, np.full(2, True)), 99, 1e-3)
    before, after = load_model(eyes.models_dir / "eyes")[0].state_dict(), kept.model.state_dict()
    changed = {name.split(".")[0] for name, one in before.items() if not torch.equal(one, after[name])}
    assert changed == trained
    rows = samples[0].rows
    figures, driven = kept.validate(samples[0], 2), {COMMANDS[row] for row in command_rows(rows["target"], rows["command"], rows["speed"])}
    assert figures["l2_m"] > 0.0 and {name for name in COMMANDS if f"l2_{name}_m" in figures} == driven != set(COMMANDS)


def test_a_frozen_perception_is_refused_without_one_and_where_a_stage_trains_it(eyes):
    frozen = but(eyes, frozen_perception=True)
    with pytest.raises(ConfigError, match="a start that has backbone, neck, agents, lines.*got fresh weights"):
        learner_of(but(frozen, warm_start=None))
    assert learner_of(frozen).start.taken, "a start that fits is taken"
    blind = but(frozen, signals=False, stages=({"name": "planner", "trained": ("planner", "task")},))
    with pytest.raises(ConfigError, match=r"fresh weights in 4 of their \d+ tensors, the first of them lines\..*size and options"):
        learner_of(blind)
    for trained in ("", "backbone.swin"):
        with pytest.raises(ConfigError, match="backbone.* trained"):
            learner_of(but(frozen, stages=({"name": "all", "trained": (trained, "planner")},)))
    with pytest.raises(ConfigError, match="backbone, neck, agents, lines, front.* trained"):
        learner_of(but(frozen, frozen_token=True))
    for wrong in ({"frozen_perception": False}, {"signals": False}):
        with pytest.raises(ConfigError, match="frozen-token; got frozen-perception"):
            learner_of(but(frozen, frozen_token=True, **wrong))
    with pytest.raises(ConfigError, match="modules"):
        find_training("distilldrive").build_task(find_network("distilldrive").build_processor(find_network("distilldrive").config({})),
                                                 frozen.options("distilldrive")).eyes


def test_another_perception_makes_samples_of_its_own(eyes):
    frozen = but(eyes, frozen_perception=True)
    first = learner_of(frozen)
    key = first.task.key
    with torch.no_grad():
        first.model.planner.extra_place += 1.0
    first.task.modules(first.model)
    assert first.task.key == key, "the planner does not matter"
    with torch.no_grad():
        first.model.neck.outs[0].bias += 1.0
    first.task.modules(first.model)
    assert first.task.key != key
    fewer = replace(first.task.processor.config, proposals=3)
    other = find_training("distilldrive").build_task(find_network("distilldrive").build_processor(fewer), frozen.options("distilldrive"))
    other.modules(first.model)
    assert dict(other.key) != dict(first.task.key), "the number of proposals is in no weight"


def test_rule_heads_learn_from_the_samples_that_there_are(eyes):
    """Trained beside planners without them: the samples are the same, and the model is one that can be loaded and drives."""
    plain, ruled = (but(eyes, frozen_perception=True, rule_scores=rules) for rules in (False, True))
    learner = learner_of(ruled)
    assert dict(learner_of(plain).task.key) == dict(learner.task.key)
    samples = Samples(build_shards(find_bags(eyes.bags), eyes.cache, learner.task, progress=False))
    values = learner.step(learner.prepare(samples, np.array([0, 1]), 0, np.array([True, True])), 0, 1e-3)
    assert values["rules"] > 0.0 and np.isfinite(list(values.values())).all()
    figures = learner.validate(samples, 2)
    assert all(0.0 <= figures[f"rule_{name}"] <= 1.0 for name in ("nc", "dac", "ttc", "ep", "tlc"))
    train(but(ruled, name="ruled", epochs=0.2))
    card = read_card(eyes.models_dir / "ruled")
    model, made, _ = load_model(eyes.models_dir / "ruled")
    assert card.config["rule_scores"] is True and made.rule_scores and model.planner.rule_head is not None
    without = {name: value for name, value in card.config.items() if name != "rule_scores"}
    assert find_network("distilldrive").config(without).rule_scores is False, "cards from before the option"


@pytest.mark.long
def test_eight_frames_are_learnt_by_heart(eyes):
    """Driven ways to 2 cm a step, the choice of every frame, and the teacher's instances to a tenth of their first difference."""
    train(but(eyes, name="teacher", network="distilldrive_teacher", stages=(), warm_start=None, epochs=0.5))
    learner = learner_of(but(eyes, frozen_perception=True, method="instance_imitation", teacher="teacher", reinforcement="off"))
    shards = build_shards(find_bags(eyes.bags), eyes.cache, learner.task, progress=False)
    samples = Samples(shards)
    learner.distillation.attach(dict(zip(shards, find_bags(eyes.bags), strict=True)))
    batch = learner.prepare(samples, np.arange(8), 0, np.full(8, True))
    first = learner.step(batch, 0, 1e-3)["instances"]
    steps = 500
    for step in range(1, steps):
        last = learner.step(batch, step, 1e-3 * min(1.0, 4.0 * (1.0 - step / steps)))["instances"]
    assert last < first / 10.0
    learner.model.eval()
    inputs, targets = learner.tensors(batch)
    with torch.no_grad():
        outputs = learner.model(**inputs)
    parts = plan_losses(outputs, targets)
    apart = distances(of_command(outputs["offsets"], targets["command"]), targets["plan"])
    assert bool(targets["plan_known"].all()) and float(parts["plan"]) < 0.02
    assert torch.equal(of_command(outputs["scores"], targets["command"]).argmax(1), apart.argmin(1))
