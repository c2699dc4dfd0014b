"""The auxiliary map: where pictures show road users."""

import math

import numpy as np
import pytest
import torch

from kd_planner_ros.networks.distilldrive.config import KINDS, DistillDriveConfig
from kd_planner_ros.networks.distilldrive.heat import HeatHead, bumps, heat_losses, middles
from kd_planner_ros.networks.distilldrive.layers import IMPROBABLE
from kd_planner_ros.networks.distilldrive.processor import projection

CONFIG = DistillDriveConfig()
ROWS, COLUMNS = 16, 44


def targets(*users):
    """One sample with road users (x, y, kind) of 4.5 x 1.8 x 1.5 m, all shown."""
    boxes = torch.zeros(1, 4, 10)
    kinds = torch.full((1, 4), -1)
    for row, (x, y, kind) in enumerate(users):
        boxes[0, row, :6] = torch.tensor([x, y, 0.75, math.log(4.5), math.log(1.8), math.log(1.5)])
        kinds[0, row] = kind
    projections = torch.from_numpy(np.stack([projection(spec, CONFIG) for spec in CONFIG.camera_specs]))[None]
    return {"boxes": boxes, "kinds": kinds, "shown": kinds >= 0, "projection": projections, "seen": torch.ones(1, 3)}


def test_a_road_user_ahead_is_in_the_middle_of_the_front_picture_alone():
    at = middles(targets((21.3, 0.0, 0)), ROWS, COLUMNS)
    assert at.there[0, :, 0].tolist() == [True, False, False] and not at.there[0, :, 1:].any()
    assert int(at.column[0, 0, 0]) == COLUMNS // 2 and float(at.depth[0, 0, 0]) == pytest.approx(20.0, abs=1e-3)
    near = middles(targets((11.3, 0.0, 0)), ROWS, COLUMNS)
    assert float(near.spread[0, 0, 0]) >= float(at.spread[0, 0, 0]) and int(near.row[0, 0, 0]) > int(at.row[0, 0, 0])
    left = middles(targets((3.0, 12.0, 0)), ROWS, COLUMNS)
    assert left.there[0, :, 0].tolist() == [False, True, False]


def test_bumps_are_one_at_the_middle_and_of_their_kind():
    given = targets((21.3, 0.0, 0), (15.0, 4.0, 5))
    at = middles(given, ROWS, COLUMNS)
    wanted = bumps(at, given["kinds"], ROWS, COLUMNS)
    assert wanted.shape == (1, 3, len(KINDS), ROWS, COLUMNS) and int((wanted >= 1.0).sum()) == int(at.there.sum())
    for user, kind in enumerate((0, 5)):
        assert float(wanted[0, 0, kind, at.row[0, 0, user], at.column[0, 0, user]]) == 1.0
    assert float(wanted[0, :, [1, 2, 3, 4, 6]].max()) == 0.0


def test_who_is_not_shown_and_what_no_camera_saw_teaches_nothing():
    given = targets((21.3, 0.0, 0))
    blind = given | {"seen": torch.zeros(1, 3)}
    logits, depths = torch.zeros(1, 3, len(KINDS), ROWS, COLUMNS), torch.zeros(1, 3, ROWS, COLUMNS)
    assert float(heat_losses(logits, depths, blind)["heat"]) == 0.0
    hidden = given | {"shown": torch.zeros(1, 4, dtype=torch.bool)}
    assert not middles(hidden, ROWS, COLUMNS).there.any() and float(heat_losses(logits, depths, hidden)["heat_depth"]) == 0.0


def test_a_zoomed_picture_tells_the_depth_by_the_zoom():
    given = targets((21.3, 0.0, 0))
    closer = given["projection"].clone()
    closer[..., 0, :] = 1.2 * closer[..., 0, :] - 0.1 * closer[..., 2, :]
    logits, depths = torch.zeros(1, 3, len(KINDS), ROWS, COLUMNS), torch.full((1, 3, ROWS, COLUMNS), math.log(20.0 / 1.2))
    assert float(heat_losses(logits, depths, given | {"projection": closer})["heat_depth"]) < 1e-3
    assert float(heat_losses(logits, depths, given)["heat_depth"]) == pytest.approx(math.log(1.2), abs=1e-3)


def test_the_right_map_costs_nearly_nothing_and_training_finds_it():
    given = targets((21.3, 0.0, 0), (15.0, -4.0, 5))
    at = middles(given, ROWS, COLUMNS)
    right = torch.where(bumps(at, given["kinds"], ROWS, COLUMNS) >= 1.0, 20.0, -20.0)
    depths = torch.full((1, 3, ROWS, COLUMNS), math.log(20.0))
    parts = heat_losses(right, depths, given)
    assert float(parts["heat"]) < 1e-6 and 0.0 < float(parts["heat_depth"]) < 1.0
    torch.manual_seed(0)
    head, maps = HeatHead(8), torch.randn(1, 3, 8, ROWS, COLUMNS)
    first = head(maps)[0]
    assert first.mean().item() == pytest.approx(IMPROBABLE, abs=0.5)
    optimiser = torch.optim.Adam(head.parameters(), 0.01)
    losses = []
    for _ in range(60):
        loss = sum(heat_losses(*head(maps), given).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]
