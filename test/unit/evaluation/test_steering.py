"""Encoders compared by the steering that a head learns from them: folds of whole blocks, early stopping, going on, bad input."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from support.bags import write_bag
from support.networks import save_seeded, write_card

from kd_planner_ros.bags.source import find_sources
from kd_planner_ros.cli.main import main
from kd_planner_ros.core.errors import BagError, CardError, ConfigError
from kd_planner_ros.evaluation import steering, steering_probe
from kd_planner_ros.evaluation.steering import LAST, MEAN, SteeringConfig, run, table
from kd_planner_ros.evaluation.steering_folds import Blocks, folds, time_blocks
from kd_planner_ros.evaluation.steering_probe import Probe, Settings, Windows, fit, square_error

torch.set_num_threads(1)
SEER = {"size": "tiny", "camera_width": 64, "camera_height": 32}


class Shards:
    """Stands in for ``Samples``: rows of given stamps."""

    def __init__(self, *stamps_s):
        rows = [np.array([(round(one * 1e9),) for one in some], [("stamp", "<i8")]) for some in stamps_s]
        self.shards = [type("Shard", (), {"rows": one, "facts": {"content": f"c{number}"}}) for number, one in enumerate(rows)]


def test_a_window_lies_within_its_block():
    """4 s at 10 Hz in blocks of 2 s, and a recording with a gap after 1 s."""
    blocks = time_blocks(Shards(np.arange(40) / 10, [*np.arange(10) / 10, *(1.5 + np.arange(10) / 10)]), 2.0, 4)
    assert [one.tolist() for one in blocks.samples] == [
        list(range(3, 20)), list(range(23, 40)), [*range(43, 50), *range(53, 55)], list(range(58, 60))]
    assert blocks.left_out == 60 - sum(map(len, blocks.samples)) and len(set(blocks.names)) == 4


def test_a_second_copy_of_a_recording_and_an_empty_one_are_left_out():
    recordings = Shards(np.arange(20) / 10, [], np.arange(20) / 10, np.arange(10) / 10)
    recordings.shards[2].facts = recordings.shards[0].facts
    blocks = time_blocks(recordings, 2.0, 4)
    assert [one.tolist() for one in blocks.samples] == [list(range(3, 20)), list(range(43, 50))]
    assert blocks.repeated == 20


@pytest.mark.parametrize("count", [2, 3, 10])
def test_test_parts_are_disjoint_and_everything(count):
    rng = np.random.default_rng(0)
    sizes = rng.integers(5, 60, 40)
    starts = np.concatenate([[0], np.cumsum(sizes)])
    samples = [np.arange(first, first + size) for first, size in zip(starts, sizes, strict=False)]
    names = [f"block {number}" for number in range(40)]
    found = folds(Blocks(samples, names, 0), count)
    assert np.array_equal(np.sort(np.concatenate([fold.test for fold in found])), np.arange(sizes.sum()))
    tested = [len(fold.test) for fold in found]
    assert max(tested) < 1.3 * min(tested)
    for fold in found:
        assert np.array_equal(np.sort(np.concatenate([fold.train, fold.stop, fold.test])), np.arange(sizes.sum()))
        assert len(fold.stop) and len(fold.train) > len(fold.stop)
        for part in (fold.train, fold.stop, fold.test):
            assert all(np.isin(one, part).all() or not np.isin(one, part).any() for one in samples), "a block was split"
    order = rng.permutation(40)
    other = folds(Blocks([samples[one] for one in order], [names[one] for one in order], 0), count)
    assert all(np.array_equal(one.test, two.test) for one, two in zip(found, other, strict=True))


def test_too_few_blocks_are_refused():
    with pytest.raises(BagError, match="at least 12 blocks of time for 10 folds"):
        folds(Blocks([np.arange(5)] * 11, list("abcdefghijk"), 0), 10)


# --- one probe -----------------------------------------------------------------------------------------------------------

class Known(Windows):
    """Windows whose features say the steering."""

    def __init__(self, count):
        rng = np.random.default_rng(1)
        self.degrees = rng.normal(0.0, 5.0, count).astype(np.float32)
        self.features = rng.normal(0.0, 1.0, (count, 16, 8, 1, 2)).astype(np.float16)
        self.features[:, :, 0] = (self.degrees / 5.0)[:, None, None, None]

    def get(self, index):
        return torch.from_numpy(self.features[index]), torch.from_numpy(self.degrees[index])


@pytest.mark.parametrize("reading", ["probe", "pooling"])
def test_a_head_learns_what_the_features_say(reading):
    torch.manual_seed(0)
    windows, probe = Known(240), Probe((8, 1, 2), reading, 16)
    train, stop, test = np.arange(160), np.arange(160, 200), np.arange(200, 240)
    before = square_error(probe, windows, test, 64)
    fitted = fit(probe, windows, train, stop, Settings(rate=1e-2, rounds=5, stride=1, batch=16, patience=5))
    assert fitted.steps == 5 * 10 and square_error(probe, windows, test, 64) < 0.5 * before


def test_the_gradient_of_a_batch_is_the_same_in_parts(monkeypatch):
    """Behind an encoder that learns, few windows at a time: their pictures would not fit into memory."""
    monkeypatch.setattr(steering_probe, "normalise", lambda seen: seen)
    windows, found = Known(11), []
    for encoder in (None, Last()):
        torch.manual_seed(0)
        probe = Probe((8, 1, 2), "probe", 8, encoder)
        steering_probe._backward(probe, windows, np.arange(11))
        found.append([one.grad for one in probe.head.parameters()])
    assert encoder.sizes == [4 * 16, 4 * 16, 3 * 16]
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-6) for one, other in zip(*found, strict=True))


class Film:
    """Stands in for ``Samples`` of one recording: sample k's window is the 16 pictures up to k."""

    def __init__(self, count):
        self.frames = np.random.default_rng(2).normal(0.0, 1.0, (count, 8, 1, 2)).astype(np.float32)
        self.rows = {"actions": np.random.default_rng(3).normal(0.0, 0.1, (count, 1, 2)).astype(np.float32)}

    def fetch(self, index):
        assert index.min() >= 0
        windows = self.frames[np.maximum(index[:, None] + np.arange(-15, 1), 0)]
        return type("Batch", (), {"arrays": {"image": windows}})


