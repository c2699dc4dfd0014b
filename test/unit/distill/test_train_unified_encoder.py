"""The unified encoder in the trainer: a shard by hand, what a stage leaves alone, a smoke schedule of all stages."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.bags import pose_at, write_bag
from support.interrupting import interrupt_in_step
from support.networks import save_seeded
from support.training import but, training

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recipes import read_recipe, train_config
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.train import train
from kd_planner_ros.geometry.frames import camera_in_map
from kd_planner_ros.networks.unified_encoder.targets import UNTOLD
from kd_planner_ros.networks.unified_encoder.training import STAGES
from kd_planner_ros.networks.unified_encoder.video_loss import WEIGHTS as VIDEO_WEIGHTS
from kd_planner_ros.runtime.paths import config_folder
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards

RATE = 0.2


@pytest.fixture
def config(tmp_path):
    torch.set_num_threads(1)
    return training(bags=(tmp_path / "bags",), name="seer", network="unified_encoder", size="tiny", batch=4, epochs=2.0, lr=1e-3, clip=1.0,
                    camera_x_m=-1.5, camera_z_m=2.0, validation_share=0.0, models_dir=tmp_path / "models", runs_dir=tmp_path / "runs",
                    seed=1, cache=tmp_path / "cache", progress=False, threads=1, device="cpu", precision="fp32", validate_minutes=0)


def drives(config, count, seconds):
    for number in range(count):
        write_bag(config.bags[0] / f"b{number}", rate=RATE * (-1) ** number, seconds=seconds, seed=number, every=2)


def learner_of(config):
    others = cameras(find_bags(config.bags)[0])[1]
    return Learner(config, join("cpu"), others["front"], others)


def test_a_shard_holds_pictures_labels_and_motions(config):
    """The car drives an arc at 5 m/s and 10 pictures a second; the camera is 1.5 m behind its centre."""
    drives(config, 1, 1.0)
    learner = learner_of(config)
    model = learner.model_config
    assert (model.camera_width, model.camera_height, model.camera_x_m, model.camera_z_m) == (64, 32, -1.5, 2.0)
    (shard,) = build_shards(find_bags(config.bags), config.cache, learner.task, progress=False)
    assert sorted(shard.fields) == ["before", "classes", "depth", "moves", "objects"]
    assert len(shard.rows) == 9 and shard.facts["left_out"]["neighbour missing"] == 1
    assert (shard.fields["before"][1:] == shard.images[:-1]).all()
    camera = model.camera.pose
    before, now = (camera_in_map(pose_at(t, RATE), camera) for t in (0.0, 0.1))
    np.testing.assert_allclose(shard.fields["moves"][0, 0], np.linalg.inv(before) @ now, atol=1e-5)
    assert set(np.unique(shard.fields["objects"])) <= {0, 1, UNTOLD} and shard.fields["depth"].dtype == np.float16


def test_a_frozen_stage_changes_no_parameter_and_no_buffer(config):
    """In the stages of flow and motion the encoder, depth and segmentation stay as they are, running statistics included."""
    drives(config, 1, 1.0)
    learner = learner_of(config)
    samples = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))
    for index in (1, 2):
        learner.begin_stage(index)
        before = {name: value.clone() for name, value in learner.model.state_dict().items()}
        heads = {name: value.clone() for name, value in learner.heads.state_dict().items()}
        for step in range(2):
            learner.step(learner.prepare(samples, np.arange(4), step), step, 1e-3)
        moved = {name.split(".")[0] for name, value in learner.model.state_dict().items() if not torch.equal(value, before[name])}
        assert moved == {part.split(".")[0] for part in STAGES[index].trained}
        assert all(torch.equal(value, heads[name]) for name, value in learner.heads.state_dict().items())


SEGMENTATION_ALONE = ({"name": "segmentation", "trained": ("encoder", "segmentation", "task"),
                       "losses": {"class": 2.0, "mask": 5.0, "dice": 5.0}},)


@pytest.mark.parametrize(("stages", "index", "unread"), [((), 0, {"movers"}), ((), 1, {"segmentation"}), ((), 3, set()),
                                                         (SEGMENTATION_ALONE, 0, {"geometry"})])
def test_what_a_stage_leaves_out_changes_nothing(config, stages, index, unread):
    """Parts that no loss of a stage of video reads are not run, and the step is the same; a validation runs them all."""
    drives(config, 1, 1.0)
    learnt = []
    for everything in (False, True):
        learner = learner_of(replace(but(config, supervision="self"), stages=stages))
        samples = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))
        learner.begin_stage(index)
        assert learner.model.unread == unread
        learner.model.unread = frozenset() if everything else learner.model.unread
        learner.step(learner.prepare(samples, np.arange(2), 0), 0, 1e-3)
        learnt.append({**learner.model.state_dict(), **{f"task.{name}": one for name, one in learner.heads.state_dict().items()}})
    assert all(torch.allclose(one, learnt[1][name], atol=1e-5) for name, one in learnt[0].items())
    assert learner.validate(samples, 2)["loss"] > 0.0


def test_what_a_teacher_may_read_is_run(config):
    drives(config, 1, 1.0)
    stage = replace(STAGES[0], method="scene_motion")
    learner = learner_of(but(config, supervision="self"))
    learner.task.begin_stage(stage)
    assert learner.model.unread == set()


@pytest.mark.slow
def test_every_stage_learns_from_video_alone(config):
    """The terms that a stage knows, on triplets; the mask's and the ground's come last. What grows begins at 0 and stops at its weight."""
    drives(config, 1, 1.0)
    learner = learner_of(but(config, supervision="self"))
    (shard,) = build_shards(find_bags(config.bags), config.cache, learner.task, progress=False)
    assert len(shard.rows) == 8 and (shard.fields["after"][:-1] == shard.images[1:]).all()
    samples, terms = Samples([shard]), []
    for index, stage in enumerate(STAGES):
        learner.begin_stage(index)
        before = {name: value.clone() for name, value in learner.model.state_dict().items()}
        learner.stage_progress = 0.5
        report = learner.step(learner.prepare(samples, np.arange(2), index), index, 1e-3)
        terms.append(set(report) - {"loss", "gradient", "rate", "contrast"})
        moved = {name.split(".")[0] for name, value in learner.model.state_dict().items() if not torch.equal(value, before[name])}
        assert moved == ({part for part in stage.trained if part != "task"} if stage.trained != ("",) else {
            "encoder", "segmentation", "depth", "pose", "flow", "motion"}), stage.name
    first = {"reconstruction", "smooth_disparity"}
    taught = {"class", "mask", "dice"}
    assert terms == [first | taught, first | {"smooth_flow"}, set(VIDEO_WEIGHTS), set(VIDEO_WEIGHTS) | taught]
    own = learner.task.weights
    assert {name for name, weight in own.items() if weight} == set(VIDEO_WEIGHTS) | taught
    ramped = STAGES[3].weights(own, 1 / 6)["consistency"], STAGES[3].weights(own, 0.0)["consistency"]
    assert ramped == (pytest.approx(2.5), 0.0)  # half of the weight after a sixth of the stage


def test_the_recipe_of_the_small_student_is_one(config):
    made = train_config({"bags": config.bags}, read_recipe(config_folder() / "recipes" / "unified_nano.yaml"))
    assert (made.network, made.size, made.options("unified_encoder").contrast_weight) == ("unified_encoder", "nano", 0.5)


@pytest.mark.parametrize("recipe, teacher", [("unified_teacher", ""), ("unified_distilled", "wise")])
def test_the_recipes_with_a_teacher_are_read(config, recipe, teacher):
    made = train_config({"bags": config.bags, "teacher": teacher}, read_recipe(config_folder() / "recipes" / f"{recipe}.yaml"))
    assert made.size == "nano" and made.options(made.network).supervision == "truth"
    assert [one["name"] for one in made.stages] == (["joint", "motion"] if teacher else ["joint"])
    assert (made.method == "scene_motion") is bool(teacher)


@pytest.mark.long
@pytest.mark.parametrize("supervision", ["truth", "self"])
def test_a_teacher_is_trained_through_every_stage_and_teaches_a_student(config, supervision):
    """The student reads the teacher's answers from the disk where both learn from labels, and asks for them in each step otherwise."""
    drives(config, 2, 2.0)
    config = but(config, supervision=supervision, epochs=1.0)
    own = dict(config.sections["unified_encoder"])
    teacher = replace(config, name="wise", network="unified_teacher", sections={"unified_teacher": own})
    assert train(teacher).finished
    method = {"scene_motion": {"gain": 10.0, "finest": 1}}
    distilled = replace(config, method="scene_motion", teacher="wise", sections={"unified_encoder": own, **method})
    assert train(distilled).finished
    card = read_card(config.models_dir / "seer")
    assert card.training["teacher"]["name"] == "wise" and card.training["switches"]["gain"] == 10.0
    kept = sorted(path.stem for path in config.cache.glob("*.teacher*/*.npy"))
    names = [f"{kind}_{scale}" for kind in ("flow", "motion") for scale in (1, 2, 3)]
    assert set(kept) == (set(names) if supervision == "truth" else set())
    assert len([path for path in config.cache.iterdir() if ".teacher" not in path.name]) == 2  # the teacher reads the student's samples


