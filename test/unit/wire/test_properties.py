"""Properties of the codec over sizes, row padding, byte order, encodings and types, by both families of message classes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.makers import MAKERS, find_maker

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.imaging.encodings import ENCODINGS
from kd_planner_ros.wire.codec import base, pictures, tables
from kd_planner_ros.wire.tables import CODES

NUMBERS = {code: number for number, code in CODES.items()}
few = settings(max_examples=60, deadline=None)
sizes = st.integers(1, 24)


def pixels(encoding, height, width, seed):
    """Random pixels in the encoding's layout; every bit pattern but NaN."""
    spec = ENCODINGS[encoding]
    shape = (height, width) if spec.channels == 1 else (height, width, spec.channels)
    raw = np.random.default_rng(seed).integers(0, 256, (*shape, np.dtype(spec.dtype).itemsize), np.uint8)
    values = raw.view(spec.dtype)[..., 0]
    return np.where(np.isfinite(values), values, 1).astype(spec.dtype) if spec.dtype == "f4" else values


@pytest.fixture(params=MAKERS, scope="module")
def make(request):
    return find_maker(request.param)


@given(encoding=st.sampled_from(sorted(ENCODINGS)), height=sizes, width=sizes, padding=st.integers(0, 9), big=st.booleans(),
       cut=st.booleans(), any_step=st.integers(0, 2**32 - 1), seed=st.integers(0, 99))
@few
def test_pictures_of_every_encoding_padding_and_byte_order(make, encoding, height, width, padding, big, cut, any_step, seed):
    wanted = pixels(encoding, height, width, seed)
    ordered = wanted.astype(wanted.dtype.newbyteorder(">" if big else "<"))
    row = ordered.reshape(height, -1).view(np.uint8)
    padded = np.concatenate([row, np.full((height, padding), 171, np.uint8)], axis=1)
    data = padded.reshape(-1)[: padded.size - padding if cut else padded.size]  # the last row may come without its padding
    step = padded.shape[1] if height > 1 else any_step  # with one row it does not matter
    message = make("sensor_msgs/msg/Image", header=base.header(make, 0, ""), height=height, width=width, encoding=encoding,
                   is_bigendian=int(big), step=step, data=data.copy())
    found = pictures.pixels_of(message)
    assert found.dtype == wanted.dtype and found.dtype.isnative and np.array_equal(found, wanted)
    found[...] = 0  # its own memory: the message keeps its pixels
    assert np.array_equal(pictures.pixels_of(message), wanted)


@given(encoding=st.sampled_from(sorted(ENCODINGS)), height=sizes, width=sizes, seed=st.integers(0, 99))
@few
def test_what_is_encoded_is_decoded(make, encoding, height, width, seed):
    wanted = pixels(encoding, height, width, seed)
    message = pictures.image(make, wanted, encoding, 5, "front")
    assert (message.height, message.width, message.step) == (height, width, wanted[0].nbytes)
    assert np.array_equal(pictures.pixels_of(message), wanted)


@given(encoding=st.sampled_from([name for name, one in ENCODINGS.items() if one.rgb]), height=sizes, width=sizes,
       padding=st.integers(0, 9), seed=st.integers(0, 99))
@few
def test_colours_come_in_the_order_red_green_blue(make, encoding, height, width, padding, seed):
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    spec = ENCODINGS[encoding]
    coded = np.full((height, width, spec.channels), 255, np.uint8)
    coded[..., list(spec.rgb)] = rgb
    padded = np.concatenate([coded.reshape(height, -1), np.zeros((height, padding), np.uint8)], axis=1)
    message = make("sensor_msgs/msg/Image", header=base.header(make, 0, ""), height=height, width=width, encoding=encoding,
                   is_bigendian=0, step=padded.shape[1], data=padded.reshape(-1).copy())
    assert np.array_equal(pictures.rgb_of(message), rgb)


@given(encoding=st.sampled_from(sorted(ENCODINGS)), height=sizes, width=sizes, missing=st.integers(1, 40))
@few
def test_a_picture_with_too_few_bytes_is_refused(make, encoding, height, width, missing):
    message = pictures.image(make, pixels(encoding, height, width, 0), encoding, 0, "")
    message.data = message.data[: max(0, len(message.data) - missing)]
    with pytest.raises(SensorError, match="cut off"):
        pictures.pixels_of(message)


columns = st.lists(st.tuples(st.sampled_from(sorted(CODES.values())), st.integers(1, 4), st.integers(0, 5)), min_size=1, max_size=6)


