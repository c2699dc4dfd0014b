"""Whom the cameras show: the road users that a student learns to find."""

import numpy as np
import torch

from kd_planner_ros.networks.distilldrive.config import DistillDriveConfig
from kd_planner_ros.networks.distilldrive.loss import box_losses
from kd_planner_ros.networks.distilldrive.plan_loss import matched
from kd_planner_ros.networks.distilldrive.processor import projection
from kd_planner_ros.networks.distilldrive.shown import PIXELS, SIDE_M, shown_users

CONFIG = DistillDriveConfig()
PROJECTIONS = np.stack([projection(spec, CONFIG) for spec in CONFIG.camera_specs])
SEEN = np.ones(3, np.float32)


def users(*places):
    """The arrays of road users at ``places`` (x, y), with ids 11, 12, ...; two rows more hold nobody."""
    boxes = np.zeros((len(places) + 2, 10), np.float32)
    boxes[:len(places), :2], boxes[:, 2] = places, 0.8
    kinds = np.array([*np.zeros(len(places)), -1, -1], np.int8)
    return {"boxes": boxes, "kinds": kinds, "ids": np.array([*range(11, 11 + len(places)), -1, -1], np.int32)}


def picture(**pixels):
    """An instance picture with so many pixels of each row of the object list, told from 1."""
    flat = np.zeros(64 * 64, np.uint16)
    start = 0
    for row, count in pixels.items():
        flat[start:start + count], start = int(row[1:]), start + count
    return flat.reshape(64, 64)


def test_in_front_the_instance_picture_says_who_is_shown():
    arrays = users((20.0, 0.0), (20.0, 3.0), (30.0, -2.0))
    found = shown_users(arrays, PROJECTIONS, SEEN, picture(r2=PIXELS, r3=PIXELS - 1), np.array([12, 11, 13]))
    assert found.tolist() == [True, False, False, False, False], "row 2 of the list is road user 11"


def test_at_the_side_the_place_says_it_and_behind_nobody_is_shown():
    arrays = users((2.0, 10.0), (2.0, -10.0), (2.0, SIDE_M + 1.0), (-10.0, 0.0), (20.0, 0.0))
    ids = arrays["ids"][:5]
    assert shown_users(arrays, PROJECTIONS, SEEN, picture(), ids).tolist() == [True, True, False, False, False, False, False]
    dark = np.array([1.0, 0.0, 1.0], np.float32)
    assert shown_users(arrays, PROJECTIONS, dark, picture(), ids).tolist()[:2] == [False, True], "the left camera gave no picture"


def test_the_front_camera_without_a_picture_shows_nobody():
    arrays = users((20.0, 0.0))
    assert not shown_users(arrays, PROJECTIONS, np.array([0.0, 1.0, 1.0]), picture(r1=99), arrays["ids"][:1]).any()


def test_nobody_is_asked_for_who_is_not_shown_and_pairs_name_rows():
    """Two road users; the first is hidden: no box is drawn to it, and the pair names the second one's row."""
    boxes = torch.zeros(1, 3, 10)
    boxes[0, :2, 0] = torch.tensor([10.0, 20.0])
    targets = {"boxes": boxes, "kinds": torch.tensor([[0, 0, -1]]), "shown": torch.tensor([[False, True, False]]),
               "future": torch.full((1, 3, 6, 2), 7.0)}
    anchors = torch.zeros(1, 2, 10)
    anchors[0, :, 0] = torch.tensor([10.0, 19.0])
    logits = torch.full((1, 2, 3), -1.0)
    outputs = {"boxes": anchors, "agent_anchors_0": anchors, "agent_logits_0": logits, "agent_offsets": torch.zeros(1, 2, 6, 6, 2),
               "agent_scores": torch.zeros(1, 2, 6)}
    parts, pairs = box_losses(outputs, targets)
    assert [one.tolist() for one in pairs[0]] == [[1], [1]] and float(parts["agent_box"]) == 2.0 * 1.0
    assert matched(outputs, targets, pairs)[1][0, 0].tolist() == [7.0 - 20.0, 7.0]
    both, all_pairs = box_losses(outputs, {name: one for name, one in targets.items() if name != "shown"})
    assert len(all_pairs[0][0]) == 2 and float(both["agent_box"]) == 1.0
