"""The auxiliary semantic grid: what a cell holds, the loss by hand, and that it teaches the backbone."""


import numpy as np
import pytest
import torch
from support.bags import write_bag
from support.training import but, training

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.imaging.class_grid import GROUPS, UNKNOWN, class_grid
from kd_planner_ros.networks.blocks.auxiliary import AuxiliaryHeads
from kd_planner_ros.networks.blocks.semantic_head import SemanticHead, semantic_loss
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.networks.tcp.processor import build_processor
from kd_planner_ros.networks.tcp.training import TCPTask
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards

ROAD, LINE, CAR, WALKER, SKY = 1, 24, 14, 12, 11


def test_one_pixel_of_a_walker_owns_its_cell():
    tags = np.full((16, 24), ROAD, np.uint8)
    tags[:, 8:16], tags[0, 0], tags[15, 9], tags[8, 20] = SKY, CAR, WALKER, LINE
    grid = class_grid(tags, 16, 24)
    names = [[GROUPS[group][0] for group in row] for row in grid]
    assert names == [["vehicle", "background", "road"], ["road", "vulnerable", "marking"]]


def test_labels_of_another_size_are_scaled_without_mixing():
    tags = np.repeat(np.repeat(np.array([[ROAD, CAR]], np.uint8), 32, 0), 32, 1)
    assert class_grid(tags, 16, 16).tolist() == [[1, 3], [1, 3]]
    assert class_grid(tags, 19, 21).shape == (2, 2)


def test_loss_by_hand():
    logits = torch.zeros(1, len(GROUPS), 1, 2)
    logits[0, 5, 0, 1] = 2.0
    grids = torch.tensor([[[0, 5]]], dtype=torch.uint8)
    alone = np.log(len(GROUPS)), np.log(len(GROUPS) - 1 + np.exp(2.0)) - 2.0
    expected = (0.25 * alone[0] + 3.0 * alone[1]) / 3.25
    assert float(semantic_loss(logits, grids)) == pytest.approx(expected, rel=1e-5)
    unknown = torch.full((1, 1, 2), UNKNOWN, dtype=torch.uint8)
    assert float(semantic_loss(logits, unknown)) == 0.0
    assert float(semantic_loss(logits, torch.tensor([[[0, UNKNOWN]]], dtype=torch.uint8))) == pytest.approx(alone[0], rel=1e-5)


def test_the_head_draws_on_the_finest_map():
    head = SemanticHead((4, 8, 16))
    maps = [torch.randn(2, 4, 6, 10), torch.randn(2, 8, 3, 5), torch.randn(2, 16, 2, 3)]
    assert head(maps).shape == (2, len(GROUPS), 6, 10)


def test_without_weights_there_are_no_heads():
    task = TCPTask(build_processor(TCPConfig(size="3.1m")))
    assert not task.reads_features and task.modules(torch.nn.Identity()) is None and task.auxiliary_losses({}, None) == {}
    heads = AuxiliaryHeads(0.0, 0.0, ())
    assert not list(heads.parameters()) and heads.losses({}, None) == {}


@pytest.mark.slow
def test_recorded_labels_reach_the_backbone(tmp_path):
    torch.set_num_threads(1)
    with_labels = write_bag(tmp_path / "bags" / "a", seconds=4.0)
    without = write_bag(tmp_path / "bags" / "b", seconds=4.0, seed=1, labels=False)
    config = training(bags=(tmp_path / "bags",), size="3.1m", input_height=32, input_width=64, batch=4, device="cpu",
                         semantic_weight=1.0, augment=False)
    learner = Learner(config, join("cpu"))
    shards = build_shards(find_bags(config.bags), tmp_path / "cache", learner.task, progress=False)
    by_name = {shard.facts["bag"]: shard for shard in shards}
    assert (by_name["b"].grids == UNKNOWN).all()
    with open_bag(with_labels) as recording:
        first = next(iter(recording.samples(labels=("semantic",)))).truth.labels["front"].semantic
    assert np.array_equal(by_name["a"].grids[0], class_grid(first, 32, 64))
    assert not (by_name["a"].grids == UNKNOWN).any() and without.name == "b"
    batch = learner.prepare(Samples([by_name["a"]]), np.arange(4), 0)
    before = learner.step(batch, 0, 1e-3)["semantics"]
    for step in range(1, 15):
        after = learner.step(batch, step, 1e-3)["semantics"]
    assert after < 0.5 * before
    assert not any("semantics" in name for name in learner.shipped.state_dict())
    plain = Learner(but(config, semantic_weight=0.0), join("cpu"))
    assert "semantics" not in plain.step(plain.prepare(Samples(shards), np.arange(4), 0), 0, 1e-3)
