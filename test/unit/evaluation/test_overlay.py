"""Where a trajectory lands in the picture, computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.evaluation.overlay import draw_attention, draw_candidates, draw_plan, heat, project, ribbon

CAMERA = CameraSpec("front", Pose(z=2.0), 100, 50, 90.0)  # f = 50


@pytest.mark.parametrize(("point", "pixel"), [
    ((10.0, 0.0), (50.0, 35.0)), ((10.0, 5.0), (25.0, 35.0)), ((10.0, -5.0), (75.0, 35.0)),
    ((10.0, 0.0, 2.0), (50.0, 25.0)), ((5.0, 0.0), (50.0, 45.0))])
def test_projection(point, pixel):
    np.testing.assert_allclose(project([point], CAMERA)[0], pixel, atol=1e-9)


def test_a_camera_turned_left_sees_the_left_at_its_centre():
    camera = CameraSpec("left", Pose(z=2.0, yaw=np.pi / 2), 100, 50, 90.0)
    np.testing.assert_allclose(project([(0.0, 10.0)], camera)[0], (50.0, 35.0), atol=1e-9)
    assert np.isnan(project([(0.0, -10.0)], camera)).all()


def test_a_camera_mounted_behind_the_centre_sees_points_farther():
    camera = CameraSpec("front", Pose(x=-1.5, z=2.0), 100, 50, 90.0)
    np.testing.assert_allclose(project([(8.5, 0.0)], camera), project([(10.0, 0.0)], CAMERA), atol=1e-9)


def test_ribbon_keeps_its_width_and_starts_at_the_car():
    left, right = ribbon(np.array([[5.0, 0.0], [10.0, 0.0]]), half_width_m=0.9)
    np.testing.assert_allclose(left - right, np.broadcast_to([0.0, 1.8], left.shape), atol=1e-9)
    np.testing.assert_allclose(left[[0, -1]], [[0.0, 0.9], [10.0, 0.9]], atol=1e-9)


@pytest.mark.parametrize("points", [np.zeros((4, 2)), np.zeros((0, 2))])
def test_a_standing_plan_draws_nothing_and_does_not_fail(points):
    picture = np.full((50, 100, 3), 90, np.uint8)
    assert ribbon(points).shape == (2, 0, 2)
    assert draw_plan(picture, CAMERA, points).shape == picture.shape


def test_the_plan_is_drawn_on_the_road_and_leaves_the_input_alone():
    picture = np.full((50, 100, 3), 90, np.uint8)
    drawn = draw_plan(picture, CAMERA, np.array([[5.0, 0.0], [10.0, 0.0]]), goal_base=np.array([10.0, -5.0]))
    assert (picture == 90).all()
    assert (drawn[40, 50] != 90).any() and (drawn[5, 50] == 90).all()  # road, sky
    assert (drawn[30, 75] != 90).any()  # the goal's pole, 5 m to the right


def test_uniform_attention_shows_nothing_and_a_peak_shows_at_its_place():
    picture = np.full((80, 290, 3), 90, np.uint8)
    assert (draw_attention(picture, np.full((8, 29), 1 / 232)) == picture).all()
    peak = np.zeros((8, 29))
    peak[2, 20] = 1.0
    assert np.unravel_index(heat(peak, 80, 290).argmax(), (80, 290)) == pytest.approx((25, 205), abs=6)
    assert (draw_attention(picture, peak)[25, 205] != 90).any()


def test_candidates_are_drawn_brighter_the_better_they_are():
    camera = CameraSpec("front", Pose(x=-1.5, z=2.0), 200, 100, 90.0)
    picture = np.zeros((100, 200, 3), np.uint8)
    ahead = np.stack([np.arange(2.0, 20.0), np.zeros(18)], 1)
    candidates = np.stack([ahead + [0.0, 0.0], ahead * [1.0, 0.0] + [0.0, 6.0]])
    for scores in (np.array([0.1, 0.9]), np.array([0.9, 0.1])):
        drawn = draw_candidates(picture, camera, candidates, scores).astype(int).sum(2)
        middle, left = drawn[:, 95:106].max(), drawn[:, :80].max()
        assert (left > middle) == (scores[1] > scores[0]) and min(left, middle) > 0
    alike = draw_candidates(picture, camera, candidates).astype(int).sum(2)
    assert alike[:, 95:106].max() == alike[:, :80].max() and picture.max() == 0
    assert not draw_candidates(picture, camera, np.zeros((0, 4, 2)), np.zeros(0)).any()
    assert draw_candidates(picture, camera, candidates, np.array([np.nan, np.nan])).any()