@given(columns=columns, tail=st.integers(0, 7), rows=st.integers(0, 6), lines=st.integers(1, 3), padding=st.integers(0, 5),
       big=st.booleans(), cut=st.booleans(), any_step=st.integers(0, 2**32 - 1), seed=st.integers(0, 99))
@few
def test_tables_of_every_type_hole_and_byte_order(make, columns, tail, rows, lines, padding, big, cut, any_step, seed):
    """``columns``: type, numbers a row, and the hole before it."""
    fields, at = [], 0
    for index, (code, count, hole) in enumerate(columns):
        fields.append((f"c{index}", at + hole, code, count))
        at += hole + count * np.dtype(code).itemsize
    step = at + tail
    raw = np.random.default_rng(seed).integers(0, 256, (lines, rows * step + padding), np.uint8)
    message = make(
        "sensor_msgs/msg/PointCloud2", header=base.header(make, 0, ""), height=lines, width=rows, is_bigendian=big, point_step=step,
        row_step=rows * step + padding if lines > 1 else any_step, is_dense=True,
        data=raw.reshape(-1)[: raw.size - padding if cut else raw.size].copy(),  # the last line may come without its padding
        fields=[make("sensor_msgs/msg/PointField", name=n, offset=o, datatype=NUMBERS[c], count=k) for n, o, c, k in fields])
    found = tables.rows_of(message)
    assert found.shape == (lines * rows,)
    for name, offset, code, count in fields:
        wanted = raw[:, : rows * step].reshape(lines * rows, step)[:, offset:offset + count * np.dtype(code).itemsize]
        order = np.dtype(code).newbyteorder(">" if big else "<")
        assert np.ascontiguousarray(found[name]).tobytes() == np.ascontiguousarray(wanted).tobytes()
        assert found[name].dtype.base == order and found[name].size == lines * rows * count


@given(columns=columns, rows=st.integers(0, 6), seed=st.integers(0, 99))
@few
def test_tables_are_sent_exactly(make, columns, rows, seed):
    dtype = np.dtype([(f"c{i}", code, (count,)) if count > 1 else (f"c{i}", code) for i, (code, count, _) in enumerate(columns)])
    wanted = np.random.default_rng(seed).integers(0, 256, (rows, dtype.itemsize), np.uint8).reshape(-1).view(dtype)
    found = tables.rows_of(tables.table(make, wanted, 0, "map"))
    assert found.dtype == dtype and found.tobytes() == wanted.tobytes()


@given(rows=st.integers(1, 9), lines=st.integers(1, 4), padding=st.integers(0, 40), big=st.booleans(), first=st.integers(0, 9),
       holes=st.tuples(*[st.integers(0, 5)] * 4), order=st.permutations(["x", "y", "z", "intensity"]), seed=st.integers(0, 99))
@few
def test_clouds_give_every_point_whatever_their_layout(make, rows, lines, padding, big, first, holes, order, seed):
    """Organised clouds, padded lines, columns in any order and place, both byte orders: a recording and a node read the same points."""
    wanted = np.random.default_rng(seed).normal(size=(lines * rows, 4)).astype(np.float32)
    at = first + np.cumsum([0, *(4 + hole for hole in holes)])
    step = int(at[-1])
    lanes = np.random.default_rng(seed).integers(0, 256, (lines, rows * step + padding), np.uint8)
    for column, offset in zip(order, at[:4].tolist(), strict=True):
        values = wanted[:, ["x", "y", "z", "intensity"].index(column)].astype(">f4" if big else "<f4").view(np.uint8).reshape(-1, 4)
        for line in range(lines):
            lanes[line, : rows * step].reshape(rows, step)[:, offset:offset + 4] = values[line * rows:(line + 1) * rows]
    message = make(
        "sensor_msgs/msg/PointCloud2", header=base.header(make, 0, ""), height=lines, width=rows, is_bigendian=big, point_step=step,
        row_step=rows * step + padding, data=lanes.reshape(-1).copy(), is_dense=True,
        fields=[make("sensor_msgs/msg/PointField", name=n, offset=int(o), datatype=7, count=1) for n, o in zip(order, at[:4])])
    assert np.array_equal(tables.cloud_of(message), wanted)


@given(rows=st.integers(1, 6), lines=st.integers(2, 4), missing=st.integers(1, 90), short=st.integers(0, 3))
@few
def test_clouds_with_too_few_bytes_are_refused(make, rows, lines, missing, short):
    message = tables.cloud(make, np.ones((rows * lines, 4), np.float32), 0, "lidar")
    message.width, message.height, message.row_step = rows, lines, rows * 16 - short
    if not short:
        message.data = message.data[: max(0, len(message.data) - missing)]
    with pytest.raises(SensorError, match="cut off"):
        tables.cloud_of(message)
