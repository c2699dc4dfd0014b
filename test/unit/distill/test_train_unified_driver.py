"""The unified driver learns to steer on features of a frozen encoder, which it takes whole from a unified encoder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.bags import write_bag
from support.training import but, training
from support.unified import frame

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import CardError, ConfigError, SensorError
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.unified_driver.training import build_task
from kd_planner_ros.networks.unified_steering.training import FEATURES
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.runtime.store import load_model, save_model
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.rows import sample_dtype
from kd_planner_ros.samples.shards import build_shards

CAMERA = {"camera_x_m": -1.5, "camera_z_m": 2.0}
SEER = {"size": "tiny", "camera_width": 64, "camera_height": 32, **CAMERA}


@pytest.fixture
def config(tmp_path):
    torch.set_num_threads(1)
    for number, rate in enumerate((0.2, -0.2)):
        write_bag(tmp_path / "bags" / f"b{number}", rate=rate, seconds=3.0, seed=number, every=2)
    return training(bags=(tmp_path / "bags",), name="driver", network="unified_driver", size="tiny", batch=8, epochs=20.0, lr=5e-3,
                    **CAMERA, validation_share=0.0, models_dir=tmp_path / "models", runs_dir=tmp_path / "runs", seed=1, ema=0.0,
                    cache=tmp_path / "cache", progress=False, threads=1, device="cpu", precision="fp32", validate_minutes=0)


def seer(config, name="seer", **changes):
    """A unified encoder with random weights in the models folder."""
    network = find_network("unified_encoder")
    found = network.config(SEER | changes)
    torch.manual_seed(7)
    save_model(config.models_dir / name, "unified_encoder", found, network.build_model(found).state_dict(), {"data": {"maps": ["Town07"]}})
    return config.models_dir / name


def learner_of(config):
    others = cameras(find_bags(config.bags)[0])[1]
    return Learner(config, join("cpu"), others["front"], others)


@pytest.mark.slow
def test_it_learns_to_steer_and_keeps_what_it_sees(config):
    """Left turns look bright on the left, right turns on the right; the labels are +7 and -7 degrees."""
    start = seer(config)
    report = train(but(config, warm_start=str(start)))
    card = read_card(config.models_dir / "driver")
    learnt, given = (load_model(path)[0].state_dict() for path in (config.models_dir / "driver", start))
    assert all(torch.equal(learnt[f"perception.{name}"], one) for name, one in given.items())
    assert card.parts == {"perception": {"model": "seer", "sha256": read_card(start).weights_sha256}}
    assert card.training["start"]["taken"] == f"{len(given)} of {len(learnt)} tensors" and "Town07" in card.maps_seen
    assert report.finished and card.network == "unified_driver"
    learner = learner_of(but(config, init=str(config.models_dir / "driver")))
    samples = Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))
    scores = learner.validate(samples, 16)
    assert scores["steer_mse"] < 0.2 * 7.0 ** 2, "the mean predictor has 49 square degrees"
    planner = load_planner("driver", models_dir=config.models_dir)
    assert planner.rig.needs_route and planner.config.limit_mps == 6.5


def test_samples_are_features_of_the_encoder_at_hand(config):
    learner = learner_of(config)
    (first, _) = build_shards(find_bags(config.bags), config.cache, learner.task, progress=False)
    assert first.images.shape[1:] == (0, 0, 3) and first.fields[FEATURES].dtype == np.float16
    batch = Samples([first]).fetch(np.array([20]))
    np.testing.assert_array_equal(batch.arrays[FEATURES][0], first.fields[FEATURES][5:21])
    inputs, targets = learner.tensors(batch)
    assert inputs["window"].shape[:2] == (1, 16) and inputs["image"].numel() == 0
    assert float(targets["steer"][0]) == pytest.approx(0.1 * 70.0)
    other = learner_of(but(config, seed=2))
    assert other.task.key["encoder"] != learner.task.key["encoder"], "another encoder's features are other samples"
    assert learner_of(config).task.key == learner.task.key


def test_windows_are_cut_as_the_planner_fills_them(config):
    task = learner_of(config).task
    windows = np.broadcast_to(np.arange(16, dtype=np.float16)[None, :, None, None, None], (400, 16, 2, 1, 1))
    found = task.augment({FEATURES: windows}, 1.0, np.random.default_rng(0))[FEATURES][..., 0, 0, 0]
    cut = (np.diff(found, axis=1) == 0).any(1)
    assert 60 < cut.sum() < 140 and (found[:, -1] == 15).all()
    for window in found[cut]:
        first = int(window[0])
        assert window.tolist() == [first] * first + list(range(first, 16))
    assert (windows[0, :, 0, 0, 0] == np.arange(16)).all(), "the clean ones stay"


@pytest.mark.parametrize(("changes", "words"), [
    ({"size": "nano", "input_height": 32, "input_width": 64}, "'size' is 'tiny'"), ({"metric": False}, "'metric' is True"),
    ({"camera_x_m": 1.3}, "'camera_x_m' is -1.5")])
def test_a_unified_encoder_of_other_facts_is_refused(config, changes, words):
    with pytest.raises(CardError, match=words):
        learner_of(but(config, warm_start=str(seer(config, "other", **changes))))


def test_a_recording_with_the_camera_elsewhere_is_refused(config):
    """The recordings of these tests do not say where their camera was."""
    learner = learner_of(config)
    shown = frame(config=learner.model_config)
    assert learner.task.record((shown,), None, {})[FEATURES].shape == (64, 1, 2)
    moved = replace(learner.model_config.camera, pose=Pose(x=1.3, z=2.0))
    with pytest.raises(SensorError, match="--unified_driver.camera-x-m 1.3"):
        learner.task.record((replace(shown, calibrations={"front": moved}),), None, {})


def test_a_task_without_a_model_makes_no_samples():
    network = find_network("unified_driver")
    with pytest.raises(ConfigError, match="without a model"):
        _ = build_task(network.build_processor(network.config({"size": "tiny"}))).key


def test_unknown_steering_is_left_out_of_the_loss(config):
    learner = learner_of(config)
    rows = np.zeros(2, sample_dtype(0))
    rows["actions"][:, 0, 1] = 0.1, np.nan
    targets = learner.task.targets(rows, {})
    found = learner.task.loss({"steer": torch.tensor([8.0, 500.0])}, targets, {})
    assert float(found.total) == pytest.approx(1.0, rel=1e-5) and found.count == 1
    none = learner.task.loss({"steer": torch.tensor([8.0], requires_grad=True)}, {name: one[1:] for name, one in targets.items()}, {})
    assert float(none.total.detach()) == 0.0 and none.count == 0
