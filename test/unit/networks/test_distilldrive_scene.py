"""What student and teacher see of a scene beyond what they have room for, and the options that shape it."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind
from kd_planner_ros.networks.distilldrive.config import CONFIGURATIONS as STUDENTS
from kd_planner_ros.networks.distilldrive.config import DistillDriveConfig
from kd_planner_ros.networks.distilldrive.scene import Caps, line_arrays, nearest_actors
from kd_planner_ros.networks.distilldrive.training import TrainOptions, config_fields
from kd_planner_ros.networks.distilldrive_teacher.config import CONFIGURATIONS as TEACHERS
from kd_planner_ros.networks.distilldrive_teacher.config import DistillDriveTeacherConfig
from kd_planner_ros.networks.distilldrive_teacher.training import TrainOptions as TeacherOptions
from kd_planner_ros.networks.distilldrive_teacher.training import config_fields as teacher_fields

CONFIG = DistillDriveConfig()
EGO = Pose(100.0, 50.0, yaw=0.3)


def test_of_more_road_users_than_there_is_room_for_the_nearest_are_kept():
    actors = np.zeros(80, ACTOR_DTYPE)
    away = np.random.default_rng(1).permutation(np.linspace(1.0, 50.0, 80))
    actors["x"], actors["y"], actors["kind"], actors["id"] = EGO.x + away, EGO.y, ActorKind.CAR, np.arange(80)
    kept = nearest_actors(actors, EGO, CONFIG, CONFIG.spec.agents)
    assert kept["id"].tolist() == np.argsort(away)[:48].tolist(), "the nearest first; 48 of 80"


def test_of_more_lines_than_there_is_room_for_the_nearest_are_kept():
    """40 lines across the car's way, 0.7 m apart; the last ones do not fit."""
    rows = np.zeros((40, 2), MAP_LINE_DTYPE)
    for number, line in enumerate(rows):
        line["line"], line["kind"] = number, LineKind.BOUNDARY
        ahead, aside = 0.7 * number + 1.0, np.array([-3.0, 3.0])
        line["x"] = EGO.x + ahead * np.cos(EGO.yaw) - aside * np.sin(EGO.yaw)
        line["y"] = EGO.y + ahead * np.sin(EGO.yaw) + aside * np.cos(EGO.yaw)
    caps = Caps(48, CONFIG.spec.lines, CONFIG.spec.line_points, 1, 6)
    found = line_arrays(rows.reshape(-1), np.zeros(0, SIGNAL_DTYPE), EGO, CONFIG, caps)
    assert (found["line_kinds"] >= 0).all() and len(found["lines"]) == CONFIG.spec.lines == 20
    np.testing.assert_allclose(np.sort(found["lines"][..., 0].mean(axis=1)), 1.0 + 0.7 * np.arange(20), atol=1e-3)


def test_the_options_reach_the_config():
    own = TrainOptions(min_cameras=2, rescore=False, rescore_probability=0.3, ego_length_m=4.084, ego_width_m=1.85, ego_ahead_m=1.44)
    config = DistillDriveConfig(**config_fields("nano", own, None, {}))
    assert (config.min_cameras, config.rescore, config.rescore_probability) == (2, False, 0.3) and config.rig.optional == ("left", "right")
    assert (config.ego_length_m, config.ego_width_m, config.ego_ahead_m) == (4.084, 1.85, 1.44)
    taught = teacher_fields("nano", TeacherOptions(ego_ahead_m=1.44), None, {})
    assert (taught["ego_ahead_m"], taught["ego_length_m"]) == (1.44, 4.9)
    assert DistillDriveConfig(**config_fields("nano", TrainOptions(), None, {})) == DistillDriveConfig(), "as before without them"


def test_training_at_full_size_is_the_published_one():
    """What 'train --size full' makes without recordings that say another camera is what the table of sizes counts."""
    off = TrainOptions(cameras=6, signals=False, speed="predicted", target=False, choice="likeliest", proposals=0)
    made, published = DistillDriveConfig(**config_fields("full", off, None, {})), STUDENTS[0]
    for name in ("size", "cameras", "camera_width", "camera_height", "camera_fov_deg", "ahead_m", "behind_m", "side_m"):
        assert getattr(made, name) == getattr(published, name), name
    teacher = DistillDriveTeacherConfig(**teacher_fields("full", TeacherOptions(), None, {}))
    assert (teacher.behind_m, teacher.ahead_m) == (30.0, 30.0) == (TEACHERS[0].behind_m, TEACHERS[0].ahead_m)
