"""The trainer: it learns, it resumes bit-identically, and it refuses what cannot be trained on."""

import csv
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from support.bags import write_bag
from support.interrupting import interrupt_in_step
from support.processes import run_by_torchrun
from support.training import but, training_in

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError, TrainingError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.schedule import learning_rate
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.tcp.training import TCPTask
from kd_planner_ros.runtime.store import load_model
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards


@pytest.fixture(scope="module")
def four_bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bags")
    for number, rate in enumerate((0.25, -0.25, 0.25, -0.25)):
        write_bag(folder / f"b{number}", rate=rate, seconds=4.0, seed=number, labels=False)
    return folder


@pytest.fixture
def config(four_bags, tmp_path):
    torch.set_num_threads(1)
    return training_in(tmp_path, bags=(four_bags,), epochs=3, validation_share=0.3, cache=four_bags.parent / "cache")


def weights_of(folder):
    return checkpoint.load(folder)["learner"]["model"]


@pytest.mark.long
def test_overfits_sixteen_frames(config):
    report = train(but(config, epochs=40, validation_share=0.0, lr=2e-3, batch=8, augment=False, ema=0.0))
    assert report.train_samples == 16 and report.finished
    model, _, card = load_model(config.models_dir / "student")
    learner = Learner(config, join("cpu"))
    learner.model.load_state_dict(model.state_dict())
    shards = build_shards(find_bags(config.bags), config.cache, learner.task, progress=False)
    scores = learner.validate(Samples(shards), 16)
    assert scores["l2_m"] < 0.5 and scores["steer_mae"] < 0.1, scores  # left and right differ by 4.9 m at 2 s
    assert card.training["data"]["maps"] == ["Town01"] and card.training["seed"] == 1


def test_a_validation_reads_at_most_the_samples_that_it_may(config):
    """Evenly spaced, the first and the last among them; 0 reads all."""
    learner = Learner(but(config, validate_samples=5), join("cpu"))
    fetch, read = Samples.fetch, []
    samples = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))
    with mock.patch.object(Samples, "fetch", lambda samples, index, *others: read.append(index) or fetch(samples, index, *others)):
        assert learner.validate(samples, 4)["samples"] == 5
    assert np.concatenate(read).tolist() == np.linspace(0, len(samples) - 1, 5).round().tolist()
    learner.config = but(config, validate_samples=0)
    assert learner.validate(samples, 4)["samples"] == len(samples)


