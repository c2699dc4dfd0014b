"""A privileged planner in closed loop gets the scene itself, with what was and without what will be."""

import numpy as np
import pytest
import torch
from support.frames import true_scene
from support.plans import make_route

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, SceneState
from kd_planner_ros.evaluation.one_route import PlannerSide
from kd_planner_ros.evaluation.scene_teller import SceneTeller
from kd_planner_ros.networks.distilldrive_teacher.config import DistillDriveTeacherConfig
from kd_planner_ros.networks.distilldrive_teacher.model import build_model
from kd_planner_ros.runtime.load import load_planner
from kd_planner_ros.runtime.store import save_model
from kd_planner_ros.world.sensor_data import SensorData

TICK_NS = 50_000_000


def state(tick):
    """A car that drives 5 m/s along x, 20 m ahead of one that stands."""
    actors = np.zeros(1, ACTOR_DTYPE)
    actors["id"], actors["kind"], actors["length"], actors["width"], actors["height"] = 3, ActorKind.CAR, 4.5, 1.9, 1.5
    actors["x"], actors["vx"] = 20.0 + 0.25 * tick, 5.0
    return SceneState(tick * TICK_NS, EgoState(tick * TICK_NS, Pose(), 0.0), actors, np.zeros(1, SIGNAL_DTYPE))


def test_the_past_is_told_and_the_future_is_not():
    teller = SceneTeller(np.zeros(2, MAP_LINE_DTYPE))
    for tick in range(200):
        teller.hear(state(tick))
    told = teller.tell(state(199))
    assert len(told.lines) == 2 and len(told.signals) == 1 and not told.has_future
    places = told.tracks.states(np.array([3]), np.array([199, 189, 100, 60, 219]) * TICK_NS)[0, :, 0]
    assert places[:3] == pytest.approx([20.0 + 0.25 * tick for tick in (199, 189, 100)]) and np.isnan(places[3:]).all(), "6 s back, not on"
    teller.hear(state(5))
    assert teller.tell(state(5)).tracks.stamps_ns.tolist() == [5 * TICK_NS], "time was set back"


def test_a_teacher_of_history_drives_and_one_of_the_future_does_not(tmp_path):
    torch.manual_seed(0)
    lines = true_scene(EgoState(0, Pose(), 0.0)).lines
    for name, reads in (("honest", "history"), ("seer", "both")):
        config = DistillDriveTeacherConfig(agent_input=reads)
        save_model(tmp_path / name, "distilldrive_teacher", config, build_model(config).state_dict(), {"data": {"maps": ["Town01"]}})
        side = PlannerSide(load_planner(name, models_dir=tmp_path), make_route(), teller=SceneTeller(lines))
        for tick in range(3):
            control, plan = side.step(state(tick), SensorData(tick * TICK_NS) if side.looks(tick) else None)
            assert (control.reason == "input_failed") is (name == "seer")
