"""Training with a teacher, whole: every method from recordings to a card, resumed, refused where the truth is missing."""

import csv

import numpy as np
import pytest
import torch
from support import bags
from support.bags import write_bag
from support.processes import told_by_two
from support.training import but, training

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.errors import BagError, CardError, ConfigError, TrainingError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.methods.plankd import scene_cache
from kd_planner_ros.distill.observer import Observer
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.teacher import Teacher
from kd_planner_ros.distill.teacher_cache import TeacherCache
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.runtime.store import load_model, save_model
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards

GIVEN = TCPConfig(size="7.6m", input_height=32, input_width=64, camera_width=64, camera_height=32)


def made_up_scenes(recording, stamps, **_):
    """An empty scene with one obstacle that comes nearer; drawing from maps is tested elsewhere."""
    images = np.zeros((len(stamps), 180, 180, 3), np.uint8)
    obstacles = np.zeros((len(stamps), 15, 2), np.float32)
    for row in range(len(stamps)):
        images[row, 85:95, 10 * row: 10 * row + 20] = 200
        obstacles[row, 0] = 12.0 - row, 0.5
    return images, obstacles


@pytest.fixture
def config(tmp_path, monkeypatch):
    torch.set_num_threads(1)
    monkeypatch.setattr(scene_cache, "bev_frames", made_up_scenes)
    for number, rate in enumerate((0.25, -0.25)):
        write_bag(tmp_path / "bags" / f"b{number}", rate=rate, seconds=4.0, seed=number, labels=False)
    torch.manual_seed(0)
    save_model(tmp_path / "models" / "wise", "tcp", GIVEN, find_network("tcp").build_model(GIVEN).state_dict(),
               {"data": {"maps": ["Town03"]}})
    return training(bags=(tmp_path / "bags",), name="student", method="plankd", teacher="wise", size="3.1m", input_height=32,
                       input_width=64, batch=4, epochs=2, validation_share=0.0, models_dir=tmp_path / "models",
                       runs_dir=tmp_path / "runs", seed=1, cache=tmp_path / "cache", progress=False, threads=1, device="cpu",
                       validate_minutes=0, bev_detail="quarter")


def logged(config):
    with (config.runs_dir / config.name / "log.csv").open(newline="") as file:
        return {row[2]: float(row[3]) for row in csv.reader(file) if row[1] == "train"}


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


def test_the_teacher_takes_the_students_own_tensors_where_it_is_told_the_same(config, monkeypatch):
    config = but(config, teacher_cache=False)
    bags = find_bags(config.bags)
    learner = Learner(config, join("cpu"), *cameras(bags[0]))
    shards = build_shards(bags, config.cache, learner.task, progress=False)
    learner.distillation.attach(dict(zip(shards, bags)))
    made, make = [], learner.task.inputs
    monkeypatch.setattr(learner.task, "inputs", lambda *told: made.append(told) or make(*told))
    batch = learner.prepare(Samples(shards), np.arange(4), 0)
    learner.step(batch, 0, 1e-4)
    assert len(made) == 1
    batch.hidden_speed[0] = True  # what the student alone is not told
    learner.step(batch, 1, 1e-4)
    batch.hidden_speed[0] = False
    batch.student_rows["target"][1] += 10.0
    learner.step(batch, 2, 1e-4)
    assert len(made) == 5


def test_imitation_is_what_it_was(config):
    plain = but(config, method="imitation", teacher="")
    assert not {"method", "teacher", "plankd", "teacher_cache"} & set(plain.recipe)
    train(plain)
    assert load_model(config.models_dir / "student")[2].training["method"] == "imitation of the rule-based expert"
    assert not list(config.cache.glob("*.teacher*")) and not list(config.cache.glob("*.scenes*"))


@pytest.mark.parametrize("method", ["plankd", "dpk"])
def test_resume_is_bit_identical(config, method):
    whole = train(but(config, method=method, name="whole", schedule="constant"))
    train(but(config, method=method, name="halves", schedule="constant", epochs=1))
    rest = train(but(config, method=method, name="halves", schedule="constant"))
    assert rest.finished and rest.steps == whole.steps > 2
    one, two = (checkpoint.load(config.runs_dir / name)["learner"] for name in ("whole", "halves"))
    for part, pick in (("model", lambda s: s["model"]), ("distiller", lambda s: s["distiller"]["modules"])):
        assert pick(one) and all(torch.equal(value, pick(two)[name]) for name, value in pick(one).items()), part
    for first, second in zip(one["distiller"]["optimisers"], two["distiller"]["optimisers"], strict=True):
        assert all(torch.equal(first["state"][key]["exp_avg"], second["state"][key]["exp_avg"]) for key in first["state"])


