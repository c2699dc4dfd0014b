"""The bird's-eye scene: which way up it is, its colours and what hides what, the obstacles beside it."""

from __future__ import annotations

import math
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.bags import write_bag
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.scenes import scenes
from kd_planner_ros.wire.topics import Topics
from kd_planner_ros.core.errors import BagError, MapError
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, ActorKind, LightState
from kd_planner_ros.distill.methods.plankd.bev_frames import bev_frames
from kd_planner_ros.distill.methods.plankd.attention import with_coordinates
from kd_planner_ros.geometry.frames import base_to_planner, from_base
from kd_planner_ros.imaging.bev_scene import (CENTRE_RGB, EGO_RGB, LIGHT_RGB, MARK_RGB, ROAD_RGB, SIDE_PX, VEHICLE_RGB,
                                              WALKER_RGB, BevView, bev_scene)
from kd_planner_ros.wire.codec.carla import actors_from_objects, signals_from_lights
from kd_planner_ros.world.bev_source import OBSTACLES, BevSource, nearby_obstacles
from support.towns import actor, straight_road

CAR, MAN = (4.0, 2.0, 1.5), (0.6, 0.6, 1.8)
BLACK = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
NOTHING, NO_LIGHTS = np.zeros(0, ACTOR_DTYPE), np.zeros(0, SIGNAL_DTYPE)


@pytest.fixture(scope="module")
def source() -> BevSource:
    return BevSource(straight_road())


