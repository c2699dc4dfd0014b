"""Frames from their parts: calibrations, ages, and what a history gives back."""

import numpy as np
import pytest

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.frames import FrameMaker, make_frame
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig, Station
from kd_planner_ros.core.v2x import RoadsideView

FRONT, REAR = CameraSpec("front", Pose(x=1.3, z=2.3), 8, 4, 90.0), CameraSpec("rear", Pose(x=-1.3, z=2.3), 8, 4, 90.0)
RIG = SensorRig((FRONT, REAR), history_s=(0.2, 0.1))
PICTURE = np.zeros((4, 8, 3), np.uint8)


def ego(milliseconds, x=0.0):
    return EgoState(milliseconds * 1_000_000, Pose(x=x), 0.0)


def make(maker, milliseconds, x=0.0):
    return maker.make(ego(milliseconds, x), None, {"front": PICTURE}, {})


def test_a_frame_knows_the_cameras_of_its_pictures():
    made = make_frame(RIG.cameras, ego(50), None, {"front": PICTURE}, {})
    assert dict(made.calibrations) == {"front": FRONT}, "no picture of 'rear' came"
    assert made.ages_s == {"front": 0.0} and made.stamp_ns == 50_000_000 and made.goal is None
    assert made.history == () and made.roadside == ()


def test_history_comes_in_the_order_it_was_declared_in_and_says_what_is_missing():
    maker = FrameMaker(RIG)
    made = [make(maker, at) for at in (0, 100, 200, 320)]
    assert made[0].history == (None, None)
    assert made[1].history[0] is None and made[1].history[1].stamp_ns == 0
    assert [one.stamp_ns for one in made[2].history] == [0, 100_000_000]
    assert [one.stamp_ns for one in made[3].history] == [100_000_000, 200_000_000], "20 ms off are within half a tick"
    assert made[3].history[1].history == (), "an earlier frame keeps no history: memory stays bounded"


def test_history_forgets_when_time_was_set_back_and_on_reset():
    maker = FrameMaker(RIG)
    for at in (1000, 1100):
        make(maker, at)
    assert make(maker, 0).history == (None, None)
    maker.reset()
    assert make(maker, 100).history == (None, None)


def test_a_rig_without_history_has_none():
    maker = FrameMaker(SensorRig((FRONT,)))
    assert make(maker, 0).history == () and make(maker, 100).history == ()


@pytest.mark.parametrize("age_s", [0.0, -0.1, float("nan")])
def test_an_offset_that_is_not_in_the_past_is_refused(age_s):
    with pytest.raises(ConfigError, match="history_s"):
        SensorRig(history_s=(age_s,))


def roadside(**wish):
    return FrameMaker(SensorRig((FRONT,), roadside=RoadsideWish(**wish)))


def camera_at(x):
    return CameraSpec("camera", Pose(x=x, z=7.0), 8, 4, 90.0)


def mast(name, x=0.0):
    return Station(name, Pose(x=x))


def test_the_nearest_fresh_views_come_first_and_far_or_old_ones_are_missing():
    maker = roadside(views=2, range_m=100.0, max_age_s=0.5)
    for station, x, at in (("far", 150.0, 1000), ("near", 10.0, 900), ("middle", 60.0, 700), ("old", 5.0, 400)):
        maker.roadside.take_picture(mast(station, x), camera_at(x), at * 1_000_000, PICTURE)
    views = make(maker, 1000).roadside
    assert [(view.station, view.age_s) for view in views] == [("near", 0.1), ("middle", 0.3)]
    assert views[0].camera == camera_at(10.0) and views[0].image is PICTURE and views[0].objects is None
    assert [view.station for view in make(maker, 1000, x=120.0).roadside] == ["far", "middle"]
    assert make(maker, 1600).roadside == (), "0.6 s later everything is too old"