def test_pretraining_teaches_the_bottleneck_and_leaves_the_student(config):
    late = but(config, epochs=1, schedule="constant", lr=1e-3)
    early = but(late, name="early", pretrain_bottleneck=150)
    train(late)
    train(early)
    card = load_model(config.models_dir / "early")[2].training
    assert card["recipe"]["plankd"]["pretrain_bottleneck"] == 150 and "--plankd.pretrain-bottleneck 150" in card["command"]
    assert load_model(config.models_dir / "student")[2].training["recipe"]["plankd"]["pretrain_bottleneck"] == 0
    with (config.runs_dir / "early" / "log.csv").open(newline="") as file:
        rows = [row for row in csv.reader(file) if row[1] == "pretrain"]
    values = {name: [float(row[3]) for row in rows if row[2] == name] for name in {row[2] for row in rows}}
    assert set(values) == {"bottleneck", "named_teacher"} and rows[-1][0] == "100"
    assert values["named_teacher"][-1] > values["named_teacher"][0]
    first = {name: [row for row in csv.reader((config.runs_dir / name / "log.csv").open(newline=""))
                    if row[:2] == ["1", "train"]] for name in ("student", "early")}
    of = {name: {row[2]: row[3] for row in rows} for name, rows in first.items()}
    assert of["early"]["waypoints"] == of["student"]["waypoints"]  # the student is the same, the method is not
    assert of["early"]["bottleneck"] != of["student"]["bottleneck"] and of["early"]["ranking"] == of["student"]["ranking"]


def test_a_run_stopped_while_its_bottleneck_is_pretrained_begins_anew(config):
    early = but(config, name="early", pretrain_bottleneck=20, epochs=1)

    class Stop(Observer):
        def __init__(self):
            self.paused, self.stopped = True, False

        def wait(self):
            self.paused, self.stopped = False, True

    report = train(early, Stop())
    assert not report.finished and report.steps == 0 and not (config.models_dir / "early").exists()
    assert train(early).finished
    assert not train(but(early, fresh=True), Stop()).finished  # and what was there before does not come back
    again = train(early)
    assert again.finished and again.samples_read > 0
    with pytest.raises(ConfigError, match="leave --plankd.pretrain-bottleneck out"):
        but(early, bottleneck=False)
    train(but(early, name="whole"))
    one, two = (checkpoint.load(config.runs_dir / name)["learner"]["distiller"]["modules"] for name in ("early", "whole"))
    assert one and all(torch.equal(value, two[name]) for name, value in one.items())


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


@pytest.fixture(params=[True, False], ids=["cached", "asked in the step"])
def either_way(request, config):
    return but(config, teacher_cache=request.param)


def attached(config):
    """A learner with its method's caches built, and the samples."""
    bags = find_bags(config.bags)
    learner = Learner(config, join("cpu"), cameras(bags[0])[0])
    shards = build_shards(bags, config.cache, learner.task, progress=False)
    learner.distillation.attach(dict(zip(shards, bags)))
    return learner, Samples(shards)


def test_gradients_reach_the_student_and_the_attention_only(either_way):
    learner, samples = attached(either_way)
    teacher = learner.distillation.sources[0].teacher
    method, frozen = learner.distillation.method, {k: v.clone() for k, v in teacher.model.state_dict().items()}
    before = {k: v.clone() for k, v in method.bottleneck.state_dict().items()}
    learner.step(learner.prepare(samples, np.arange(4), 0), 0, 1e-3)
    assert all(torch.equal(v, teacher.model.state_dict()[k]) for k, v in frozen.items())
    assert learner.model.backbone.conv1.weight.grad.abs().sum() > 0
    assert method.attention.query.weight.grad.abs().sum() > 0
    assert all(p.grad is None for p in [*teacher.model.parameters(), *method.bottleneck.parameters()])
    assert any(not torch.equal(v, method.bottleneck.state_dict()[k]) for k, v in before.items())
    trained = {id(p) for options in learner.optimiser.param_groups for p in options["params"]}
    assert not trained & {id(p) for p in [*teacher.model.parameters(), *method.bottleneck.parameters()]}