def where(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(row, column) of every pixel of exactly this colour."""
    return np.argwhere((picture == colour).all(-1))


def test_right_front_is_a_high_row_and_a_low_column(source):
    picture = source.draw(Pose(), actor(ActorKind.CAR, 8.0, -6.0, CAR), NO_LIGHTS)
    found = where(picture, VEHICLE_RGB)
    assert (found[:, 0] > 90).all() and (found[:, 1] < 90).all()
    row, column = found.mean(0).round().astype(int)
    right_m, backward_m = with_coordinates(torch.from_numpy(picture.transpose(2, 0, 1).copy())[None])[0, 3:, row, column].tolist()
    assert base_to_planner(np.array([8.0, -6.0])) == pytest.approx([right_m, backward_m], abs=0.2)
    assert len(found) == 21 * 11  # 20 x 10 and the pixels that the outline touches


def test_coordinate_channels_span_18_metres():
    x, y = with_coordinates(torch.zeros(1, 3, 180, 180))[0, 3:].numpy()
    assert x[0, 0] == y[0, 0] == -18.0 and x[-1, 7] == y[7, -1] == 18.0 and (np.diff(x, axis=1) == 0).all()


@settings(deadline=None, max_examples=40)
@given(st.floats(-17, 17), st.floats(-17, 17), st.sampled_from([4.0, 5.0]), st.floats(-300, 300), st.floats(-300, 300),
       st.floats(-math.pi, math.pi))
def test_a_vehicle_is_drawn_where_it_is(ahead, left, scale, x, y, yaw):
    view, ego = BevView(scale), Pose(x, y, yaw=yaw)
    assert view.points(view.pixels(np.array([ahead, left]))) == pytest.approx([ahead, left], abs=1e-9)
    if math.hypot(ahead, left) < 5.0:
        return  # the ego would hide it
    at = from_base(np.array([ahead, left]), ego)
    car = actor(ActorKind.CAR, *at, (1.0, 1.0, 1.0))
    found = where(BevSource(straight_road(), view).draw(ego, car, NO_LIGHTS), VEHICLE_RGB)
    assert found.mean(0) + 0.5 == pytest.approx(view.pixels(np.array([ahead, left])), abs=0.75)


def test_the_road_and_its_marks_turn_with_the_ego(source):
    east = source.draw(Pose(), NOTHING, NO_LIGHTS)
    assert tuple(east[90, 30]) == ROAD_RGB and tuple(east[90 + 25, 30]) == (0, 0, 0)
    band = east[:, 20:60].reshape(SIDE_PX, -1, 3).astype(int)
    centre, mark = (np.flatnonzero(np.abs(band[rows] - colour).sum(-1).min(1) < 60).mean() + 0.5
                    for rows, colour in ((slice(90), CENTRE_RGB), (slice(90, 180), MARK_RGB)))
    assert 90 - centre == pytest.approx(1.75 * 5, abs=0.6) and mark == pytest.approx(1.6 * 5, abs=0.6)
    west = source.draw(Pose(0.0, 0.0, yaw=math.pi), NOTHING, NO_LIGHTS)
    assert np.abs(west[::-1, ::-1].astype(int) - east).mean() < 6.0  # but for the ego and half-pixel edges the same
    north = source.draw(Pose(0.0, 0.0, yaw=math.pi / 2), NOTHING, NO_LIGHTS)
    assert tuple(north[30, 90]) == ROAD_RGB and tuple(north[30, 90 + 25]) == (0, 0, 0)


def test_tiles_join_without_a_seam():
    source = BevSource(straight_road())
    side_m = 256 / 5.0
    picture = source.draw(Pose(side_m, 0.0), NOTHING, NO_LIGHTS)  # a border of tiles goes through the middle
    rows = picture[:, [20, 60, 120, 160]].astype(int)
    assert np.ptp(rows, axis=1).max() <= 40 and tuple(picture[90, 50]) == ROAD_RGB


def test_light_at_its_stop_line_with_its_colour(source):
    signals = np.zeros(1, SIGNAL_DTYPE)
    signals["stop_x0"] = signals["stop_x1"] = 10.0
    signals["stop_y0"], signals["stop_y1"] = -1.75, 1.75
    for state in (LightState.RED, LightState.YELLOW, LightState.GREEN):
        signals["state"] = state
        found = where(source.draw(Pose(), NOTHING, signals), LIGHT_RGB[state])
        assert found.mean(0) == pytest.approx([89.5, 39.5], abs=0.6)
        assert len(found) == pytest.approx(math.pi * 6.0 ** 2, rel=0.2)
    signals["state"] = LightState.OFF
    picture = source.draw(Pose(), NOTHING, signals)
    assert all(len(where(picture, colour)) == 0 for colour in LIGHT_RGB.values())


def test_walkers_hide_lights_hide_the_ego_hides_vehicles():
    square = np.array([[2.0, 2.0], [-2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]])
    none = np.zeros((0, 4, 2))
    lamp = np.zeros((1, 2))

    def middle(vehicles, walkers, lights):
        return tuple(bev_scene(BLACK, vehicles, walkers, square, lights, [LightState.RED] * len(lights))[90, 90])

    assert middle(square[None], none, lamp[:0]) == EGO_RGB
    assert middle(square[None], none, lamp) == LIGHT_RGB[LightState.RED]
    assert middle(square[None], square[None], lamp) == WALKER_RGB
    assert not BLACK.any()  # the background is not drawn into


def test_static_things_are_not_actors_and_the_ego_is_drawn_once(source):
    barrier, itself = actor(ActorKind.STATIC, 9.0, 0.0, CAR), actor(ActorKind.CAR, 0.5, 0.0, (12.0, 2.0, 2.0))
    picture = source.draw(Pose(), np.concatenate([barrier, itself]), NO_LIGHTS)
    assert len(where(picture, VEHICLE_RGB)) == 0 and len(where(picture, EGO_RGB)) > 200


@pytest.mark.alone
def test_a_frame_takes_at_most_three_milliseconds(source):
    crowd = np.concatenate([actor(ActorKind.CAR, x, y, CAR) for x in range(-20, 21, 5) for y in (-9, -5, 5, 9)])
    source.draw(Pose(), crowd, NO_LIGHTS)
    began = time.process_time()
    for step in range(100):
        source.draw(Pose(0.1 * step, 0.0, yaw=0.01 * step), crowd, NO_LIGHTS)
    assert (time.process_time() - began) / 100 < 3e-3


# --- obstacles -------------------------------------------------------------------------------------------------------

def test_obstacles_are_the_nearest_first_and_the_mask_says_how_many():
    table = np.concatenate([actor(ActorKind.CAR, 10.0, 0.0, CAR, 1), actor(ActorKind.PEDESTRIAN, 3.0, 4.0, MAN, 2),
                            actor(ActorKind.CAR, 0.5, 0.0, CAR, 3), actor(ActorKind.CAR, 25.5, 0.0, CAR, 4),
                            actor(ActorKind.STATIC, 2.0, 0.0, CAR, 5)])
    points, mask = nearby_obstacles(Pose(), table)
    assert points.shape == (OBSTACLES, 2) and points.dtype == np.float32
    assert mask.tolist() == [True, True] + [False] * 13
    assert points[:2] == pytest.approx(np.array([[3.0, 4.0], [10.0, 0.0]])) and not points[2:].any()
    turned, _ = nearby_obstacles(Pose(yaw=math.pi / 2), table)
    assert turned[1] == pytest.approx([0.0, -10.0], abs=1e-5)  # looking north, what lies east is to the right


def test_equally_near_obstacles_come_by_their_id_whatever_the_order():
    ring = [actor(ActorKind.CAR, 5.0 * math.cos(a), 5.0 * math.sin(a), CAR, 20 - k)
            for k, a in enumerate(np.arange(0, 4) * math.pi / 2)]
    first, _ = nearby_obstacles(Pose(), np.concatenate(ring))
    second, _ = nearby_obstacles(Pose(), np.concatenate(ring[::-1]))
    assert (first == second).all() and first[0] == pytest.approx([0.0, -5.0], abs=1e-5)  # id 17


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(-40, 40), st.floats(-40, 40)), max_size=30))
def test_never_more_than_fifteen_and_none_beyond_the_square(places):
    table = np.concatenate([NOTHING, *(actor(ActorKind.CAR, x, y, CAR, k) for k, (x, y) in enumerate(places))])
    points, mask = nearby_obstacles(Pose(), table)
    distance = np.linalg.norm(points[mask], axis=1)
    inside = [d for d in (math.hypot(np.float32(x), np.float32(y)) for x, y in places) if 1.0 <= d <= 18 * math.sqrt(2)]
    assert mask.sum() == min(15, len(inside)) and (np.diff(distance) >= -1e-5).all()
    assert distance == pytest.approx(sorted(inside)[:15], abs=1e-3)


def test_standing_obstacles_can_be_left_out():
    table = np.concatenate([actor(ActorKind.CAR, 5.0, 0.0, CAR, 1), actor(ActorKind.CAR, 8.0, 0.0, CAR, 2)])
    table["vx"][1] = 3.0
    assert nearby_obstacles(Pose(), table, least_mps=0.1)[0][0] == pytest.approx([8.0, 0.0])


# --- CARLA -----------------------------------------------------------------------------------------------------------

def xyz(x=0.0, y=0.0, z=0.0):
    return SimpleNamespace(x=x, y=y, z=z)


def carla_object(kind: int, x: float, y: float, size=(4.0, 2.0, 1.5), number=7):
    turn = SimpleNamespace(x=0.0, y=0.0, z=math.sin(math.pi / 4), w=math.cos(math.pi / 4))  # faces north
    return SimpleNamespace(id=number, classification=kind, pose=SimpleNamespace(position=xyz(x, y), orientation=turn),
                           twist=SimpleNamespace(linear=xyz(1.0, 2.0)), shape=SimpleNamespace(dimensions=list(size)))


def test_carla_objects_and_lights_make_the_same_scene(source):
    objects = [carla_object(6, 8.0, -6.0), carla_object(4, 9.0, 5.0, (0.5, 0.5, 1.8)), carla_object(11, 3.0, 3.0)]
    table = actors_from_objects(objects)
    assert table["kind"].tolist() == [ActorKind.CAR, ActorKind.PEDESTRIAN]
    assert table["yaw"][0] == pytest.approx(math.pi / 2) and table["vy"][0] == 2.0
    light = SimpleNamespace(id=3, transform=SimpleNamespace(position=xyz(20.0, -5.0), orientation=SimpleNamespace(
        x=0.0, y=0.0, z=0.0, w=1.0)), trigger_volume=SimpleNamespace(center=xyz(-10.0, 5.0), size=xyz(2.0, 3.0, 2.0)))
    signals = signals_from_lights([SimpleNamespace(id=3, state=2)], [light])
    assert signals["state"].tolist() == [LightState.GREEN]
    picture = source.draw(Pose(), table, signals)
    assert (picture == source.draw(Pose(), table, signals)).all()
    assert where(picture, LIGHT_RGB[2]).mean(0) == pytest.approx([89.5, 39.5], abs=0.6)
    assert np.ptp(where(picture, VEHICLE_RGB)[:, 0]) > np.ptp(where(picture, VEHICLE_RGB)[:, 1])  # faces north: wide
    assert signals_from_lights([SimpleNamespace(id=3, state=4)], [light])["state"][0] == LightState.OFF
    assert len(actors_from_objects([])) == 0


def test_carlas_topics_in_a_recording(source):
    """Objects of all instants, each with the lights as they were told last (they are sent on change only)."""
    def message(seconds: int, **fields):
        return SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=seconds, nanosec=0)), **fields)

    light = SimpleNamespace(id=3, transform=SimpleNamespace(position=xyz(20.0, -5.0), orientation=SimpleNamespace(
        x=0.0, y=0.0, z=0.0, w=1.0)), trigger_volume=SimpleNamespace(center=xyz(-10.0, 5.0), size=xyz(2.0, 3.0, 2.0)))
    status, objects = "/carla/traffic_lights/status", "/carla/ego_vehicle/objects"
    said = [("/carla/traffic_lights/info", SimpleNamespace(traffic_lights=[light])),
            (status, SimpleNamespace(traffic_lights=[SimpleNamespace(id=3, state=0)])),
            (objects, message(1, objects=[carla_object(6, 8.0, -6.0)])),
            (objects, message(2, objects=[])),
            (status, SimpleNamespace(traffic_lights=[SimpleNamespace(id=3, state=2)])),
            (objects, message(3, objects=[carla_object(4, 1.0, 1.0)]))]
    recording = SimpleNamespace(kinds=dict.fromkeys((topic for topic, _ in said), ""), topics=Topics(), path="bag",
                                lacks=lambda topic: "" if topic in dict(said) else "no such topic",
                                usable=lambda topic: topic in dict(said),
                                messages=lambda wanted: ((t, 0, m) for t, m in said if t in wanted))
    found = list(scenes(recording))
    assert [stamp for stamp, _, _ in found] == [1_000_000_000, 2_000_000_000, 3_000_000_000]
    assert [len(actors) for _, actors, _ in found] == [1, 0, 1]
    assert [signals["state"].tolist() for _, _, signals in found] == [[0], [0], [2]]


# --- recordings ------------------------------------------------------------------------------------------------------

def test_a_recording_gives_scenes_at_its_stamps(tmp_path):
    with open_bag(write_bag(tmp_path / "bag", town="default")) as recording:
        stamps = np.array([1_000_000_000, 1_500_000_000, 3_000_000_000])
        scenes, obstacles = bev_frames(recording, stamps)
        again, _ = bev_frames(recording, stamps[::-1])
    assert scenes.shape == (3, 180, 180, 3) and scenes.dtype == np.uint8 and (again[::-1] == scenes).all()
    assert obstacles.shape == (3, 15, 2) and obstacles.dtype == np.float32
    assert (scenes[:, 90, 80] == EGO_RGB).all()  # the middle is hidden by a light's disc at first


def test_the_scene_may_be_wider_and_without_who_stands(tmp_path):
    with open_bag(write_bag(tmp_path / "bag", town="default")) as recording:
        stamps = np.array([1_500_000_000])
        near, all_users = bev_frames(recording, stamps)
        wide, moving = bev_frames(recording, stamps, view=BevView(4.0), least_mps=100.0)
    ego = [(scene[0] == EGO_RGB).all(-1).sum() for scene in (near, wide)]
    assert ego[1] / ego[0] == pytest.approx((4.0 / 5.0) ** 2, rel=0.1)
    assert all_users.any() and not moving.any()


def test_what_is_missing_is_named(tmp_path):
    bag = write_bag(tmp_path / "bag", town="Atlantis", spec="")
    with open_bag(bag) as recording:
        with pytest.raises(MapError, match="Atlantis.*--plankd.maps-dir"):
            bev_frames(recording, np.array([1_000_000_000]), maps_dir=tmp_path)
    with open_bag(write_bag(tmp_path / "other", town="default")) as recording:
        with pytest.raises(BagError, match="none at 1 of 1 instants"):
            bev_frames(recording, np.array([77]))
        recording.kinds.pop("/truth/objects")
        with pytest.raises(BagError, match="/truth/objects.*imitation, AT, ReviewKD and DPK"):
            bev_frames(recording, np.array([1_000_000_000]))
