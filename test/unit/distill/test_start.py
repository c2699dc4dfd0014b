"""A training run that starts from a model, hides the speed, and names the planning states."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.training import but

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import CardError, ConfigError
from kd_planner_ros.distill.batches import require_read
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.distill.start import warm_start
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.blocks.resnet_d import ResNetD, ResNetDSpec
from kd_planner_ros.runtime.paths import models_folder
from kd_planner_ros.runtime.store import load_model
from kd_planner_ros.samples.augment import stretch_targets
from kd_planner_ros.samples.dataset import Samples, weights
from kd_planner_ros.samples.rows import SAMPLE_DTYPE, STATES
from kd_planner_ros.samples.shards import build_shards

MODELS = models_folder()


@pytest.fixture
def config(train_config):
    return but(train_config, name="first", epochs=1)


def samples_of(config, learner):
    return Samples(build_shards(find_bags(config.bags), config.cache, learner.task, progress=False))


def test_starts_from_a_model_and_says_so_on_the_card(config):
    first = train(config)
    again = but(config, name="second", init=first.model, seed=2)
    camera = cameras(config.bags[0] / "b0")[0]
    model, begun, trained = (Learner(one, join("cpu"), camera).model.state_dict()
                             for one in (config, again, but(again, seed=3)))
    assert torch.equal(begun["output_traj.weight"], trained["output_traj.weight"])
    assert not torch.equal(begun["output_traj.weight"], model["output_traj.weight"])
    assert again.recipe["init"] == "first"


def test_a_model_of_another_size_is_refused(config):
    first = train(config)
    with pytest.raises(CardError, match="give the same size"):
        Learner(but(config, init=first.model, size="7.6m"), join("cpu"))


def test_a_deeper_network_starts_as_the_shallower_one(config):
    first = train(config)
    camera = cameras(config.bags[0] / "b0")[0]
    small = Learner(but(config, size="7.6m"), join("cpu"), camera)
    big = Learner(but(config, size="13.9m", seed=5), join("cpu"), camera)
    taken = warm_start(big.model, small.model)
    assert taken == set(small.model.state_dict()) < set(big.model.state_dict())
    image, state = torch.rand(2, 3, 32, 64), torch.rand(2, 9)
    with torch.no_grad():
        ours, theirs = big.model.eval()(image, state), small.model.eval()(image, state)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    grown = Learner(but(config, name="grown", size="7.6m", warm_start=first.model), join("cpu"), camera)
    assert 0 < len(grown.start.taken) < grown.start.tensors  # the narrower last stage and what hangs on it stay fresh
    facts = grown.start.facts()["start"]
    assert facts["name"] == "first" and facts["data"]["maps"] and len(facts["sha256"]) == 64


def test_bottlenecks_that_a_start_lacks_begin_as_the_identity():
    torch.manual_seed(0)
    short, long = ResNetD(ResNetDSpec((1, 1), 4)).eval(), ResNetD(ResNetDSpec((3, 2), 4)).eval()
    assert warm_start(long, short) == set(short.state_dict())
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(long(image), short(image), strict=True))


def test_a_block_of_another_kind_is_left_fresh():
    """A BasicBlock's first normalisation fits a bottleneck's; beside fresh convolutions it would be out of place."""
    given, grown = ResNetD(ResNetDSpec((1,), 1)), ResNetD(ResNetDSpec((1,), 4))
    given.layer1[0].bn1.weight.data.fill_(7.0)
    taken = warm_start(grown, given)
    assert (grown.layer1[0].bn1.weight == 1.0).all()
    assert taken == {name for name in given.state_dict() if not name.startswith("layer")}


@pytest.mark.slow
def test_the_card_names_the_start_and_its_maps(config):
    first = train(config)
    second = train(but(config, name="second", size="7.6m", warm_start=first.model))
    training = read_card(Path(second.model)).training
    assert training["start"]["name"] == "first" and training["recipe"]["warm_start"] == "first"
    assert "--warm-start first" in training["command"]
    with pytest.raises(ConfigError, match="at most one of the options that choose the start weights; got --init, --warm-start"):
        but(config, init=first.model, warm_start=first.model)
    with pytest.raises(CardError, match="a model of network interfuser like the one"):
        Learner(but(config, network="interfuser", size="3.8m", init=MODELS / "tcp64_7m6"), join("cpu"))


@pytest.mark.slow
def test_another_network_lends_its_camera_backbone_alone(config):
    other = but(config, network="interfuser", size="11.7m", front_px=64, warm_start=MODELS / "tcp64_7m6")
    learner, lender = Learner(other, join("cpu")), load_model(MODELS / "tcp64_7m6")[0].backbone.state_dict()
    begun = learner.model.rgb_backbone.state_dict()
    assert all(torch.equal(value, lender[name]) for name, value in begun.items())  # both are ResNet-10
    fresh = Learner(but(other, warm_start=None), join("cpu")).model
    assert torch.equal(fresh.lidar_backbone.layer1[0].conv1.weight, learner.model.lidar_backbone.layer1[0].conv1.weight)
    facts = learner.start.facts()["start"]
    assert facts["name"] == "tcp64_7m6" and facts["taken"].startswith(f"{len(begun)} of ") and facts["data"]["maps"]
    with pytest.raises(CardError, match="a start with a ResNetD as camera backbone"):
        Learner(but(other, size="26.3m"), join("cpu"))


def test_a_local_file_fills_the_backbone(config, tmp_path):
    given = Learner(but(config, seed=7), join("cpu")).model.backbone.state_dict()
    torch.save(given, tmp_path / "imagenet.pth")
    learner = Learner(but(config, backbone_weights=tmp_path / "imagenet.pth"), join("cpu"))
    assert all(torch.equal(value, given[name]) for name, value in learner.model.backbone.state_dict().items())
    assert learner.start.facts()["start"]["name"] == learner.config.recipe["backbone_weights"] == "imagenet.pth"
    with pytest.raises(ConfigError, match="no such file"):
        Learner(but(config, backbone_weights=tmp_path / "none.pth"), join("cpu"))
    with pytest.raises(ConfigError, match="at most one of the options that choose the start weights"):
        but(config, backbone_weights=tmp_path / "imagenet.pth", init=tmp_path)


def test_hidden_speeds_reach_the_network_as_zero(config):
    learner = Learner(but(config, speed_dropout=0.5, augment=False), join("cpu"))
    batch = learner.prepare(samples_of(config, learner), np.zeros(64, int), 0)
    state = learner.tensors(batch)[0]["state"][:, 0]
    assert 10 < batch.hidden_speed.sum() < 54
    assert (state[torch.from_numpy(batch.hidden_speed)] == 0).all()
    assert (state[torch.from_numpy(~batch.hidden_speed)] > 0).all()
    with pytest.raises(ConfigError, match="--speed-dropout"):
        but(config, speed_dropout=1.0)


def test_an_input_that_the_network_lacks_is_not_changed_in_silence(config):
    task = Learner(config, join("cpu")).task
    require_read(but(config, speed_dropout=0.5, target_stretch=1.0), task)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(task), "reads", ("target",))
        require_read(but(config, target_stretch=1.0), task)
        with pytest.raises(ConfigError, match="no --speed-dropout, for network 'tcp' reads no speed; got 0.5; leave --speed-dropout out"):
            require_read(but(config, speed_dropout=0.5), task)


def test_near_targets_are_moved_out_along_their_direction(config):
    targets = np.array([[4.0, 3.0]] * 500 + [[20.0, -1.0]] * 500 + [[0.0, 0.0]], np.float32)
    moved = targets.copy()
    stretch_targets(moved, 0.5, np.random.default_rng(0))
    lengths = np.linalg.norm(moved[:500], axis=1)
    far = lengths > 5.1
    assert 200 < far.sum() < 300 and lengths[far].min() > 8.0 and lengths[far].max() < 30.0
    assert np.allclose(moved[:500, 1] / moved[:500, 0], 0.75) and np.array_equal(moved[500:], targets[500:])
    plain, stretched = (Learner(but(config, target_stretch=share, augment=False), join("cpu")) for share in (0.0, 1.0))
    samples = samples_of(config, plain)
    samples.rows["target"] = (3.0, 4.0)
    one, two = (learner.prepare(samples, np.arange(4), 0).student_rows["target"] for learner in (plain, stretched))
    assert np.allclose(np.linalg.norm(one, axis=1), 5.0) and (np.linalg.norm(two, axis=1) > 7.9).all()
    assert np.allclose(samples.rows["target"], (3.0, 4.0))  # the samples stay as they are


def test_the_state_head_learns_and_is_not_shipped(config):
    learner = Learner(but(config, states_weight=1.0), join("cpu"))
    batch = learner.prepare(samples_of(config, learner), np.arange(4), 0)
    before = learner.heads.states.read.weight.clone()
    assert learner.step(batch, 0, 1e-3)["states"] > 0
    assert not torch.equal(before, learner.heads.states.read.weight)
    assert not any("states.read" in name for name in learner.shipped.state_dict())


def test_the_heads_beside_the_network_take_maps_in_bf16(config):
    learner = Learner(but(config, states_weight=1.0, semantic_weight=1.0, precision="bf16"), join("cpu"))
    values = learner.step(learner.prepare(samples_of(config, learner), np.arange(4), 0), 0, 1e-3)
    assert np.isfinite(list(values.values())).all() and values["states"] > 0


def test_a_start_that_has_seen_the_evaluation_map_is_refused(config):
    first = train(config)
    card = read_card(Path(first.model))
    before = {"start": {"name": "old", "teacher": {"data": {"maps": ["Town05HD"]}}}}  # two generations back
    (Path(first.model) / "card.json").write_text(replace(card, training={**card.training, **before}).to_json())
    with pytest.raises(ConfigError, match="has not seen the evaluation maps Town05"):
        Learner(but(config, warm_start=first.model), join("cpu"))
    told = Learner(but(config, warm_start=first.model, allow_leak=True), join("cpu")).start.facts()
    assert "Town05" in told["start"]["data"]["maps"]  # so that the next generation knows


def test_starts_are_drawn_as_often_as_asked():
    rows = np.zeros(3, SAMPLE_DTYPE)
    rows["speed"], rows["ahead_m"] = (5.0, 0.0, 5.0), (10.0, 3.0, 10.0)
    assert weights(rows, 6.0).tolist() == [1.0, 6.0, 1.0]


def test_moments_to_brake_are_drawn_as_often_as_asked():
    rows = np.zeros(4, SAMPLE_DTYPE)
    rows["speed"], rows["ahead_m"], rows["states"] = 5.0, 10.0, 0
    rows["states"][1, STATES.index("brake")] = rows["states"][2, STATES.index("pedestrian")] = 1
    rows["states"][3], rows["speed"][3], rows["ahead_m"][3] = 1, 0.5, 0.4  # too slow to be a moment of danger
    assert weights(rows, 6.0, 3.0).tolist() == [1.0, 3.0, 3.0, 1.0]
    assert weights(rows).tolist() == [1.0] * 4
