"""The auxiliary map of the front picture's classes and depth."""

import numpy as np
import pytest
import torch

from kd_planner_ros.imaging.class_grid import GROUPS, UNKNOWN
from kd_planner_ros.imaging.palette import TAGS
from kd_planner_ros.networks.distilldrive import reframe
from kd_planner_ros.networks.distilldrive.config import DistillDriveConfig
from kd_planner_ros.networks.distilldrive.dense import DenseHead, cell_labels, dense_losses, move_of
from kd_planner_ros.networks.distilldrive.heat import zoom
from kd_planner_ros.networks.distilldrive.processor import build_processor, projection

CONFIG = DistillDriveConfig()
HEIGHT, WIDTH = CONFIG.spec.height, CONFIG.spec.width_px
ROWS, COLUMNS = HEIGHT // 8, WIDTH // 8
FRONT = projection(CONFIG.camera_specs[0], CONFIG)
TAG = {name: number for number, (name, _) in enumerate(TAGS)}
ROAD, CAR, WALKER = 1, 3, 5


def scene():
    """Tags and depth of a picture: sky, a road below, a car on it, a walker of two pixels."""
    tags = np.full((HEIGHT, WIDTH), TAG["Sky"], np.uint8)
    depth = np.full((HEIGHT, WIDTH), 1000.0, np.float32)
    tags[64:], depth[64:] = TAG["Road"], np.linspace(60.0, 4.0, HEIGHT - 64)[:, None]
    tags[56:96, 120:200], depth[56:96, 120:200] = TAG["Car"], 12.0
    tags[70, 300:302] = TAG["Pedestrian"]
    return tags, depth


def told(labels, sure=8.0):
    """Answers [1, K + 1, ROWS, COLUMNS] that say ``labels``."""
    logits = sure * torch.nn.functional.one_hot(torch.from_numpy(labels["groups"]).long(), len(GROUPS)).float()
    depth = torch.from_numpy(labels["depths"].astype(np.float32)).clamp(0.5, 80.0).log()
    return torch.cat([logits, depth[..., None]], -1).permute(2, 0, 1)[None]


def targets(labels, move=None):
    identity = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    camera = {"seen": torch.ones(1, 3), "projection": torch.from_numpy(FRONT)[None, None].expand(1, 3, -1, -1)}
    return {name: torch.from_numpy(one)[None] for name, one in labels.items()} | {"move": identity if move is None else move, **camera}


def test_cells_hold_what_matters_most_and_the_depth_of_their_middle():
    labels = cell_labels(*scene())
    groups, depths = labels["groups"], labels["depths"]
    assert groups.shape == depths.shape == (ROWS, COLUMNS) and (groups.dtype, depths.dtype) == (np.uint8, np.float16)
    assert (groups[0, 0], groups[-1, 0], groups[9, 18], groups[8, 37]) == (0, ROAD, CAR, WALKER)
    assert float(depths[9, 18]) == 12.0 and float(depths[0, 0]) == 1000.0


def test_labels_are_cut_as_the_picture_is():
    processor = build_processor(CONFIG)
    rng = np.random.default_rng(1)
    tags = rng.integers(0, 20, (CONFIG.camera_height, CONFIG.camera_width)).astype(np.uint8)
    smooth = np.repeat(np.repeat(tags[::24, ::32], 24, 0), 32, 1)[:CONFIG.camera_height, :CONFIG.camera_width]
    picture = processor.picture("front", np.repeat(smooth[..., None], 3, 2))
    same = processor.section(smooth) == picture[..., 0]
    assert processor.section(smooth).shape == picture.shape[:2] and same.mean() > 0.85, "but for pixels between two fields"


def test_what_is_told_right_costs_nothing_and_wrong_costs():
    labels = cell_labels(*scene())
    right = dense_losses(told(labels), targets(labels))
    assert float(right["dense"]) < 0.05 and float(right["dense_depth"]) < 1e-3
    closer = targets(labels)
    closer["projection"] = closer["projection"].clone()
    closer["projection"][..., 0, :3] *= 1.2
    apart = float(zoom(closer["projection"])[0, 0].log())
    assert float(dense_losses(told(labels), closer)["dense_depth"]) == pytest.approx(apart, abs=1e-3) and apart > 0.1
    wrong = dense_losses(told(labels).flip(-1), targets(labels))
    assert float(wrong["dense"]) > 0.5 and float(wrong["dense_depth"]) > 0.05


def test_a_changed_picture_is_judged_where_its_cells_went(monkeypatch):
    monkeypatch.setattr(reframe, "SHARE", 1.0)
    tags, depth = scene()
    labels = cell_labels(tags, depth)
    pictures = np.repeat(np.stack([tags, tags, tags], -1)[None], 6, 0)
    changed, projections = reframe.reframed(pictures, np.repeat(FRONT[None], 6, 0), np.random.default_rng(5))
    for picture, matrix in zip(changed, projections, strict=True):
        move = move_of(torch.from_numpy(FRONT)[None], torch.from_numpy(matrix)[None])
        seen = told(cell_labels(np.where(np.isin(picture[..., 0], np.unique(tags)), picture[..., 0], 0).astype(np.uint8), depth))
        followed = float(dense_losses(seen, targets(labels, move))["dense"])
        assert followed < 0.6 * float(dense_losses(seen, targets(labels))["dense"])


def test_a_picture_that_is_missing_or_moved_away_teaches_nothing():
    labels = cell_labels(*scene())
    away = torch.tensor([[[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]])
    for given in (targets(labels, away), targets(labels) | {"seen": torch.zeros(1, 3)}):
        answers = told(labels).requires_grad_()
        losses = dense_losses(answers, given)
        assert [float(one.detach()) for one in losses.values()] == [0.0, 0.0]
    unknown = {**labels, "groups": np.full_like(labels["groups"], UNKNOWN)}
    assert float(dense_losses(told(labels), targets(unknown))["dense"]) == 0.0


def test_the_head_reads_maps_of_any_size():
    answers = DenseHead(16)(torch.randn(2, 16, 2 * ROWS, 2 * COLUMNS))
    labels = cell_labels(*scene())
    two = {name: torch.cat([one, one]) for name, one in targets(labels).items()}
    assert answers.shape == (2, len(GROUPS) + 1, 2 * ROWS, 2 * COLUMNS)
    losses = dense_losses(answers, two)
    assert all(one.isfinite() for one in losses.values()) and float(losses["dense"]) == pytest.approx(np.log(len(GROUPS)), abs=0.7)