def test_the_trainers_step_leaves_the_teachers_answers(either_way):
    learner, samples = attached(either_way)
    inputs, _ = learner.tensors(samples.fetch(np.arange(4)))
    before = learner.distillation.sources[0].teacher.model(**inputs)
    learner.step(learner.prepare(samples, np.arange(4), 0), 0, 1e-2)
    after = learner.distillation.sources[0].teacher.model(**inputs)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_without_the_cache_the_teacher_is_told_what_was_recorded(config, monkeypatch):
    told, fields = [], Teacher.fields
    monkeypatch.setattr(Teacher, "fields", lambda self, inputs, names: told.append(inputs) or fields(self, inputs, names))
    learner, samples = attached(but(config, teacher_cache=False, safe_attention=False, speed_dropout=0.9, target_stretch=1.0))
    samples.rows["target"] = 5.0, 0.0
    batch = learner.prepare(samples, np.arange(8), 0)
    assert batch.hidden_speed.any() and (batch.student_rows["target"][:, 0] > 8.0).all()
    learner.step(batch, 0, 1e-3)
    true = learner.processor.state_tensor(samples.rows["speed"][:8], samples.rows["target"][:8], samples.rows["command"][:8])
    assert torch.equal(told[-1]["state"], true) and not torch.equal(learner.tensors(batch)[0]["state"], true)
    assert torch.equal(told[-1]["image"], learner.tensors(batch)[0]["image"])


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


@pytest.mark.slow
def test_two_processes_agree_on_what_is_trained_beside_the_student(config, tmp_path):
    for number in range(2):  # on a map that the other processes find
        write_bag(tmp_path / "town" / f"b{number}", seconds=4.0, seed=number, town="default", labels=False)
    told = told_by_two(but(config, bags=(tmp_path / "town",), name="pair", epochs=1, pretrain_bottleneck=2), tmp_path)
    assert len(told) == 2 * len(set(told)) > 0, told  # after every step both have the same student, bottleneck and attention
    assert sum("learn_alone" in line for line in told) == 4 and any("after step" in line for line in told)
    load_model(config.models_dir / "pair")


@pytest.mark.slow
def test_two_processes_agree_on_what_a_rival_learns(config, tmp_path):
    told = told_by_two(but(config, name="pair", method="dpk", epochs=1), tmp_path)
    assert len(told) == 2 * len(set(told)) > 0, told


def test_teachers_that_cannot_teach(config):
    with pytest.raises(ConfigError, match="--teacher"):
        train(but(config, teacher=""))
    with pytest.raises(CardError, match="input_width"):
        train(but(config, input_width=128))
    with pytest.raises(ConfigError, match="method out of"):
        but(config, method="osmosis")


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


def test_a_loss_that_is_not_finite_stops_with_the_batch(config, monkeypatch):
    tensors = Learner.tensors

    def broken(self, batch):
        inputs, targets = tensors(self, batch)
        inputs["image"][0, 0, 0, 0] = float("nan")
        return inputs, targets

    monkeypatch.setattr(Learner, "tensors", broken)
    with pytest.raises(TrainingError, match="finite loss at step .*bad_batch"):
        train(but(config, augment=False))


@pytest.mark.parametrize("steps, name", [(0, "bad_batch_0_0.npz"), (2, "bad_batch_pretrain_0.npz")])
def test_what_the_teacher_answered_is_in_the_bad_batch(config, monkeypatch, steps, name):
    fetch = TeacherCache.fetch

    def broken(self, places):
        answers = fetch(self, places)
        answers["mean_stage2"][1, 2] = np.nan
        return answers

    monkeypatch.setattr(TeacherCache, "fetch", broken)
    with pytest.raises(TrainingError, match=f"finite loss.*{name}"):
        train(but(config, pretrain_bottleneck=steps))
    with np.load(config.runs_dir / "student" / name) as data:
        assert np.isnan(data["teacher.mean_stage2"][1, 2]) and data["bev"].shape == (4, 180, 180, 3)
        assert {"rows", "told", "images", "obstacles", "hidden_speed"} <= set(data)