def test_a_late_picture_does_not_replace_a_newer_one_and_a_future_one_waits():
    maker = roadside()
    for at in (900, 800, 1050):
        maker.roadside.take_picture(mast("a"), camera_at(0.0), at * 1_000_000, np.full_like(PICTURE, at // 50))
    assert make(maker, 1000).roadside[0].stamp_ns == 900_000_000
    assert make(maker, 1050).roadside[0].image[0, 0, 0] == 21


def test_object_lists_come_with_the_picture_or_alone_and_only_where_wanted():
    rows = np.zeros(3, ACTOR_DTYPE)
    maker, plain = roadside(objects=True), roadside()
    for one in (maker, plain):
        one.roadside.take_objects(mast("a"), 950_000_000, rows)
    view, = make(maker, 1000).roadside
    assert view.image is None and view.camera is None and view.objects is rows and view.age_s == 0.05
    assert make(plain, 1000).roadside == ()
    maker.roadside.take_picture(mast("a"), camera_at(0.0), 900_000_000, PICTURE)
    view, = make(maker, 1000).roadside
    assert view.image is PICTURE and view.objects is rows and view.stamp_ns == 900_000_000
    assert (view.age_s, view.list_age_s) == (0.1, 0.05), "the list is younger than the picture"


def test_who_reads_lists_alone_gets_the_nearest_list_whatever_pictures_come():
    maker, rows = roadside(objects=True, pictures=False), np.zeros(2, ACTOR_DTYPE)
    maker.roadside.take_picture(mast("far", 50.0), camera_at(50.0), 0, PICTURE)
    maker.roadside.take_objects(mast("far", 50.0), 0, np.zeros(1, ACTOR_DTYPE))
    maker.roadside.take_objects(mast("near", 20.0), 0, rows)
    view, = make(maker, 0).roadside
    assert view.station == "near" and view.objects is rows and view.image is None and view.camera is None


def test_the_foot_of_the_mast_decides_wherever_its_cameras_hang_and_whatever_it_sends():
    """A camera on a boom 20 m from the mast, and a station with an object list alone: one rule for both."""
    maker = roadside(views=3, range_m=100.0, objects=True)
    maker.roadside.take_picture(mast("boom", 90.0), camera_at(110.0), 0, PICTURE)
    maker.roadside.take_picture(mast("outside", 110.0), camera_at(90.0), 0, PICTURE)
    maker.roadside.take_objects(mast("list", 99.0), 0, np.zeros(1, ACTOR_DTYPE))
    maker.roadside.take_objects(mast("list far away", 5000.0), 0, np.zeros(1, ACTOR_DTYPE))
    assert [(view.station, view.foot.x) for view in make(maker, 0).roadside] == [("boom", 90.0), ("list", 99.0)]
    with pytest.raises(ValueError, match="foot of its mast"):
        maker.roadside.take(RoadsideView("nowhere", camera_at(0.0), PICTURE, None, 0, 0.0))


def test_pictures_that_are_no_pair_with_the_cars_own_are_counted_once():
    maker = roadside()
    for at in (0, 200):
        maker.roadside.take_picture(mast("a"), camera_at(0.0), at * 1_000_000, PICTURE)
        for frame in (50, 100, 150, 190):
            make(maker, at + frame)
    assert maker.roadside.unpaired == 2


def test_messages_of_a_station_that_is_another_one_now_are_forgotten():
    maker = roadside(views=2, objects=True)
    for name in ("station_1", "station_2"):
        maker.roadside.take_picture(mast(name), camera_at(0.0), 0, PICTURE)
        maker.roadside.take_objects(mast(name), 0, np.zeros(1, ACTOR_DTYPE))
    maker.roadside.forget("station_1")
    maker.roadside.forget("nobody")
    assert [view.station for view in make(maker, 0).roadside] == ["station_2"]


def test_a_picture_that_cannot_be_decoded_is_missing_and_the_list_remains():
    maker = roadside(objects=True)
    maker.roadside.take_picture(mast("a"), camera_at(0.0), 0, b"broken")
    assert maker.make(ego(0), None, {}, {}, image_of=lambda item: None).roadside == ()
    maker.roadside.take_objects(mast("a"), 0, np.zeros(1, ACTOR_DTYPE))
    view, = maker.make(ego(0), None, {}, {}, image_of=lambda item: None).roadside
    assert view.image is None and len(view.objects) == 1
    maker.reset()
    assert make(maker, 0).roadside == ()
