"""LiDAR: distances, half turns, drop-off, intensity."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from support.towns import actor, scene, straight_road

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.core.sensors import LidarSpec
from kd_planner_ros.world.render import Renderer

ROOF = LidarSpec("lidar", Pose(x=1.3, z=2.5, yaw=math.pi / 2))
PLAIN = replace(ROOF, dropoff_general=0.0, dropoff_zero_intensity=0.0)
WALL = (1.0, 30.0, 6.0)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(straight_road())


def in_base(cloud: np.ndarray) -> np.ndarray:
    """Points of the sensor, which faces left, in base_link."""
    return np.stack([1.3 - cloud[:, 1], cloud[:, 0], cloud[:, 2] + 2.5], 1)


def test_wall_is_where_it_stands(renderer):
    points = in_base(renderer.lidar(scene(actor(ActorKind.STATIC, 20.0, 0.0, WALL)), PLAIN, tick=0))
    ahead = points[(np.abs(points[:, 1]) < 5) & (points[:, 2] > 0.1) & (points[:, 0] > 1) & (points[:, 0] < 21)]
    assert len(ahead) > 500
    assert ahead[:, 0] == pytest.approx(19.5, abs=1e-3)


def test_ground_is_flat(renderer):
    points = in_base(renderer.lidar(scene(), PLAIN, tick=0))
    near = points[np.hypot(points[:, 0] - 1.3, points[:, 1]) < 7]
    assert len(near) > 1000 and near[:, 2] == pytest.approx(0.0, abs=1e-3)


def test_even_tick_is_the_front_half(renderer):
    front, rear = (in_base(renderer.lidar(scene(), PLAIN, tick)) for tick in (0, 1))
    assert (front[:, 0] > 1.3 - 1e-3).all() and (rear[:, 0] < 1.3 + 1e-3).all()


def test_channels_and_shots(renderer):
    cloud = renderer.lidar(scene(actor(ActorKind.STATIC, 20.0, 0.0, WALL)), PLAIN, tick=0)
    elevation = np.degrees(np.arcsin(cloud[:, 2] / np.linalg.norm(cloud[:, :3], axis=1)))
    assert elevation.max() <= 10.0 + 1e-3 and elevation.min() == pytest.approx(-30.0, abs=1e-2)
    assert cloud.dtype == np.float32 and cloud.shape[1] == 4 and len(cloud) <= 64 * (30_000 // 64)


def test_range_intensity_and_dropoff(renderer):
    cloud = renderer.lidar(scene(), PLAIN, tick=0)
    distance = np.linalg.norm(cloud[:, :3], axis=1)
    assert distance.max() <= 85.0 + 1e-3
    assert cloud[:, 3] == pytest.approx(np.exp(-0.004 * distance), abs=1e-5)
    kept = len(renderer.lidar(scene(), replace(PLAIN, dropoff_general=0.45), tick=0)) / len(cloud)
    assert kept == pytest.approx(0.55, abs=0.02)


def test_noise_is_along_the_ray_and_repeatable(renderer):
    state = scene(actor(ActorKind.STATIC, 20.0, 0.0, WALL))
    noisy = replace(PLAIN, noise_m=0.05)
    first, again, other = (renderer.lidar(state, noisy, tick) for tick in (0, 0, 2))
    assert first.tobytes() == again.tobytes() and first.tobytes() != other.tobytes()
    points = in_base(first)
    ahead = points[(np.abs(points[:, 1]) < 2) & (points[:, 2] > 0.3) & (points[:, 0] > 19) & (points[:, 0] < 20)]
    assert 0.03 < ahead[:, 0].std() < 0.07


def test_own_body_is_not_hit(renderer):
    cloud = renderer.lidar(scene(), PLAIN, tick=0)
    assert np.linalg.norm(cloud[:, :3], axis=1).min() > 2.4
