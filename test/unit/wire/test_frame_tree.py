"""Frames by their names, composed by hand."""

import numpy as np
import pytest

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.geometry.frames import rotation_3d
from kd_planner_ros.wire.codec.motion import Mount
from kd_planner_ros.wire.frame_tree import FrameTree


def test_frames_are_followed_through_chains_in_any_order():
    tree, rng = FrameTree(), np.random.default_rng(3)
    a, b, c = (Pose(*rng.uniform(-2, 2, 3), *rng.uniform(-1, 1, 3)) for _ in range(3))
    tree.add([Mount("b", "c", c)])
    assert tree.find("c", "base") is None
    tree.add([Mount("/a", "/b", b), Mount("base", "a", a)])
    found = tree.find("c", "base")
    turn = rotation_3d(a) @ rotation_3d(b) @ rotation_3d(c)
    place = rotation_3d(a) @ (rotation_3d(b) @ [c.x, c.y, c.z] + [b.x, b.y, b.z]) + [a.x, a.y, a.z]
    assert rotation_3d(found) == pytest.approx(turn) and [found.x, found.y, found.z] == pytest.approx(place)
    tree.add([Mount("c", "base", Pose())])  # a loop ends
    assert tree.find("c", "nowhere") is None
