"""Mountings of cameras as a parameter's text."""

from __future__ import annotations

from dataclasses import astuple

import pytest

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.mounts import mounts_text, read_mounts


def test_what_is_written_is_read():
    mounts = {"left": Pose(1.2345678901, 0.5, 1.6, 0.96, -0.01, 0.02), "right": Pose(z=2.3, yaw=-1.0)}
    found = read_mounts(mounts_text(mounts))
    assert found.keys() == mounts.keys()
    assert all(astuple(found[name]) == pytest.approx(astuple(one), abs=1e-14) for name, one in mounts.items())
    assert read_mounts("") == {} and mounts_text({}) == ""
    assert read_mounts("left 1 0 2 55 0 0;")["left"].yaw == pytest.approx(0.95993, abs=1e-5)


@pytest.mark.parametrize("text", ["left", "left 1 2 3", "left 1 2 3 4 5 6 7", "left 1 2 3 4 5 high", "left 1 2 3 4 5 nan"])
def test_what_is_no_mounting_is_refused(text):
    with pytest.raises(ConfigError, match="camera_mounts as 'NAME x y z yaw pitch roll.*got 'left") as refused:
        read_mounts(text)
    assert "\n" not in str(refused.value)
