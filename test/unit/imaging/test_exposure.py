"""Which pictures show something, and why others do not."""

import numpy as np
import pytest

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.imaging.exposure import exposed, require_content, require_light, small_grey

RANDOM = np.random.default_rng(3)


@pytest.mark.parametrize(("low", "high", "shows"), [(0, 1, False), (128, 129, False), (252, 256, False), (0, 60, True), (100, 180, True)])
def test_light_and_contrast(low, high, shows):
    blocks = RANDOM.integers(low, high, (9, 16), np.uint8).repeat(20, 0).repeat(20, 1)
    assert exposed(small_grey(blocks)) is shows


def test_noise_of_single_pixels_is_no_content():
    grain = np.clip(RANDOM.normal(128.0, 4.0, (540, 960, 1)), 0, 255).astype(np.uint8).repeat(3, 2)
    with pytest.raises(SensorError, match="a picture with content from camera 'front'; got grey levels of mean 12"):
        require_content(grain, "front")


def test_a_night_is_content_and_its_lights_are_light():
    night = np.full((100, 200, 3), 3, np.uint8)
    with pytest.raises(SensorError, match="a picture with light"):
        require_light(night, "front")
    night[40:50, 50:60] = 200
    require_content(night, "front")


def test_what_is_too_small_is_said_with_its_size():
    with pytest.raises(SensorError, match="at least 32x32 pixels from camera 'front'; got 200x31"):
        require_content(RANDOM.integers(0, 256, (31, 200, 3), np.uint8), "front")
