"""The shared recordings: three cameras, labels of the front one, roadside stations and the map's lines, compressed."""

import numpy as np
import pytest

from kd_planner_ros.bags.cameras import samples_for
from kd_planner_ros.bags.drive import captions_of
from kd_planner_ros.bags.facts import custom_data
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.captions import LIGHTS
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.sensors import RoadsideWish, SensorRig
from kd_planner_ros.record.jobs import RecordConfig
from kd_planner_ros.record.record import record

WANTS = SensorRig(history_s=(0.1,), roadside=RoadsideWish(views=2, objects=True))


def config(out, **changes):
    values = {"out": out, "rig": "shared", "labels": ("all",), "count": 1, "min_m": 40.0, "max_m": 65.0, "vehicles": 8, "walkers": 2,
              "seed": 4, "progress": False, "workers": 1, "weather": ("ClearNoon",)}
    return RecordConfig(**{**values, **changes})


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    out = tmp_path_factory.mktemp("shared")
    report = record(config(out))
    folder, = out.iterdir()
    return out, folder, report


def test_everything_that_networks_train_on_is_read_back_at_ten_hertz(shared):
    _, folder, report = shared
    with open_bag(folder) as recording:
        assert recording.cameras == ("front", "left", "right") and custom_data(folder)["labels"] == "depth semantic instance"
        assert set(recording.map_lines["kind"]) >= {LineKind.DIVIDER, LineKind.BOUNDARY, LineKind.CENTRE}
        assert len(recording.stations) >= 12 and recording.stations[0].cameras[0].height == 216
        samples = list(recording.samples(("front",), labels=("depth", "semantic", "instance"), wants=WANTS))
        assert len(samples) == report.frames > 30 and recording.incomplete == 0
        stamps = np.array([sample.frame.stamp_ns for sample in samples])
        np.testing.assert_array_equal(np.diff(stamps), 100_000_000)
        for sample in samples[1:8]:
            frame, label = sample.frame, sample.truth.labels["front"]
            assert frame.images["front"].shape == (336, 448, 3) and frame.calibrations["front"].pose.x == 1.3
            assert label.depth.dtype == np.float32 and (label.semantic == 1).any() and label.instance.dtype == np.int32
            assert frame.history[0].stamp_ns == frame.stamp_ns - 100_000_000
            view, second = frame.roadside
            assert second.station != view.station and second.image.shape == view.image.shape and second.objects is not None
            assert view.age_s == 0.0 and view.image.shape == (216, 384, 3) and view.camera.pose.z > 5.0
            reported = sample.truth.actors[np.isin(sample.truth.actors["id"], view.objects["id"])]
            assert view.objects.tobytes() == reported.tobytes(), "those that the station sees, with ids"
        assert set(samples[0].truth.actors["id"]) & set(samples[-1].truth.actors["id"]), "tracks go on"
        told = captions_of(recording)
        assert all(("front", sample.frame.stamp_ns) in told for sample in samples)
        assert {one.view for one in told.values()} > {"front"} and {one.light for one in told.values()} <= set(LIGHTS)


def test_the_side_cameras_have_pictures_without_labels(shared):
    _, folder, _ = shared
    with open_bag(folder) as recording:
        sample = next(recording.samples())
        assert set(sample.frame.images) == {"front", "left", "right"} and sample.frame.roadside == ()
        assert not recording.has_label("left", "depth") and recording.has_label("front", "semantic")
        renamed = next(samples_for(recording, ("front", "left")))
        assert set(renamed.frame.calibrations) == {"front", "left"}


def test_a_station_hangs_on_the_map_in_tf(shared):
    _, folder, _ = shared
    with open_bag(folder) as recording:
        mounts = [mount for _, record in recording.records("tf") for mount in record]
        stations = {mount.child for mount in mounts if mount.child.startswith("station_")}
        assert stations and {mount.parent for mount in mounts if mount.child in stations} == {"map"}
        station, _, camera = min(stations).partition("/")
        spec = next(one for one in recording.stations if one.id == station).cameras[0]
        place = next(mount.pose for mount in mounts if mount.child == min(stations))
        assert camera == spec.id and (place.x, place.y, place.z) == pytest.approx((spec.pose.x, spec.pose.y, spec.pose.z))


def test_the_same_command_goes_on_and_makes_the_same_bytes(shared, tmp_path):
    out, folder, _ = shared
    assert record(config(out)).skipped == 1
    record(config(tmp_path))
    again, = tmp_path.iterdir()
    assert (again / f"{again.name}.mcap").read_bytes() == (folder / f"{folder.name}.mcap").read_bytes()
