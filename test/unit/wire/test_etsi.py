"""CPMs made by hand, with the fields of etsi_its_cpm_ts_msgs, against numbers worked out by hand."""

import math
from datetime import datetime, timezone
from types import SimpleNamespace as N

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import ActorKind
from kd_planner_ros.wire.codec import etsi


def v(value):
    return N(value=value)


def vv(value):
    return N(value=v(value), confidence=v(0))


def perceived(east_cm=1000, north_cm=-500, *, late_ms=0, number=7, velocity=(0, 0), polar=None, angle=None, size=(45, 19, 16), up_cm=None,
              classes=((0, 5, 90),)):
    """One object; ``classes``: (choice, value or sub-choice, confidence)."""
    one = N(object_id_is_present=number is not None, object_id=v(number or 0), measurement_delta_time=v(late_ms),
            position=N(x_coordinate=vv(east_cm), y_coordinate=vv(north_cm), z_coordinate=vv(up_cm or 0),
                       z_coordinate_is_present=up_cm is not None),
            velocity_is_present=velocity is not None or polar is not None, angles_is_present=angle is not None,
            angles=N(z_angle=vv(angle or 0)), classification_is_present=bool(classes))
    (vx, vy), (speed, turn) = velocity or (0, 0), polar or (0, 0)
    one.velocity = N(choice=0 if polar else 1, cartesian_velocity=N(x_velocity=vv(vx), y_velocity=vv(vy)),
                     polar_velocity=N(velocity_magnitude=N(speed_value=v(speed)), velocity_direction=vv(turn)))
    for axis, value in zip("xyz", size):
        setattr(one, f"object_dimension_{axis}", vv(value or 0))
        setattr(one, f"object_dimension_{axis}_is_present", value is not None)
    one.classification = N(array=[N(object_class=N(choice=choice, vehicle_sub_class=v(value), vru_sub_class=N(choice=value)),
                                    confidence=v(sure)) for choice, value, sure in classes])
    return one


def cpm(*objects, reference_ms=600_000_000_000, others=(1, 3)):
    def container(number, found=()):
        return N(container_id=v(number), container_data_perceived_object_container=N(perceived_objects=N(array=list(found))))

    containers = [*(container(number, [None]) for number in others), container(5, objects)]
    return N(header=N(station_id=v(4711)), payload=N(management_container=N(reference_time=v(reference_ms)),
                                                     cpm_containers=N(value=N(array=containers))))


def read(*objects, place=Pose(), **more):
    return etsi.perceived_of(cpm(*objects, **more), place)


def row(*arguments, place=Pose(), **more):
    return read(perceived(*arguments, **more), place=place).rows[0]


def test_its_time_counts_five_leap_seconds():
    """The start of 2017 and a day of 2026, both by the calendar: ITS time is the elapsed seconds, with the leap seconds at the ends of
    2005 and 2008, of June 2012 and 2015, and of 2016."""
    epoch = datetime(2004, 1, 1, tzinfo=timezone.utc)
    for moment in (datetime(2017, 1, 1, tzinfo=timezone.utc), datetime(2026, 11, 28, 12, tzinfo=timezone.utc)):
        its_ms = round((moment - epoch).total_seconds() * 1000) + 5000
        assert etsi.unix_ns(its_ms) == round(moment.timestamp()) * 10**9
    assert read(reference_ms=its_ms).stamp_ns == round(moment.timestamp()) * 10**9


def test_a_car_east_and_south_of_the_mast():
    found = read(perceived(velocity=(300, -400), angle=900, up_cm=80), place=Pose(100.0, 200.0, 5.0))
    one, = found.rows
    assert (found.station, one["id"], one["kind"]) == (4711, 7, ActorKind.CAR) and found.notes == {etsi.NO_SIZE: 0}
    assert [float(one[name]) for name in ("x", "y", "z")] == pytest.approx([110.0, 195.0, 5.0]), "z is the ground below the box"
    assert [float(one[name]) for name in ("vx", "vy", "yaw")] == pytest.approx([3.0, -4.0, math.pi / 2])
    assert [float(one[name]) for name in ("length", "width", "height")] == pytest.approx([4.5, 1.9, 1.6])


