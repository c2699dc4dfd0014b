"""Scaling a part of a picture gives what scaling the whole one gives there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.imaging.resize import resize_rgb, resize_rows


@given(data=st.data())
def test_rows_are_those_of_the_whole_picture(data):
    tall, wide = (data.draw(st.integers(4, 200)) for _ in range(2))
    height, width = (data.draw(st.integers(2, 240)) for _ in range(2))
    top = data.draw(st.integers(0, height - 1))
    rows = data.draw(st.integers(1, height - top))
    picture = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 256, (tall, wide, 3), dtype=np.uint8)
    found = resize_rows(picture, height, width, top, rows)
    assert np.array_equal(found, resize_rgb(picture, height, width)[top:top + rows])


@pytest.mark.parametrize("height, seen_rows", [(264, 168), (400, 336)], ids=["shrinks", "grows"])
def test_rows_far_from_those_are_not_scaled(monkeypatch, height, seen_rows):
    import cv2
    seen, own = [], cv2.resize
    monkeypatch.setattr(cv2, "resize", lambda image, *more, **kind: seen.append(len(image)) or own(image, *more, **kind))
    resize_rows(np.zeros((336, 448, 3), np.uint8), height, 352, 81, 128)
    assert seen == [seen_rows]