@pytest.mark.long
def test_a_smoke_schedule_trains_every_stage_and_resumes_to_the_bit(config, monkeypatch):
    from kd_planner_ros.evaluation.dense.run import DenseConfig, run

    drives(config, 2, 3.0)
    config = but(config, validation_share=0.3)
    whole = train(config)
    card = read_card(config.models_dir / "seer")
    assert card.network == "unified_encoder" and {"abs_rel", "iou_road", "motion_iou", "flow_moving_m"} <= set(card.scores["validation"])
    assert {"depth", "class", "rotation", "flow", "motion"} <= set(whole.validation)
    steps = interrupt_in_step(monkeypatch, round(0.3 * whole.steps))  # in the stage of the motion mask
    assert not train(but(config, name="halves")).finished
    assert train(but(config, name="halves")).finished and steps == list(range(whole.steps))
    one, two = (checkpoint.load(config.runs_dir / name)["learner"] for name in ("seer", "halves"))
    assert all(torch.equal(value, two["model"][name]) for name, value in one["model"].items())
    found = run(DenseConfig(bag=config.bags[0] / "b0", model="seer", models_dir=config.models_dir), progress=False)
    assert found["frames"] == 30 and found["not_scored"] == {}


def test_pose_flow_and_mask_learn_to_match_and_the_rest_stays(config):
    """The recipe's stage: everything that matching is learns, in bfloat16 too, and encoder, depth and segmentation stay to the bit."""
    drives(config, 1, 1.0)
    recipe = train_config({"bags": config.bags, "warm_start": "old"}, read_recipe(config_folder() / "recipes" / "unified_motion.yaml"))
    assert recipe.options("unified_encoder").matching and (recipe.size, recipe.precision) == ("nano", "bf16")
    old = save_seeded(config.models_dir / "old", "unified_encoder", {"size": "tiny"})
    own = replace(config, stages=recipe.stages, precision="bf16", warm_start=old)
    learner = learner_of(but(own, matching=True, contrast_weight=0.0))
    samples = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))
    learner.begin_stage(0)
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    for step in range(3):  # layers that begin at zero hold back what lies behind them
        report = learner.step(learner.prepare(samples, np.arange(4), step), step, 1e-2)
    assert {"match", "own_pixels", "final_pixels", "final_colour"} <= set(report) and all(np.isfinite(value) for value in report.values())
    moved = {name for name, value in learner.model.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"pose", "flow", "motion"}
    assert {name for name in before if "matcher" in name or name.split(".")[1] in ("clue", "told", "compare", "mix")} <= moved


