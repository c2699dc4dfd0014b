"""What the vehicle says of its sensors against what a model declares: numbers worked out by hand."""

import math
from types import SimpleNamespace

import pytest

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.geometry.calibration import intrinsics_gap, mount_gap

SPEC = CameraSpec("front", Pose(x=1.3, z=2.3), 400, 300, 90.0)  # focal length 200 px


def info(fx=200.0, fy=200.0, cx=200.0, cy=150.0, d=()):
    return SimpleNamespace(k=[fx, 0.0, cx, 0.0, fy, cy, 0.0, 0.0, 1.0], d=list(d))


@pytest.mark.parametrize("told, size", [
    (info(), None), (info(fx=200.9, fy=199.1), None), (info(d=[0.0] * 5), None), (info(fx=210.0), 1.0), (info(fy=180.0), 2.0),
    (info(cx=240.0), 2.0), (info(cy=140.0), 0.5), (info(d=[0.1, -0.05, 0, 0, 0]), 0.0), (info(fx=0.0), 0.0), (info(fx=math.nan), 0.0)])
def test_intrinsics(told, size):
    gap = intrinsics_gap(SPEC, told, 0.05)
    assert (None if gap is None else gap.size) == (None if size is None else pytest.approx(size))


def test_the_sentences_have_both_numbers():
    assert intrinsics_gap(SPEC, info(fx=210.0), 0.05).text == (
        "camera_info has focal lengths 210.0 and 200.0 px, centre (200.0, 150.0) px; the model declares 200.0 px and (200.0, 150.0) px")
    assert "distortion 0.1;" in intrinsics_gap(SPEC, info(d=[0.1]), 0.05).text
    assert "no calibration (focal lengths 0 and 200 px)" in intrinsics_gap(SPEC, info(fx=0.0), 0.05).text
    text = mount_gap(Pose(1.0, 0.0, 2.0), Pose(1.0, 0.3, 2.4, yaw=math.radians(5.0)), 0.2, 3.0).text
    assert text == ("tf_static has (1.00, 0.30, 2.40) m and yaw, pitch, roll (5.0, 0.0, 0.0) degrees; the model declares "
                    "(1.00, 0.00, 2.00) m and yaw, pitch, roll (0.0, 0.0, 0.0) degrees: 0.50 m and 5.0 degrees apart")


@pytest.mark.parametrize("change, size", [
    (dict(), None), (dict(x=1.305), None), (dict(x=1.4), 0.5), (dict(z=2.9), 3.0), (dict(yaw=math.radians(6.0)), 2.0),
    (dict(roll=math.radians(-1.5)), 0.5), (dict(yaw=math.pi), 60.0)])
def test_mountings(change, size):
    from dataclasses import replace

    gap = mount_gap(optical(SPEC.pose), optical(replace(SPEC.pose, **change)), 0.2, 3.0)
    assert (None if gap is None else gap.size) == (None if size is None else pytest.approx(size, rel=1e-3))
