"""What a plan's picture shows, and where."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from kd_planner_ros.core.ego import Command, NavigationGoal, Pose
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections, LineKind, MapLines
from kd_planner_ros.core.records import Plan, Trajectory
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.evaluation.animation import annotated
from kd_planner_ros.evaluation.plan_picture import AHEAD_M, ASIDE_M, PX_PER_M, beside, from_above, over_camera
from kd_planner_ros.evaluation.run_plans import plan_to_json
from kd_planner_ros.imaging.plan_colours import LINES, OTHER_INTENT, STOPS, USERS, best_last, score_colours

CAMERA = CameraSpec("front", Pose(z=2.0), 200, 100, 90.0)  # f = 100
TIMES = 0.5 * np.arange(1, 5)
PICTURE = np.full((100, 200, 3), 90, np.uint8)


def way(aside: float) -> np.ndarray:
    return np.stack([4.0 * TIMES, np.full(4, aside)], axis=1)


def plan(**options) -> Plan:
    return Plan(0, Trajectory(0, way(0.0), TIMES), NavigationGoal(np.array([40.0, 0.0]), Command.STRAIGHT), **options)


def walker(x: float, y: float, goes: float) -> Detections:
    """One person whose likelier future of two leads ``goes`` m/s to the left."""
    rows = np.zeros(1, DETECTION_DTYPE)
    for name, value in {"kind": ActorKind.PEDESTRIAN, "x": x, "y": y, "length": 1, "width": 1, "height": 2, "z": np.nan}.items():
        rows[name] = value
    futures = np.stack([np.stack([np.full(4, x), y + speed * TIMES], axis=1) for speed in (-goes, goes)])[None].astype(np.float32)
    return Detections(rows, futures, np.array([[0.2, 0.8]], np.float32), TIMES)


def lines(points, kind: LineKind) -> MapLines:
    return MapLines(np.array([points], np.float32), np.array([kind], np.uint8), np.ones(1, np.float32))


def above(picture: np.ndarray, x: float, y: float) -> np.ndarray:
    """The 5 x 5 pixels of the view from above around a place in ``base_link``."""
    row, column = round((AHEAD_M - x) * PX_PER_M), round((ASIDE_M - y) * PX_PER_M)
    return picture[row - 2:row + 3, column - 2:column + 3].reshape(-1, 3)


def shows(pixels: np.ndarray, colour) -> bool:
    return bool((pixels == np.array(colour, np.uint8)).all(axis=-1).any())


def test_scores_have_colours_and_other_intents_are_grey():
    colours = score_colours(np.array([0.1, 0.9, 0.5, -0.2, np.nan]), 5)
    assert colours[[0, 1, 2]].tolist() == STOPS[[0, 2, 1]].tolist() and tuple(colours[3]) == OTHER_INTENT
    assert colours[4].tolist() == STOPS[0].tolist(), "a score that is no number is the lowest"
    assert (score_colours(None, 3) == STOPS[2]).all() and (score_colours(np.array([0.4, 0.4]), 2) == STOPS[2]).all()
    assert best_last(np.array([0.3, -0.5, 0.9]), 3) == [1, 0, 2] and score_colours(np.zeros(0), 0).shape == (0, 3)


def test_the_view_from_above_has_everything_in_its_place():
    drawn = from_above(plan(candidates=np.stack([way(6.0), way(-6.0), way(0.0)]), scores=np.array([0.2, -0.3, 0.7]),
                            detections=walker(20.0, 5.0, 2.0), lines=lines([[0.0, -10.0], [40.0, -10.0]], LineKind.STOP)))
    assert drawn.shape == (648, 528, 3)
    assert shows(above(drawn, 30.0, -10.0), LINES[LineKind.STOP]) and not shows(above(drawn, 30.0, 10.0), LINES[LineKind.STOP])
    assert shows(above(drawn, 20.5, 5.5), USERS[ActorKind.PEDESTRIAN]), "a corner of the box"
    assert shows(above(drawn, 20.0, 9.0), USERS[ActorKind.PEDESTRIAN]) and not shows(above(drawn, 20.0, 1.0), USERS[ActorKind.PEDESTRIAN])
    assert shows(above(drawn, 7.0, 6.0), score_colours(np.array([0.2, 0.7]), 2)[0]) and shows(above(drawn, 7.0, -6.0), OTHER_INTENT)
    assert (from_above(None) != drawn).any()


def test_the_camera_shows_boxes_lines_and_what_begins_behind_it():
    """A line from 10 m behind the camera to 40 m ahead, 4 m to the left: at 20 m it is 20 pixels left of the middle and 10 below."""
    drawn = over_camera(PICTURE, CAMERA, plan(lines=lines([[-10.0, 4.0], [40.0, 4.0]], LineKind.BOUNDARY)))
    assert shows(drawn[58:63, 78:83].reshape(-1, 3), LINES[LineKind.BOUNDARY]) and (PICTURE == 90).all()
    boxed = over_camera(PICTURE, CAMERA, plan(detections=walker(20.0, 8.0, 0.0)))
    left = boxed[48:62, 50:68].reshape(-1, 3)
    assert (np.abs(left.astype(int) - USERS[ActorKind.PEDESTRIAN]).sum(axis=1) < 60).any()
    assert over_camera(PICTURE, CAMERA, plan(detections=walker(-20.0, 0.0, 1.0))).shape == PICTURE.shape


@pytest.mark.parametrize("odd", [np.nan, np.inf, 1e12])
def test_numbers_that_are_not_finite_are_left_out(odd):
    broken = plan(candidates=np.full((2, 4, 2), odd), scores=np.array([0.5, 0.5]), lines=lines([[odd, odd], [3.0, odd]], LineKind.DIVIDER))
    broken = replace(broken, trajectory=Trajectory(0, np.full((4, 2), odd), TIMES))
    assert over_camera(PICTURE, CAMERA, broken).shape == PICTURE.shape and from_above(broken).shape == from_above(None).shape


def test_views_stand_beside_each_other_at_one_height():
    assert beside(PICTURE, [from_above(None), from_above(None)]).shape == (100, 200 + 2 * round(528 * 100 / 648), 3)


def test_the_report_shows_the_same_with_the_view_from_above_beside(tmp_path):
    Image.fromarray(PICTURE).save(tmp_path / "1.png")
    one = plan(candidates=np.stack([way(3.0), way(0.0)]), scores=np.array([0.2, 0.7]), detections=walker(20.0, 5.0, 2.0))
    run = SimpleNamespace(frames={1000: tmp_path / "1.png", 9000: tmp_path / "1.png"}, info=SimpleNamespace(camera=CAMERA),
                          plans=[plan_to_json(replace(one, stamp_ns=10**9))])
    expected = beside(over_camera(PICTURE, CAMERA, one), [from_above(one)])
    assert (annotated(run, 1000) == expected).all() and annotated(run, 9000).shape == expected.shape, "no plan then: an empty road"
    run.plans[0].pop("candidates"), run.plans[0].pop("scores")
    assert annotated(run, 1000).shape == PICTURE.shape