def test_the_recipe_from_video_begins_with_the_recorded_motion_and_goes_on_without_it(config):
    drives(config, 1, 1.0)
    recipe = train_config({"bags": config.bags}, read_recipe(config_folder() / "recipes" / "unified_video.yaml"))
    assert recipe.options("unified_encoder").supervision == "self" and recipe.size == "nano"
    learner = learner_of(but(replace(config, stages=recipe.stages), supervision="self", contrast_weight=0.0))
    assert (learner.model_config.metric, learner.model_config.rotation_scale, learner.model_config.logit_bound) == (False, 0.1, 4.0)
    samples, heard = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False)), []
    for index, stage in enumerate(recipe.stages):
        learner.begin_stage(index)
        learner.stage_progress = 0.5
        before = {name: value.clone() for name, value in learner.model.state_dict().items()}
        report = learner.step(learner.prepare(samples, np.arange(4), index), index, 1e-3)
        heard.append({"rotation", "translation"} & set(report))
        moved = {name.split(".")[0] for name, value in learner.model.state_dict().items() if not torch.equal(value, before[name])}
        assert moved == {part for part in stage.get("trained", moved) if part != "task"} and all(np.isfinite(list(report.values())))
    assert heard == [{"rotation", "translation"}, set(), set(), set(), set()]


def test_a_loss_of_matching_needs_matching(config):
    drives(config, 1, 1.0)
    stages = ({"name": "motion", "share": 1.0, "trained": ["flow"], "losses": {"match": 1.0}},)
    with pytest.raises(ConfigError, match="parts of the loss"):
        train(replace(config, stages=stages))
