"""Cameras: exact depth, labels that agree, handedness, lights, determinism."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from support.towns import FRONT, actor, scene, straight_road

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.scene import BRAKE_LIGHT, ActorKind, LightState
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.world.render import Renderer
from kd_planner_ros.world.render import camera as camera_module
from kd_planner_ros.world.weather import WEATHERS

WALL = (1.0, 6.0, 4.0)
POLE = CameraSpec("pole", Pose(x=-8.0, z=5.0, pitch=0.3), 120, 80, 90.0)


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    return Renderer(straight_road())


def picture(renderer, state, spec=FRONT):
    return renderer.cameras(state, (spec,), labels=True, roadside=spec.id == POLE.id)[spec.id]


def test_depth_of_a_wall_is_planar_and_exact(renderer):
    image = picture(renderer, scene(actor(ActorKind.STATIC, 20.0, 0.0, WALL)))
    wall = image.instance == 1
    assert wall.sum() > 100
    assert image.depth[wall] == pytest.approx(19.5 + 1.5, abs=1e-3)  # its near face, from the camera at x = -1.5


def test_depth_of_the_ground_follows_the_pinhole(renderer):
    image = picture(renderer, scene())
    focal = FRONT.width / (2 * math.tan(math.radians(FRONT.fov_deg) / 2))
    row, column = FRONT.height - 3, FRONT.width // 2
    assert image.semantic[row, column] == 1
    assert image.depth[row, column] == pytest.approx(2.0 * focal / (row + 0.5 - FRONT.height / 2), rel=1e-5)


def test_static_depth_equals_brute_force(renderer):
    image = picture(renderer, scene())
    static = np.isin(image.semantic, (3, 6, 7, 9)) & (image.depth < 150)
    rows, columns = np.nonzero(static)
    assert len(rows) > 50
    focal = FRONT.focal_px
    for k in np.linspace(0, len(rows) - 1, 12).astype(int):
        ray = np.array([1.0, (FRONT.width / 2 - columns[k] - 0.5) / focal, (FRONT.height / 2 - rows[k] - 0.5) / focal])
        assert image.depth[rows[k], columns[k]] == pytest.approx(brute_force(renderer.static.corners, ray), rel=1e-4)


def brute_force(corners: np.ndarray, ray: np.ndarray) -> float:
    a, b, c = (corners[:, k].astype(float) - [-1.5, 0.0, 2.0] for k in range(3))
    p = np.cross(ray, c - a)
    det = ((b - a) * p).sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        u = -(a * p).sum(1) / det
        q = np.cross(-a, b - a)
        v = (q @ ray) / det
        t = ((c - a) * q).sum(1) / det
    return float(t[(u >= 0) & (v >= 0) & (u + v <= 1) & (t > 0)].min())


def test_semantic_and_instance_agree(renderer):
    kinds = [(ActorKind.CAR, (4.6, 1.85, 1.5)), (ActorKind.TRUCK, (8.0, 2.5, 3.3)), (ActorKind.PEDESTRIAN, (0.5, 0.5, 1.75)),
             (ActorKind.BICYCLE, (1.75, 0.6, 1.75)), (ActorKind.MOTORCYCLE, (2.1, 0.8, 1.7)), (ActorKind.BUS, (12, 2.55, 3.2))]
    rows = [actor(kind, 16.0, 12.0 - 4.0 * k, size) for k, (kind, size) in enumerate(kinds)]
    for row in rows:
        row["yaw"] = 1.2
    image = picture(renderer, scene(*rows), replace(FRONT, width=448, height=192))
    for k, (kind, _) in enumerate(kinds):
        tags = set(np.unique(image.semantic[image.instance == k + 1]))
        assert tags == ({int(kind), 13} if kind in (ActorKind.BICYCLE, ActorKind.MOTORCYCLE) else {int(kind)})
    assert not np.isin(image.semantic[image.instance == 0], (12, 13, 14, 15, 16, 18, 19)).any()
    assert (image.depth[image.semantic == 11] == 1000.0).all()


def test_left_is_left(renderer):
    image = picture(renderer, scene(actor(ActorKind.CAR, 15.0, 5.0, (4.6, 1.85, 1.5))))
    assert np.nonzero(image.instance)[1].max() < FRONT.width // 2


def test_side_camera_turns_counter_clockwise(renderer):
    left = CameraSpec("left", Pose(x=1.3, z=2.3, yaw=math.radians(60)), 80, 60, 100.0)
    image = picture(renderer, scene(actor(ActorKind.CAR, 1.3 + 5, 8.66, (4.6, 1.85, 1.5))), left)
    assert abs(np.nonzero(image.instance)[1].mean() - 40) < 6


def test_empty_table_and_no_labels(renderer):
    image = renderer.cameras(scene(), (FRONT,), labels=False)["front"]
    assert image.depth is None and image.rgb.shape == (96, 224, 3) and image.rgb.std() > 10


@pytest.mark.parametrize("weather", (WEATHERS[0], WEATHERS[10], WEATHERS[14], WEATHERS[19]), ids=lambda w: w.name)
def test_red_and_green_look_different(renderer, weather):
    red, green = (picture(renderer, scene(light=state, weather=weather)).rgb.astype(int)
                  for state in (LightState.RED, LightState.GREEN))
    change = np.abs(red - green).sum(-1) > 60
    assert change.sum() >= 4
    assert (red[change][:, 0] - red[change][:, 1]).max() > 60 and (green[change][:, 1] - green[change][:, 0]).max() > 60


def test_brake_lights_shine(renderer):
    dark, lit = (picture(renderer, scene(actor(ActorKind.CAR, 10.0, 0.0, (4.6, 1.85, 1.5), 4, lamps))).rgb.astype(int)
                 for lamps in (0, BRAKE_LIGHT))
    gain = lit - dark
    assert ((gain[..., 0] > 40) & (gain[..., 0] > gain[..., 2] + 30)).sum() >= 4


def test_weathers_differ_and_night_is_dark(renderer):
    pictures = [picture(renderer, scene(weather=weather)).rgb for weather in WEATHERS]
    assert len({image.tobytes() for image in pictures}) == len(WEATHERS)
    assert np.mean([image.mean() for image in pictures[14:]]) < 0.5 * np.mean([image.mean() for image in pictures[:14]])


def test_same_inputs_same_bytes(renderer):
    state = scene(actor(ActorKind.CAR, 12.0, 2.0, (4.6, 1.85, 1.5)), weather=WEATHERS[10], stamp_ns=50_000_000)
    first = picture(renderer, state)
    again = picture(Renderer(straight_road()), replace(state, stamp_ns=50_000_000))
    for name in ("rgb", "depth", "semantic", "instance"):
        assert getattr(first, name).tobytes() == getattr(again, name).tobytes()


def test_a_roadside_camera_gives_the_same_bytes_whatever_stood_and_drove_there_before(renderer, monkeypatch):
    """What it sees of the town is kept for two places here; actors, weather and other cameras leave no trace in it."""
    state = scene(actor(ActorKind.CAR, 20.0, 3.5, (4.6, 1.85, 1.5)), weather=WEATHERS[10], stamp_ns=50_000_000)
    monkeypatch.setattr(camera_module, "STANDING_BYTES", 2 * 8 * POLE.width * POLE.height)
    wanted = picture(Renderer(straight_road()), state, POLE)
    picture(renderer, scene(actor(ActorKind.TRUCK, -2.0, 0.0, (8.0, 2.5, 3.3))), POLE)
    for number in range(4):
        for found in (picture(renderer, state, POLE), picture(renderer, state, POLE)):
            for name in ("rgb", "depth", "semantic", "instance"):
                assert getattr(found, name).tobytes() == getattr(wanted, name).tobytes()
            np.testing.assert_array_equal(renderer.instances(state, POLE), wanted.instance)
        picture(renderer, scene(), replace(POLE, pose=replace(POLE.pose, y=0.1 * number)))
        picture(renderer, scene(), replace(POLE, pose=replace(POLE.pose, y=0.1 * number + 5.0)))
        renderer.cameras(state, (replace(FRONT, width=POLE.width, height=POLE.height, fov_deg=POLE.fov_deg),), labels=True)


def test_ego_is_seen_from_the_roadside_only(renderer):
    state = scene(actor(ActorKind.CAR, 20.0, 3.5, (4.6, 1.85, 1.5)))
    assert (picture(renderer, state, POLE).instance == 2).sum() > 50
    down = CameraSpec("down", Pose(z=6.0, pitch=math.pi / 2), 64, 64, 90.0)
    assert picture(renderer, state, down).instance.max() == 0


def test_impossible_camera_is_named(renderer):
    with pytest.raises(SensorError, match="field of view"):
        renderer.cameras(scene(), (replace(FRONT, fov_deg=180.0),), labels=False)
