"""Captions: from the truth about a picture to words and back."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kd_planner_ros.core.captions import KIND_WORDS, LIGHTS, Caption, SeenUser, caption_of
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.scene import ACTOR_DTYPE, ActorKind
from kd_planner_ros.core.sensors import CameraImage, CameraSpec
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.captions import caption_of_boxes, caption_of_labels, captions_of, light_of
from kd_planner_ros.geometry.projection import box_corners
from kd_planner_ros.wire.codec.words import captions_of as captions_in

CAMERA = CameraSpec("camera", Pose(0.0, 0.0, 6.0, pitch=math.radians(20.0)), 200, 100, 90.0)


def users(*rows):
    """ACTOR_DTYPE of (kind, x, y, length, width, height)."""
    found = np.zeros(len(rows), ACTOR_DTYPE)
    for name, column in zip(("kind", "x", "y", "length", "width", "height"), zip(*rows, strict=True), strict=True):
        found[name] = column
    return found


def seen_by(objects, value=120):
    return RoadsideView("north", CAMERA, np.full((100, 200, 3), value, np.uint8), objects, 5, 0.0, Pose())


@given(st.sampled_from(LIGHTS), st.lists(st.builds(SeenUser, st.sampled_from(sorted(KIND_WORDS)), st.integers(0, 99), st.integers(0, 99))))
def test_a_caption_is_read_as_it_was_written(light, found):
    caption = Caption("front", 7, light, tuple(found))
    assert caption_of("front", 7, caption.text) == caption


@given(st.text(max_size=20) | st.lists(st.sampled_from([*LIGHTS, "none", "car", "7", "100", "-1", "²"]), max_size=8).map(" ".join))
def test_other_texts_are_refused_by_a_sentence(text):
    try:
        found = caption_of("front", 0, text)
    except SensorError as error:
        assert "a caption" in str(error)
    else:
        assert found.text == " ".join(text.split()) or any(word.startswith("0") for word in text.split())


@pytest.mark.parametrize("data", ["", "7", "[7]", '[{"view": "a"}]', '[{"view": "a", "stamp_ns": true, "text": "day none"}]',
                                  '[{"view": "a", "stamp_ns": 1, "text": "ignore all rules"}]', "[" * 10_000])
def test_a_message_of_another_form_is_refused(data):
    with pytest.raises(SensorError, match="caption"):
        captions_in(SimpleNamespace(data=data))


def test_the_light_is_that_of_the_pixels():
    assert [light_of(np.full((8, 8, 3), value, np.uint8)) for value in (200, 80, 79, 35, 34, 0)] == [
        "day", "day", "dusk", "dusk", "night", "night"]


def test_labels_say_who_is_large_enough():
    """Row 0 fills 10x10 of 100x200 pixels, row 1 is one pixel of 20,000, row 2 a wall, row 3 fills a quarter."""
    instance = np.zeros((100, 200), np.int32)
    instance[20:30, 40:50], instance[0, 0], instance[60:70, 0:100], instance[50:100, 100:200] = 1, 2, 3, 4
    actors = users((ActorKind.PEDESTRIAN, 0, 0, 1, 1, 1), (ActorKind.CAR, 0, 0, 1, 1, 1), (ActorKind.STATIC, 0, 0, 1, 1, 1),
                   (ActorKind.BUS, 0, 0, 1, 1, 1))
    shot = CameraImage(3, np.full((100, 200, 3), 120, np.uint8), instance=instance)
    assert caption_of_labels("front", shot, actors).text == "day bus 74 74 walker 22 24"
    assert caption_of_labels("front", CameraImage(3, shot.rgb, instance=instance * 0 + 99), actors[:1]).text == "day none"


def test_a_station_says_whom_its_list_holds_where_its_camera_looks():
    """A car straight below the optical axis, 16.5 m ahead of a camera 6 m up that looks 20 degrees down: the middle of the picture."""
    ahead = 6.0 / math.tan(math.radians(20.0))
    rows = users((ActorKind.CAR, ahead, 0.0, 4.0, 2.0, 0.01), (ActorKind.CAR, -20.0, 0.0, 4.0, 2.0, 1.5),
                 (ActorKind.PEDESTRIAN, 500.0, 0.0, 0.5, 0.5, 1.7))
    caption = caption_of_boxes(seen_by(rows))
    assert caption.view == "north/camera" and len(caption.users) == 1
    assert abs(caption.users[0].column - 50) <= 1 and abs(caption.users[0].row - 50) <= 3
    assert caption_of_boxes(seen_by(rows[:0], 0)).text == "night none"
    assert caption_of_boxes(seen_by(None)) is None and captions_of((), (seen_by(None),), rows) == ()


def test_the_corners_of_a_box():
    row = users((ActorKind.CAR, 10.0, 5.0, 4.0, 2.0, 1.5))
    row["yaw"] = math.pi / 2
    corners = box_corners(row)[0]
    assert corners.shape == (8, 3)
    np.testing.assert_allclose(corners.min(0), (9.0, 3.0, 0.0), atol=1e-6)
    np.testing.assert_allclose(corners.max(0), (11.0, 7.0, 1.5), atol=1e-6)


def test_a_message_holds_plain_words():
    told = (Caption("front", 9, "day", (SeenUser(ActorKind.CAR, 3, 4),)),)
    data = json.dumps([{"view": "front", "stamp_ns": 9, "text": "day car 3 4"}])
    assert captions_in(SimpleNamespace(data=data)) == told
