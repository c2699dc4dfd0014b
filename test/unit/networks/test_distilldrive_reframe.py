"""Training pictures that are zoomed, turned and shifted still show what their projection says."""

import numpy as np
import pytest
import torch

from kd_planner_ros.networks.distilldrive import reframe
from kd_planner_ros.networks.distilldrive.config import DistillDriveConfig
from kd_planner_ros.networks.distilldrive.processor import projection
from kd_planner_ros.networks.distilldrive.reframe import reframed, still_shown

CONFIG = DistillDriveConfig()
HEIGHT, WIDTH = CONFIG.spec.height, CONFIG.spec.width_px
PROJECTIONS = np.stack([projection(spec, CONFIG) for spec in CONFIG.camera_specs])
POINT = np.array([16.0, 1.5, 1.4, 1.0])


def place(matrix, point=POINT):
    u, v, depth = matrix @ point
    return np.array([u / depth * WIDTH, v / depth * HEIGHT])


def with_dot():
    """A black picture of the front camera with a bright square at the point's pixel."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    column, row = np.floor(place(PROJECTIONS[0])).astype(int)
    picture[row - 2:row + 3, column - 2:column + 3] = 255
    return picture


def test_a_point_lies_where_the_changed_projection_says():
    count = 40
    pictures = np.repeat(with_dot()[None], count, 0)
    changed, projections = reframed(pictures, np.repeat(PROJECTIONS[:1], count, 0), np.random.default_rng(3))
    moved = [not np.array_equal(one, PROJECTIONS[0]) for one in projections]
    assert 0.5 < np.mean(moved) < 1.0
    for picture, matrix, own in zip(changed, projections, moved, strict=True):
        rows, columns = np.nonzero(picture[..., 0] > 100)
        # the square's middle is up to half a pixel off, zoomed
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(tuple(place(matrix)), abs=1.0)
        assert own or np.array_equal(picture, pictures[0])
    assert np.ptp([place(matrix)[0] for matrix in projections]) > 20.0


def test_depth_stays_and_the_same_draw_gives_the_same_pictures():
    pictures, projections = with_dot()[None].repeat(4, 0), PROJECTIONS[:1].repeat(4, 0)
    first, again = (reframed(pictures, projections, np.random.default_rng(7)) for _ in range(2))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], again[1])
    assert np.array_equal(first[1][:, 2], projections[:, 2]) and np.array_equal(pictures[0], with_dot())


def test_who_is_no_longer_in_a_picture_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(reframe, "SHARE", 1.0)
    boxes = torch.zeros(1, 3, 10)
    boxes[0, :, :3] = torch.tensor([[20.0, 0.0, 0.8], [9.0, 9.5, 0.8], [-20.0, 0.0, 0.8]])
    recorded = torch.from_numpy(PROJECTIONS)[None]
    targets = {"boxes": boxes, "shown": torch.tensor([[True, True, True]]), "projection": recorded, "seen": torch.ones(1, 3)}
    assert still_shown(targets, recorded, torch.ones(1, 3)).tolist() == [[True, True, True]], "what is unchanged asks as before"
    away = recorded.clone()
    away[:, 0, 0] += 2.0 * away[:, 0, 2]  # the front picture's frame, two widths aside
    assert still_shown(targets, away, torch.ones(1, 3)).tolist() == [[False, True, True]]
    assert still_shown(targets, recorded, torch.tensor([[1.0, 0.0, 1.0]])).tolist() == [[True, False, True]], "a picture that is missing"