@pytest.mark.slow
def test_resume_is_bit_identical(config, monkeypatch):
    whole = train(but(config, name="whole"))
    steps = interrupt_in_step(monkeypatch, whole.steps // 2)
    half = train(but(config, name="halves"))
    assert not half.finished and half.steps == whole.steps // 2
    rest = train(but(config, name="halves"))
    assert rest.finished and rest.steps == whole.steps and steps == list(range(whole.steps))
    one, two = (checkpoint.load(config.runs_dir / name) for name in ("whole", "halves"))
    for part in ("model", "mean"):
        for name, value in (one["learner"][part] or {}).items():
            assert torch.equal(value, two["learner"][part][name]), name
    for first, second in zip(one["learner"]["optimiser"]["state"].values(),
                             two["learner"]["optimiser"]["state"].values()):
        assert torch.equal(first["exp_avg"], second["exp_avg"])
    assert one["best"]["validation"] == two["best"]["validation"]
    files = [(config.models_dir / name / "weights.safetensors").read_bytes() for name in ("whole", "halves")]
    assert files[0] == files[1]
    logged = [int(row[0]) for row in csv.reader((config.runs_dir / "halves" / "log.csv").open()) if row[0].isdigit()]
    assert logged == sorted(logged)


def test_a_run_ended_early_by_fewer_epochs_is_validated_and_shipped(config, monkeypatch):
    interrupt_in_step(monkeypatch, 3)
    assert not train(but(config, name="short")).finished
    assert not (config.models_dir / "short").exists()
    report = train(but(config, name="short", epochs=1e-6))  # nothing is left to train
    assert report.finished and report.steps == report.best_step == 3
    assert (config.models_dir / "short" / "card.json").is_file()


@pytest.mark.slow
def test_the_card_says_how_long_the_run_was_to_be_and_whether_it_was(config, monkeypatch):
    def card():
        return read_card(config.models_dir / "student")

    train(config)
    assert card().training["planned"] == {"epochs": 3, "max_minutes": 0.0} and card().finished
    weights, selection_score = card().weights_sha256, TCPTask.selection_score
    monkeypatch.setattr(TCPTask, "selection_score", lambda self, scores: 10.0 + selection_score(self, scores))  # the best is shipped
    longer = but(config, epochs=5)
    interrupt_in_step(monkeypatch, 1)
    assert not train(longer).finished
    assert card().training["planned"]["epochs"] == 5 and not card().finished
    for epochs in (5, 4):  # to its end, and then to be as short as it no longer is
        assert train(but(config, epochs=epochs)).finished and card().finished
        assert card().training["planned"]["epochs"] == epochs and f"--epochs {epochs}" in card().training["command"]
    assert card().weights_sha256 == weights
    load_model(config.models_dir / "student")


@pytest.mark.slow
def test_of_equal_scores_the_last_weights_are_shipped(config, monkeypatch):
    monkeypatch.setattr(TCPTask, "selection_score", lambda self, scores: 1.0)
    report = train(config)
    assert report.best_step == report.steps > 0


def test_weights_shipped_before_the_end_are_not_finished(config, monkeypatch):
    interrupt_in_step(monkeypatch, 5)  # an epoch has fewer steps, and ends with a validation
    assert not train(config).finished
    card = read_card(config.models_dir / "student")
    assert not card.finished and card.training["steps"] < 5
    assert replace(card, training={}).finished  # cards from before they said so


@pytest.mark.slow
def test_the_card_of_another_run_is_left_alone(config):
    train(config)
    card = config.models_dir / "student" / "card.json"
    mine = card.read_bytes()
    with pytest.raises(ConfigError, match="got a model trained with other seed; give another --name, or --fresh"):
        train(but(config, seed=2, runs_dir=config.runs_dir / "others"))
    assert card.read_bytes() == mine
    train(but(config, seed=2, runs_dir=config.runs_dir / "others", fresh=True))
    other = card.read_bytes()
    with pytest.raises(ConfigError, match="the model of this run .*other seed"):
        train(but(config, epochs=2))
    assert card.read_bytes() == other != mine


@pytest.mark.slow
def test_a_model_of_the_same_recipe_from_other_recordings_is_not_replaced(config, tmp_path):
    train(but(config, epochs=0.2))
    write_bag(tmp_path / "more" / "b", seconds=4.0, seed=9, labels=False)
    shutil.rmtree(config.runs_dir)
    with pytest.raises(ConfigError, match="got a model trained with other recordings"):
        train(but(config, epochs=0.2, bags=(*config.bags, tmp_path / "more")))
    assert train(but(config, epochs=0.2)).finished  # the same training once more


@pytest.mark.parametrize("broken", [b"{", b"[]"])
def test_a_broken_card_is_not_replaced_in_silence(config, broken):
    (config.models_dir / "student").mkdir(parents=True)
    (config.models_dir / "student" / "card.json").write_bytes(broken)
    with pytest.raises(ConfigError, match="the model of this run in .*--fresh"):
        train(config)


@pytest.mark.parametrize("option", ["models_dir", "runs_dir"])
def test_a_folder_with_other_files_is_left_alone(config, option):
    folder = getattr(config, option) / "student"
    folder.mkdir(parents=True)
    (folder / "holiday.jpg").write_text("mine")
    for fresh in (False, True):
        with pytest.raises(ConfigError, match=f"other files, for example holiday.jpg; give another --name or --{option.replace('_', '-')}"):
            train(but(config, fresh=fresh))
    assert [path.name for path in folder.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("option", ["models_dir", "runs_dir"])
def test_a_folder_that_nobody_can_make_is_refused_before_the_training(config, option, monkeypatch):
    """The model is written at the very end."""
    monkeypatch.setattr("kd_planner_ros.distill.train.require_sensors", lambda config: pytest.fail("the training has begun"))
    with pytest.raises(OSError, match="/proc/no"):
        train(but(config, **{option: Path("/proc/no")}))


@pytest.mark.parametrize("name", [" ", "a/b", "..", ".hidden", "-x", "a,b", "auto", "expert", "constant_velocity", "a\nb"])
def test_a_name_that_no_command_would_find_is_refused(config, name):
    with pytest.raises(ConfigError, match="--name"):
        but(config, name=name)


def test_a_model_without_a_name_is_called_after_its_network(config):
    assert but(config, name="").name == f"{config.network}_student"


@pytest.mark.slow
def test_a_finished_run_ships_its_model_again_if_it_was_deleted(config, tmp_path, capsys):
    first = train(config)
    (Path(first.model) / "weights.safetensors").unlink()
    again = train(config)
    assert again.finished and again.best_step == again.steps == first.steps and again.validation["l2_m"] > 0.0
    assert load_model(config.models_dir / "student")[2].training["planned"] == {"epochs": 3, "max_minutes": 0.0}
    assert "gone, and with it the best weights" in capsys.readouterr().err
    shutil.rmtree(first.model)
    elsewhere = train(but(config, models_dir=tmp_path / "others"))
    load_model(tmp_path / "others" / "student")
    assert elsewhere.finished


@pytest.mark.slow
def test_a_run_does_not_go_on_with_other_weights_of_its_start(config):
    first = train(but(config, name="first", epochs=0.2))
    again = but(config, name="again", warm_start=first.model, epochs=0.2)
    train(again)
    train(but(config, name="first", epochs=0.2, seed=9, fresh=True))
    with pytest.raises(TrainingError, match="other values of weights of the start"):
        train(again)


def test_another_seed_gives_other_weights(config):
    train(but(config, name="a", epochs=1))
    train(but(config, name="b", epochs=1, seed=2))
    assert any(not torch.equal(x, y) for x, y in
               zip(weights_of(config.runs_dir / "a").values(), weights_of(config.runs_dir / "b").values()))


def test_loss_that_is_not_finite_stops_and_keeps_the_batch(config, monkeypatch):
    train(but(config, epochs=1))
    before = (config.runs_dir / "student" / "last.pt").read_bytes()
    tensors = Learner.tensors

    def broken(self, batch):
        inputs, targets = tensors(self, batch)
        inputs["image"][0, 0, 0, 0] = float("nan")
        return inputs, targets

    monkeypatch.setattr(Learner, "tensors", broken)
    with pytest.raises(TrainingError, match="finite loss at step .*bad_batch") as caught:
        train(but(config, epochs=3))
    assert "\n" not in str(caught.value)
    (saved,) = (config.runs_dir / "student").glob("bad_batch_*.npz")
    with np.load(saved) as data:
        assert data["images"].shape == (4, 32, 64, 3) and len(data["rows"]) == 4
    assert (config.runs_dir / "student" / "last.pt").read_bytes() == before


@pytest.mark.slow
def test_a_broken_checkpoint_falls_back_to_the_one_before(config):
    train(but(config, epochs=1))
    train(but(config, epochs=2))
    folder = config.runs_dir / "student"
    (folder / "last.pt").write_bytes((folder / "last.pt").read_bytes()[:1000])
    report = train(but(config, epochs=2))
    assert report.finished
    for name in ("last.pt", "previous.pt"):
        (folder / name).write_bytes(b"nonsense")
    with pytest.raises(TrainingError, match="readable checkpoint.*--fresh"):
        train(but(config, epochs=2))
    assert train(but(config, epochs=1, fresh=True)).finished


def test_another_recipe_does_not_go_on(config):
    train(but(config, epochs=1))
    with pytest.raises(TrainingError, match="other values of lr, seed"):
        train(but(config, epochs=1, seed=5, lr=1e-3))


def test_another_recipe_is_found_before_samples_are_made(config, monkeypatch):
    train(but(config, epochs=0.2))
    monkeypatch.setattr("kd_planner_ros.distill.train.build_shards", lambda *_: pytest.fail("samples were made"))
    with pytest.raises(TrainingError, match="other values of lr"):
        train(but(config, epochs=0.2, lr=1e-3))


def test_another_length_is_said(config, capsys):
    train(but(config, epochs=0.2))
    assert "goes on" not in capsys.readouterr().err
    train(but(config, epochs=0.4))
    assert "with epochs 0.2 -> 0.4: learning rate and stages follow the new length" in capsys.readouterr().err


def test_a_checkpoint_without_a_recipe_is_refused(config):
    checkpoint.save(config.runs_dir / "student", {"step": 3})
    with pytest.raises(TrainingError, match="one without a recipe; start anew with --fresh"):
        train(config)


@pytest.mark.parametrize("town, told", [("Town05", ""), ("Town05_Opt", ""), ("", "Carla/Maps/Town05")])
def test_evaluation_map_is_refused(config, tmp_path, town, told):
    write_bag(tmp_path / "leak" / "b", seconds=4.0, town=town, told=told, labels=False)
    leaky = but(config, bags=(*config.bags, tmp_path / "leak"))
    with pytest.raises(ConfigError, match="Town05.*--allow-leak"):
        train(leaky)
    assert train(but(leaky, allow_leak=True, epochs=0.1)).steps == 1


def test_parts_of_a_published_split_that_are_no_training_data_are_refused(config, tmp_path):
    for part in ("train", "val"):
        write_bag(tmp_path / "set" / part, seconds=4.0, town="dair_a", labels=False)
        metadata = tmp_path / "set" / part / "metadata.yaml"
        metadata.write_text(metadata.read_text().replace("map: dair_a", f"map: dair_a\n    split: {part}"))
    both = but(config, bags=(tmp_path / "set",), validation_share=0.0, epochs=0.1)
    with pytest.raises(ConfigError, match="of the part 'train' .*; got 1 of 'val', such as val; .*--allow-leak"):
        train(both)
    train(but(both, bags=(tmp_path / "set" / "train",)))
    card = read_card(config.models_dir / "student")
    assert card.training["data"]["splits"] == {"dair_a": ["train"]} and card.recordings_seen == {("dair_a", "train")}
    train(but(both, name="leaky", allow_leak=True))
    assert read_card(config.models_dir / "leaky").recordings_seen == {("dair_a", "train"), ("dair_a", "val")}


def test_recordings_of_a_map_without_a_name_are_told(config, tmp_path, capsys):
    write_bag(tmp_path / "nameless" / "b", seconds=4.0, town="", labels=False)
    train(but(config, bags=(*config.bags, tmp_path / "nameless"), validation_share=0.0, epochs=0.1))
    assert "1 of 5 recordings do not say on which map" in capsys.readouterr().err
    assert read_card(config.models_dir / "student").maps_seen == {"", "Town01"}


def test_bad_settings_are_one_line(config):
    with pytest.raises(ConfigError, match="size"):
        train(but(config, size="99m"))
    for wrong in ({"epochs": 0}, {"schedule": "sawtooth"}, {"validation_share": 1.0}, {"ema": 1.0}, {"seed": 2**31}):
        with pytest.raises(ConfigError):
            but(config, **wrong)
    with pytest.raises(ConfigError, match="device auto, cpu, cuda or cuda:N; got 'toaster'"):
        train(but(config, device="toaster"))


def test_running_mean_is_shipped(config):
    train(but(config, ema=0.9, epochs=2))
    state = checkpoint.load(config.runs_dir / "student")["learner"]
    name = next(iter(state["model"]))
    assert not torch.equal(state["model"][name], state["mean"][name])


def test_schedules():
    assert learning_rate("onecycle", 1.0, 0.0) == pytest.approx(0.1)
    assert learning_rate("onecycle", 1.0, 0.05) == pytest.approx(1.0)
    assert learning_rate("onecycle", 1.0, 1.0) == pytest.approx(0.01)
    assert learning_rate("cosine", 1.0, 0.5) == pytest.approx(0.505)
    assert learning_rate("constant", 0.3, 0.9) == 0.3
    held = [learning_rate("hold", 1.0, progress) for progress in (0.0, 0.01, 0.3, 0.75, 0.875, 1.0)]
    assert held == pytest.approx([0.1, 1.0, 1.0, 1.0, 0.505, 0.01])


def test_ctrl_c_while_the_last_validation_runs_loses_nothing(config, monkeypatch):
    validate = Learner.validate

    def interrupted(self, *words):
        os.kill(os.getpid(), signal.SIGINT)
        return validate(self, *words)

    monkeypatch.setattr(Learner, "validate", interrupted)
    report = train(but(config, epochs=1))
    assert report.finished and checkpoint.load(config.runs_dir / "student")["step"] == report.steps == report.best_step
    assert read_card(config.models_dir / "student").finished


@pytest.mark.slow
def test_two_processes_train_together(config, tmp_path):
    pair = but(config, name="pair", epochs=1, device="cpu")
    script = ("from pathlib import Path, PosixPath\n\nfrom kd_planner_ros.distill.train import TrainConfig, train\n\n"
              f"print(train({pair!r}).steps)\n")
    assert run_by_torchrun(script, tmp_path) == [str(checkpoint.load(config.runs_dir / "pair")["step"])] * 2
    load_model(config.models_dir / "pair")