def test_a_map_that_is_turned_against_east():
    one = row(velocity=(100, 0), angle=0, place=Pose(yaw=math.pi / 2))
    assert [float(one[name]) for name in ("x", "y", "vx", "vy", "yaw")] == pytest.approx([5.0, 10.0, 0.0, 1.0, math.pi / 2], abs=1e-6)


def test_an_object_measured_before_the_reference_time_is_moved_on_to_it():
    one = row(velocity=(1000, 0), late_ms=-200)
    assert float(one["x"]) == pytest.approx(12.0)


def test_polar_velocity_turns_from_east_to_north():
    one = row(velocity=None, polar=(500, 300))
    assert (float(one["vx"]), float(one["vy"])) == pytest.approx((5 * math.cos(math.pi / 6), 2.5))
    assert float(one["yaw"]) == pytest.approx(math.pi / 6), "no box angle: where it goes"


@pytest.mark.parametrize("given", [{"velocity": None}, {"velocity": (16_383, 0)}, {"velocity": None, "polar": (16_383, 0)},
                                   {"velocity": None, "polar": (100, 3601)}])
def test_an_unknown_velocity_counts_as_standing_and_is_told(given):
    found = read(perceived(**given))
    assert (found.rows["vx"].tolist(), found.rows["vy"].tolist(), found.notes[etsi.NO_VELOCITY]) == ([0.0], [0.0], 1)


@pytest.mark.parametrize("size", [(None, None, None), (255, 256, 256)])
def test_an_unknown_size_is_the_usual_one_and_is_told(size):
    found = read(perceived(size=size, classes=((1, 0, 50),)))
    assert [float(found.rows[0][name]) for name in ("length", "width", "height")] == pytest.approx([0.5, 0.5, 1.7])
    assert found.notes[etsi.NO_SIZE] == 1


def test_what_is_out_of_the_messages_range_is_left_out_and_told():
    found = read(perceived(131_071), perceived(0, -131_072), perceived())
    assert len(found.rows) == 1 and found.notes[etsi.OUT_OF_RANGE] == 2


@pytest.mark.parametrize("classes, kind", [
    ((), ActorKind.STATIC), (((0, 6, 90),), ActorKind.BUS), (((0, 8, 90),), ActorKind.TRUCK), (((0, 0, 90),), ActorKind.CAR),
    (((1, 0, 90),), ActorKind.PEDESTRIAN), (((1, 1, 90),), ActorKind.BICYCLE), (((1, 2, 90),), ActorKind.MOTORCYCLE),
    (((1, 3, 90),), ActorKind.STATIC), (((2, 0, 90),), ActorKind.PEDESTRIAN), (((3, 1, 90),), ActorKind.STATIC),
    (((0, 5, 40), (1, 1, 60)), ActorKind.BICYCLE), (((0, 5, 40), (1, 1, 101)), ActorKind.CAR)])
def test_classes(classes, kind):
    assert row(classes=classes)["kind"] == kind


def test_an_object_without_an_id_is_left_out_and_told():
    found = read(perceived(number=None), perceived(number=0), perceived(number=None))
    assert found.rows["id"].tolist() == [0] and found.notes[etsi.NO_ID] == 2


@given(st.integers(-131_071, 131_070), st.integers(-2048, 2047), st.integers(-16_383, 16_383), st.integers(0, 3601), st.integers(1, 256),
       st.floats(-4, 4))
def test_whatever_the_fields_may_hold_is_finite(cm, late_ms, speed, angle, size, yaw):
    one = row(cm, cm, late_ms=late_ms, velocity=(speed, speed), angle=angle, size=(size, size, size), up_cm=cm, place=Pose(yaw=yaw))
    assert all(np.isfinite(float(one[name])) for name in one.dtype.names)
