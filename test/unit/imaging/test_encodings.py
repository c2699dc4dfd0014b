"""Wire encodings: hand-made bytes, padding, byte order, refusals, and round trips over random pictures."""

from __future__ import annotations

import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.imaging.encodings import ENCODINGS, decode_image, decode_rgb, encode_image, encode_rgb

COLOUR = ("rgb8", "bgr8", "rgba8", "bgra8")


@pytest.mark.parametrize("encoding, data", [
    ("rgb8", [1, 2, 3, 4, 5, 6]), ("bgr8", [3, 2, 1, 6, 5, 4]),
    ("rgba8", [1, 2, 3, 0, 4, 5, 6, 0]), ("bgra8", [3, 2, 1, 255, 6, 5, 4, 255])])
def test_two_pixels_by_hand(encoding, data):
    assert decode_rgb(bytes(data), 1, 2, encoding).tolist() == [[[1, 2, 3], [4, 5, 6]]]


def test_grey_becomes_rgb():
    assert decode_rgb(bytes([7, 9]), 1, 2, "mono8").tolist() == [[[7, 7, 7], [9, 9, 9]]]


def test_padding_is_skipped():
    data = bytes([1, 2, 3, 99, 99, 4, 5, 6, 99, 99])
    assert decode_rgb(data, 2, 1, "rgb8", step=5).tolist() == [[[1, 2, 3]], [[4, 5, 6]]]
    assert decode_rgb(data[:-2], 2, 1, "rgb8", step=5).tolist() == [[[1, 2, 3]], [[4, 5, 6]]]


def test_byte_order_is_honoured():
    assert decode_image(bytes([1, 2]), 1, 1, "16UC1").tolist() == [[0x0201]]
    assert decode_image(bytes([1, 2]), 1, 1, "16UC1", big_endian=True).tolist() == [[0x0102]]
    metres = np.array([[12.5, np.nan]], ">f4")
    decoded = decode_image(metres.tobytes(), 1, 2, "32FC1", big_endian=True)
    assert decoded[0, 0] == 12.5 and np.isnan(decoded[0, 1]) and decoded.dtype.isnative


def test_padded_depth():
    data = np.array([[1.0, 2.0, -1.0], [3.0, 4.0, -1.0]], "<f4").tobytes()
    assert decode_image(data, 2, 2, "32FC1", step=12).tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_unpadded_data_is_not_copied():
    data = np.arange(12, dtype=np.uint8)
    assert np.shares_memory(decode_image(data, 2, 2, "rgb8"), data)


def test_rgb_owns_its_memory():
    data = np.zeros(12, np.uint8)
    picture = decode_rgb(data, 2, 2, "rgb8")
    data[:] = 9
    assert picture.sum() == 0 and picture.flags.c_contiguous and picture.flags.writeable


def test_ros_arrays_are_read():
    assert decode_rgb(array.array("B", [1, 2, 3]), 1, 1, "rgb8").tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("arguments", [
    (bytes(12), 2, 2, "yuv422"), (bytes(11), 2, 2, "rgb8"), (bytes(12), 2, 2, "rgb8", 5), (bytes(12), 0, 2, "rgb8"),
    (b"", 2, 2, "rgb8"), (bytes(12), 2, -2, "rgb8"), (bytes(16), 2, 2, "32FC1"), (bytes(12), 2, 2, "8UC3")])
def test_refused(arguments):
    with pytest.raises(SensorError) as caught:
        decode_rgb(*arguments)
    assert "\n" not in str(caught.value)


@given(st.sampled_from(COLOUR), st.integers(1, 9), st.integers(1, 9), st.integers(0, 7), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_colour_round_trip_with_padding(encoding, height, width, padding, seed):
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    wire = encode_rgb(picture, encoding).reshape(height, -1)
    padded = np.concatenate([wire, rng.integers(0, 256, (height, padding), dtype=np.uint8)], axis=1)
    assert np.array_equal(decode_rgb(padded.tobytes(), height, width, encoding, padded.shape[1]), picture)


@given(st.sampled_from(sorted(ENCODINGS)), st.integers(1, 6), st.integers(1, 6), st.booleans(),
       st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_any_round_trip_in_both_byte_orders(encoding, height, width, big, seed):
    spec = ENCODINGS[encoding]
    shape = (height, width) if spec.channels == 1 else (height, width, spec.channels)
    picture = (np.random.default_rng(seed).random(shape) * 250).astype(spec.dtype)
    wire = picture.astype(np.dtype(spec.dtype).newbyteorder(">" if big else "<"))
    assert np.array_equal(decode_image(wire.tobytes(), height, width, encoding, big_endian=big), picture)
    flat, step, big_here = encode_image(picture, encoding)
    assert np.array_equal(decode_image(flat, height, width, encoding, step, big_here), picture)


def test_encoders_refuse_other_types():
    for picture, encoding in ((np.zeros((2, 2, 3)), "rgb8"), (np.zeros((2, 2), np.uint8), "bgr8"),
                              (np.zeros((2, 2, 3), np.uint8), "mono8")):
        with pytest.raises(SensorError):
            encode_rgb(picture, encoding)
    with pytest.raises(SensorError):
        encode_image(np.zeros((2, 2), np.float64), "32FC1")
