"""TCP students beside a TCP teacher with seeded weights, on two recordings of a bend to the left and one to the right."""

import csv
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from support.bags import copy_bag
from support.training import training_in

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.methods.plankd import scene_cache
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recorded import cameras
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.networks.tcp.config import TCPConfig
from kd_planner_ros.runtime.store import save_model
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.shards import build_shards

GIVEN = TCPConfig(size="7.6m", input_height=32, input_width=64, camera_width=64, camera_height=32)


@pytest.fixture(scope="session")
def wise():
    """The folder of a teacher, made once; nothing may write into it."""
    with tempfile.TemporaryDirectory(prefix="kd_planner_ros_wise_") as folder:
        torch.manual_seed(0)
        save_model(Path(folder) / "wise", "tcp", GIVEN, find_network("tcp").build_model(GIVEN).state_dict(),
                   {"data": {"maps": ["Town03"]}})
        yield Path(folder) / "wise"


@pytest.fixture
def config(tmp_path, monkeypatch, wise):
    """Settings of two epochs of PlanKD with the teacher ``wise``."""
    torch.set_num_threads(1)
    monkeypatch.setattr(scene_cache, "bev_frames", made_up_scenes)
    for number, rate in enumerate((0.25, -0.25)):
        copy_bag(tmp_path / "bags" / f"b{number}", rate=rate, seconds=4.0, seed=number, labels=False)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "wise").symlink_to(wise)
    return training_in(tmp_path, method="plankd", teacher="wise", bev_detail="quarter")


def made_up_scenes(recording, stamps, **_):
    """An empty scene with one obstacle that comes nearer; drawing from maps is tested elsewhere."""
    images = np.zeros((len(stamps), 180, 180, 3), np.uint8)
    obstacles = np.zeros((len(stamps), 15, 2), np.float32)
    for row in range(len(stamps)):
        images[row, 85:95, 10 * row: 10 * row + 20] = 200
        obstacles[row, 0] = 12.0 - row, 0.5
    return images, obstacles


def logged(config):
    with (config.runs_dir / config.name / "log.csv").open(newline="") as file:
        return {row[2]: float(row[3]) for row in csv.reader(file) if row[1] == "train"}


def attached(config):
    """A learner with its method's caches built, and the samples."""
    bags = find_bags(config.bags)
    learner = Learner(config, join("cpu"), cameras(bags[0])[0])
    shards = build_shards(bags, config.cache, learner.task, progress=False)
    learner.distillation.attach(dict(zip(shards, bags)))
    return learner, Samples(shards)