def test_a_test_looks_at_each_picture_once(monkeypatch):
    """Two stretches of samples, whose windows share pictures: the error is that of all windows, each by itself."""
    monkeypatch.setattr(steering_probe, "normalise", lambda seen: seen)
    torch.manual_seed(0)
    windows, index = Windows(Film(60), "image", 70.0, "cpu"), np.r_[15:25, 45:50]
    probe = Probe((8, 1, 2), "probe", 8, Last())
    found = square_error(probe, windows, index, 4)
    assert sum(probe.encoder.sizes) == 25 + 20
    pictures, wanted = windows.get(index)
    assert found == pytest.approx(float((probe(pictures) - wanted).square().mean()), rel=1e-5)


class Last(torch.nn.Module):
    """An encoder that gives back what it sees."""

    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, seen):
        self.sizes.append(len(seen))
        return [seen]


def test_training_stops_early_and_keeps_the_best_round(monkeypatch):
    errors, kept = iter([4.0, 2.0, 3.0, 5.0, 9.0]), []

    def scripted(probe, windows, index, batch):
        kept.append({name: one.clone() for name, one in probe.state_dict().items()})
        return next(errors)

    monkeypatch.setattr(steering_probe, "square_error", scripted)
    torch.manual_seed(0)
    probe = Probe((8, 1, 2), "probe", 8)
    fitted = fit(probe, Known(64), np.arange(64), np.arange(8), Settings(rate=1e-2, rounds=9, stride=2, batch=8, patience=2))
    assert (fitted.rounds, fitted.best, fitted.stop_mse, fitted.steps, fitted.stopped) == (4, 2, 2.0, 16, True)
    assert all(torch.equal(one, kept[1][name]) for name, one in probe.state_dict().items())
    assert not torch.equal(kept[1]["head.out.weight"], kept[3]["head.out.weight"])


# --- the command ---------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Recordings of left and right arcs, and two encoders that have learnt nothing."""
    folder = tmp_path_factory.mktemp("steering")
    for number, rate in enumerate((0.2, -0.2, 0.1)):
        write_bag(folder / "bags" / f"b{number}", rate=rate, seconds=7.0, seed=number, every=2)
    for seed, name in enumerate(("one", "two")):
        save_seeded(folder / "models" / name, "unified_encoder", SEER, seed)
    return folder


def config_in(place, **changes):
    return SteeringConfig(**{"bag": place / "bags", "out": place / "out", "models": ("one", "two"), "folds": 3, "block_s": 3.4,
                             "tuned_folds": 1, "width": 16, "rounds": 2, "steps": 2, "batch": 4, "stride": 2, "cache": place / "cache",
                             "models_dir": place / "models", **changes})


@pytest.fixture(scope="module")
def result(place):
    return run(config_in(place), progress=False)


def test_an_encoder_that_was_trained_on_the_recordings_map_is_marked(tmp_path):
    """The fine-tuned one too: it begins as the first."""
    for name, maps in (("leaked", ["Town01"]), ("held", ["Town03"])):
        write_card(tmp_path / "models" / name, maps=maps)
    bag = write_bag(tmp_path / "b", seconds=3.0)
    seen = {models: steering._trained_on(config_in(tmp_path, bag=bag, models=models), find_sources([bag]))
            for models in (("leaked", "held"), ("held", "leaked"))}
    assert seen == {("leaked", "held"): {"leaked": ["Town01"], "fine-tuned": ["Town01"]}, ("held", "leaked"): {"leaked": ["Town01"]}}
    row = {"folds": [{}], "train_mse": {"mean": 1.0, "std": 0.0}, "test_mse": {"mean": 1.0, "std": 0.0}}
    lines = table({"unit": "x", "encoders": {name: row for name in ("leaked", "held", "fine-tuned")}, "baselines": {}, "pairs": [],
                   "trained_on": seen["leaked", "held"]})
    assert [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:4] == [
        "leaked (map seen)", "held", "fine-tuned (map seen)"]
    assert sum("was trained on Town01, as these recordings" in line for line in lines) == 1


