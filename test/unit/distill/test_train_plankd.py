"""Training with a teacher, whole: every method from recordings to a card, resumed, refused where the truth is missing."""

import numpy as np
import pytest
import torch
from support import bags
from support.bags import write_bag
from support.taught import logged
from support.training import but

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.errors import BagError, CardError, ConfigError
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.methods.plankd import scene_cache
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.teacher import Teacher
from kd_planner_ros.distill.train import train
from kd_planner_ros.runtime.store import load_model
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards


@pytest.mark.slow
@pytest.mark.parametrize("method, terms", [("plankd", {"feature", "attended", "ranking", "entropy", "bottleneck"}),
                                           ("at", {"activation"}), ("reviewkd", {"review"}), ("dpk", {"prior", "own_share"})])
def test_every_method_trains_and_says_so_on_the_card(config, method, terms, monkeypatch):
    asked, fields = [], Teacher.fields
    monkeypatch.setattr(Teacher, "fields", lambda self, inputs, names: asked.append(len(names)) or fields(self, inputs, names))
    teacher = (config.models_dir / "wise" / "weights.safetensors").read_bytes()
    report = train(but(config, method=method))
    assert report.finished and terms <= set(logged(config)) and np.isfinite(list(logged(config).values())).all()
    card = load_model(config.models_dir / "student")[2]
    facts = card.training
    assert facts["method"] == facts["recipe"]["method"] == method and facts["teacher"]["name"] == "wise"
    assert facts["teacher"]["data"]["maps"] == ["Town03"] and facts["teacher_sees"] == (
        "the clean picture" if method != "reviewkd" else "the student's augmented picture")  # its maps are too large to keep
    assert facts["switches"] and "--teacher wise" in facts["command"] and str(config.models_dir) not in card.to_json()
    assert (config.models_dir / "wise" / "weights.safetensors").read_bytes() == teacher
    first = len(asked)
    train(but(config, method=method, name="second", seed=5))
    again = len(asked) - first
    assert again == 1 if method != "reviewkd" else again > 1  # ReviewKD's maps are too large to keep


def test_imitation_is_what_it_was(config):
    plain = but(config, method="imitation", teacher="")
    assert not {"method", "teacher", "plankd", "teacher_cache"} & set(plain.recipe)
    train(plain)
    assert load_model(config.models_dir / "student")[2].training["method"] == "imitation of the rule-based expert"
    assert not list(config.cache.glob("*.teacher*")) and not list(config.cache.glob("*.scenes*"))


@pytest.mark.long
def test_plankd_overfits_sixteen_frames(config):
    write_bag(config.bags[0] / "b2", rate=0.25, seconds=4.0, seed=2, labels=False)
    write_bag(config.bags[0] / "b3", rate=-0.25, seconds=4.0, seed=3, labels=False)
    report = train(but(config, epochs=40, lr=2e-3, batch=8, augment=False))
    assert report.train_samples == 16
    camera = cameras(config.bags[0] / "b0")[0]
    learner = Learner(but(config, method="imitation", teacher=""), join("cpu"), camera)
    learner.model.load_state_dict(load_model(config.models_dir / "student")[0].state_dict())
    shards = build_shards(find_bags(config.bags), config.cache, learner.task, progress=False)
    scores = learner.validate(Samples(shards), 16)
    assert scores["l2_m"] < 0.5, scores  # left and right differ by 4.9 m at 2 s
    values = logged(config)
    assert values["named_teacher"] > 0.9 and values["named_student"] > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("weighting", ["decay", "equal"])
def test_weightings_that_look_at_nothing_train_and_are_on_the_card(config, weighting):
    report = train(but(config, weighting=weighting, epochs=1))
    assert report.finished and "attended" in logged(config) and "ranking" not in logged(config)
    card = load_model(config.models_dir / "student")[2].training
    assert card["switches"]["weighting"] == card["recipe"]["plankd"]["weighting"] == weighting
    assert not list(config.cache.glob("*.scenes*"))


def test_without_the_cache_the_teacher_sees_the_students_picture(config):
    train(but(config, teacher_cache=False, epochs=1, safe_attention=False))
    assert load_model(config.models_dir / "student")[2].training["teacher_sees"] == "the student's augmented picture"
    assert not list(config.cache.glob("*.teacher*")) and not list(config.cache.glob("*.scenes*"))


def test_teachers_that_cannot_teach(config):
    with pytest.raises(ConfigError, match="--teacher"):
        train(but(config, teacher=""))
    with pytest.raises(CardError, match="input_width"):
        train(but(config, input_width=128))
    with pytest.raises(ConfigError, match="method out of"):
        but(config, method="osmosis")


@pytest.mark.slow
def test_recordings_without_the_truth_name_it_and_what_works(config, tmp_path, monkeypatch):
    monkeypatch.undo()
    torch.set_num_threads(1)
    monkeypatch.setattr(BagWriter, "write_scene", lambda self, scene: None)
    write_bag(tmp_path / "blind" / "b", rate=0.1, seconds=4.0, labels=False)
    with pytest.raises(BagError, match="/truth/objects.*imitation, AT, ReviewKD and DPK work"):
        train(but(config, bags=(tmp_path / "blind",)))
    assert not config.cache.exists()
    assert train(but(config, bags=(tmp_path / "blind",), safe_attention=False, epochs=1)).finished
    monkeypatch.setattr(bags, "STATE_NAMES", ())
    write_bag(tmp_path / "mute" / "b", rate=0.1, seconds=4.0, seed=9, labels=False)
    mute = but(config, bags=(tmp_path / "mute",), safe_attention=False, name="mute", epochs=1)
    with pytest.raises(BagError, match="/truth/state.*--plankd.no-bottleneck"):
        train(mute)
    assert train(but(mute, bottleneck=False)).finished


@pytest.mark.slow
def test_scenes_of_another_kind_are_kept_apart_and_on_the_card(config, monkeypatch):
    asked, drawn = [], scene_cache.bev_frames
    monkeypatch.setattr(scene_cache, "bev_frames", lambda *words, **more: asked.append(more) or drawn(*words))
    other = but(config, bev_px_per_m=4.0, obstacle_mps=0.1, waypoint_scale="mean", epochs=1)
    train(other)
    assert {(one["view"].px_per_m, one["least_mps"]) for one in asked} == {(4.0, 0.1)}
    assert len(list(config.cache.glob("*.scenes1-4-0.1"))) == 2 and not list(config.cache.glob("*.scenes1"))
    facts = load_model(config.models_dir / "student")[2].training
    assert facts["switches"]["scale"] == "mean" and facts["recipe"]["plankd"]["bev_px_per_m"] == 4.0
    assert "--plankd.waypoint-scale mean" in facts["command"]
    assert "--plankd.bev-px-per-m 4.0 --plankd.obstacle-mps 0.1" in facts["command"]
    train(but(config, name="plain", epochs=1))
    recipe = load_model(config.models_dir / "plain")[2].training["recipe"]["plankd"]
    assert (recipe["bev_px_per_m"], recipe["obstacle_mps"], recipe["waypoint_scale"]) == (5.0, 0.0, "auto")
    assert len(list(config.cache.glob("*.scenes1"))) == 2


