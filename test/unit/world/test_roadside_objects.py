"""A station's object list holds what its own camera sees: walkers and cars, cut by range and by what stands in front."""

from dataclasses import replace

import numpy as np
import pytest
from support.towns import actor, scene, straight_road

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, Station
from kd_planner_ros.world.render import Renderer
from kd_planner_ros.world.roadside import objects_view, view_of
from kd_planner_ros.world.roadside_objects import MIN_PIXELS, outline_px, seen_by, seen_by_boxes

CAR, VAN, WALKER = (4.5, 1.8, 1.5), (4.9, 1.9, 2.0), (0.5, 0.6, 1.75)
WISH = RoadsideWish(objects=True)


def station(x=0.0, y=-6.0, z=7.0, yaw=0.0, range_m=150.0):
    return Station("a", Pose(x, y), (CameraSpec("camera", Pose(x, y, z, yaw, 0.2), 384, 216, 90.0),), range_m=range_m)


@pytest.fixture(scope="module")
def renderer():
    return Renderer(straight_road())


def ids(renderer, state, one):
    return view_of(state, one, one.cameras[0], WISH, lambda: renderer).objects["id"].tolist()


def test_walkers_and_cars_that_stand_free_are_reported_and_what_lies_behind_the_camera_is_not(renderer):
    state = scene(actor(ActorKind.CAR, 40.0, 0.0, CAR, seed=1), actor(ActorKind.PEDESTRIAN, 25.0, -4.0, WALKER, seed=2),
                  actor(ActorKind.CAR, -15.0, 0.0, CAR, seed=3))
    assert ids(renderer, state, station()) == [1, 2]


def test_a_walker_behind_a_van_is_seen_from_one_side_only(renderer):
    state = scene(actor(ActorKind.CAR, 20.0, -4.0, VAN, seed=1), actor(ActorKind.PEDESTRIAN, 23.2, -4.0, WALKER, seed=2))
    low, across = station(y=-4.0, z=2.0), station(x=40.0, y=6.0, yaw=np.pi)
    assert ids(renderer, state, low) == [1] and ids(renderer, state, across) == [1, 2]


@pytest.mark.parametrize("place", [{"y": -4.0, "z": 2.0}, {"x": 40.0, "y": 6.0, "yaw": np.pi}], ids=["hidden", "seen"])
def test_boxes_hide_whom_the_instance_picture_hides(renderer, place):
    """The boxes' own picture says the same as the renderer's where no house stands: also of what lies behind, beside and far away."""
    rows = scene(actor(ActorKind.CAR, 20.0, -4.0, VAN, seed=1), actor(ActorKind.PEDESTRIAN, 23.2, -4.0, WALKER, seed=2),
                 actor(ActorKind.CAR, -30.0, 0.0, CAR, seed=3), actor(ActorKind.PEDESTRIAN, 140.0, 0.0, WALKER, seed=4),
                 actor(ActorKind.CAR, 30.0, 2.0, CAR, seed=5))
    one = station(**place)
    assert rows.actors["id"][seen_by_boxes(rows.actors, one)].tolist() == ids(renderer, rows, one)


def test_boxes_of_no_car_and_of_a_station_without_cameras():
    assert seen_by_boxes(np.zeros(0, ACTOR_DTYPE), station()).tolist() == []
    assert seen_by_boxes(np.zeros(3, ACTOR_DTYPE), Station("blind", Pose())).tolist() == [True, True, True]


def test_the_range_is_that_of_the_station(renderer):
    state = scene(actor(ActorKind.CAR, 30.0, 0.0, CAR, seed=1), actor(ActorKind.CAR, 50.0, 0.0, CAR, seed=2))
    assert ids(renderer, state, station(range_m=40.0)) == [1]


def test_the_list_without_a_picture_is_the_same(renderer):
    state = scene(actor(ActorKind.CAR, 20.0, -4.0, VAN, seed=1), actor(ActorKind.PEDESTRIAN, 23.2, -4.0, WALKER, seed=2),
                  actor(ActorKind.TRUCK, 35.0, 3.5, (8.0, 2.5, 3.2), seed=3))
    one = station()
    both, alone = view_of(state, one, one.cameras[0], WISH, lambda: renderer), objects_view(state, one, one.cameras[0], lambda: renderer)
    assert alone.objects.tobytes() == both.objects.tobytes() and alone.image is None and both.image is not None
    labelled = renderer.cameras(state, one.cameras, True, roadside=True)["camera"].instance
    assert renderer.instances(state, one.cameras[0]).tobytes() == labelled.tobytes()
    unseen = view_of(state, one, one.cameras[0], replace(WISH, pictures=False), lambda: renderer)
    assert unseen.image is None and unseen.objects.tobytes() == both.objects.tobytes(), "no picture is drawn that nobody wants"


def test_the_thresholds_are_pixels_and_a_share_of_the_outline():
    camera = CameraSpec("camera", Pose(z=1.0), 100, 100, 90.0)
    rows = np.zeros(2, ACTOR_DTYPE)
    rows["x"], rows["length"], rows["width"], rows["height"] = (10.0, 1000.0), 1.0, 2.0, 2.0
    area = outline_px(rows, camera)
    assert area[0] == pytest.approx((2.0 * 50.0 / 9.5) ** 2, rel=1e-3) and area[1] < 1.0
    picture = np.zeros((100, 100), np.int32)
    picture[0, :MIN_PIXELS - 1] = 2
    assert seen_by(rows, camera, picture).tolist() == [False, False]
    picture[0, :MIN_PIXELS] = 2
    assert seen_by(rows, camera, picture).tolist() == [False, True]
    picture[1, :16], picture[2, :2] = 1, 3  # 16 of 110 pixels are too few; 3 is the car that receives the list
    assert seen_by(rows, camera, picture).tolist() == [False, True]
    picture[1, :17] = 1
    assert seen_by(rows, camera, picture).tolist() == [True, True]