@pytest.mark.slow
def test_every_encoder_is_tested_on_every_fold(place, result):
    assert {name: len(row["folds"]) for name, row in result["encoders"].items()} == {"one": 3, "two": 3, "random": 3, "fine-tuned": 1}
    assert result["blocks"] == 6 and result["samples"] == 210 and sum(result["left_out"].values()) > 0
    for row in result["encoders"].values():
        errors = [cell["test_mse"] for cell in row["folds"]]
        assert np.isfinite(errors).all() and row["test_mse"]["mean"] == pytest.approx(np.mean(errors))
        assert all(cell["steps"] <= 4 and cell["rounds"] <= 2 for cell in row["folds"])
    tuned, frozen = (result["encoders"][name]["folds"][0] for name in ("fine-tuned", "one"))
    assert tuned["test_samples"] == frozen["test_samples"] and tuned["test_mse"] != frozen["test_mse"]
    assert json.loads((place / "out/steering.json").read_text()) == result
    assert (place / "out/steering.md").read_text().splitlines() == table(result)


@pytest.mark.slow
def test_the_trivial_predictors_stand_beside(result):
    """Within a recording the steering never changes; over recordings it does."""
    assert result["baselines"][LAST]["test_mse"]["mean"] == 0.0
    assert result["baselines"][MEAN]["test_mse"]["mean"] > 1.0


@pytest.mark.slow
def test_pairs_are_compared_over_the_folds_that_both_have(result):
    pairs = {(pair["first"], pair["second"]): pair for pair in result["pairs"]}
    assert len(pairs) == 6 and pairs["one", "fine-tuned"]["folds"] == 1 and pairs["one", "random"]["folds"] == 3
    one, two = ([cell["test_mse"] for cell in result["encoders"][name]["folds"]] for name in ("one", "two"))
    gaps = np.subtract(two, one)
    assert pairs["one", "two"]["mean"] == pytest.approx(gaps.mean()) and pairs["one", "two"]["std"] == pytest.approx(gaps.std(ddof=1))
    assert pairs["one", "two"]["first_better"] == (gaps > 0).sum()


@pytest.mark.slow
def test_a_stopped_comparison_goes_on(place, result, monkeypatch):
    (place / "out/folds/two_1.json").unlink()
    trained = []
    original = steering_probe.fit

    def counted(*arguments):
        trained.append(1)
        return original(*arguments)

    monkeypatch.setattr(steering_probe, "fit", counted)
    assert run(config_in(place), progress=False) == result and len(trained) == 1
    with pytest.raises(ConfigError, match="give another --out"):
        run(config_in(place, rounds=3), progress=False)
    cell = place / "out/folds/two_1.json"
    whole = cell.read_text()
    for broken in ("{", "{}", whole.replace(": ", ": NaN, \"x\": ")):
        cell.write_text(broken)
        with pytest.raises(ConfigError, match=r"two_1.json; got .*; delete the file"):
            run(config_in(place), progress=False)
    cell.write_text(whole)


@pytest.mark.slow
def test_the_command_prints_the_table(place, result, capsys):
    words = ["evaluate", "steering", "--bag", place / "bags", "--out", place / "out", "--models", "one", "two", "--folds", 3,
             "--block-s", 3.4, "--tuned-folds", 1, "--width", 16, "--rounds", 2, "--steps", 2, "--batch", 4, "--stride", 2,
             "--cache", place / "cache", "--models-dir", place / "models"]
    assert main([str(word) for word in words]) in (0, None)
    shown = capsys.readouterr().out
    assert "| fine-tuned | 1 |" in shown and "210 samples in 6 blocks of time" in shown


@pytest.mark.parametrize(("changes", "error", "words"), [
    ({"models": ()}, ConfigError, "at least one unified encoder"), ({"width": 6, "models": ("one",)}, ConfigError, "multiple of 4"),
    ({"folds": 5}, BagError, "at least 7 blocks"), ({"models": ("one", "driver")}, CardError, "a unified_driver"),
    ({"models": ("one", "wide")}, CardError, "'input_width' 64")])
def test_bad_input_is_refused(place, tmp_path, changes, error, words):
    for name, network, config in (("driver", "unified_driver", SEER), ("wide", "unified_encoder", {**SEER, "input_width": 96})):
        if not (place / "models" / name).is_dir():
            save_seeded(place / "models" / name, network, config)
    with pytest.raises(error, match=words):
        run(config_in(place, out=tmp_path / "other", **changes), progress=False)
