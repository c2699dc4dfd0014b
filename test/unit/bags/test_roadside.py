"""Roadside stations in a recording: written with their own TF parent, read back as views, whatever is late or broken."""

import numpy as np
import pytest
from support.bags import write_bag
from support.rewrite import rewrite

from kd_planner_ros.bags import messages
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.roadside import require_hearer
from kd_planner_ros.bags.source import Source
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.scene import ACTOR_DTYPE
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig, Station
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.v2x.channel import fate
from kd_planner_ros.v2x.channel_settings import ChannelSettings

CAMERA = CameraSpec("north", Pose(x=10.0, y=2.0, z=7.0, yaw=0.5, pitch=0.3), 16, 8, 90.0, 0.1)
STATION = Station("rsu", Pose(x=10.0, y=2.0), (CAMERA,))
PICTURE = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
ROWS = np.zeros(3, ACTOR_DTYPE)
ROWS["id"], ROWS["x"] = (4, 5, 9), (1.0, 900.0, -3.0)
WANTS = SensorRig(roadside=RoadsideWish(objects=True))


def bag(path, age_s=0.0, **more):
    view = RoadsideView("rsu", CAMERA, PICTURE, ROWS, 0, age_s)
    return write_bag(path / "b", seconds=2.0, views=(view,), stations=(STATION,), **more)


def frames(path, wants=WANTS):
    with open_bag(path) as recording:
        return [sample.frame for sample in recording.samples(wants=wants)], recording


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_there_and_back(tmp_path, storage):
    found, recording = frames(bag(tmp_path, storage=storage))
    assert len(found) == 4 and recording.cameras == ("front",) and recording.incomplete == 0
    for frame in found:
        view, = frame.roadside
        assert (view.station, view.age_s, view.stamp_ns) == ("rsu", 0.0, frame.stamp_ns)
        np.testing.assert_array_equal(view.image, PICTURE)
        assert view.objects.tobytes() == ROWS.tobytes() and view.camera.pose.z == 7.0


def test_pictures_may_be_compressed(tmp_path):
    found, recording = frames(bag(tmp_path, compact=True))
    assert recording.cameras == ("front",) and len(found) == 4
    assert found[0].roadside[0].image.shape == PICTURE.shape and found[0].images["front"].shape == (32, 64, 3)


def test_late_views_have_their_age_and_too_old_ones_are_missing(tmp_path):
    path = bag(tmp_path, age_s=0.3)
    late, _ = frames(path)
    assert [frame.roadside[0].age_s for frame in late] == [0.3] * 4
    old, recording = frames(path, SensorRig(roadside=RoadsideWish(max_age_s=0.1)))
    assert [frame.roadside for frame in old] == [()] * 4 and recording.incomplete == 0


def aired(path, wants=WANTS, **settings):
    """(age of each frame's view, None where it has none; what became of the messages) by a simulated radio."""
    with open_bag(Source(path, radio=ChannelSettings(**settings))) as recording:
        found = [sample.frame for sample in recording.samples(wants=wants)]
        return [frame.roadside[0].age_s if frame.roadside else None for frame in found], recording.radio


def test_a_simulated_radio_makes_views_late(tmp_path):
    path = bag(tmp_path, every=2)
    ages, counts = aired(path, latency_ms=120.0)
    assert ages == [None, None, *[pytest.approx(0.2)] * 18] and counts == {"sent": 40, "arrived": 40}
    assert aired(path, latency_ms=100.0)[0][:3] == [None, pytest.approx(0.1), pytest.approx(0.1)], "it comes just before that picture"
    assert aired(path)[0] == [0.0] * 20 and aired(path, latency_ms=600.0)[0] == [None] * 20


def test_a_simulated_radio_loses_what_its_seed_says_whichever_topics_are_read(tmp_path):
    path, settings = bag(tmp_path, every=2), {"seed": 3, "loss": 0.4, "burst": 3.0}
    topic = "/carla/rsu/north/image"
    there = [number for number in range(20) if not fate(ChannelSettings(**settings), topic, number + 1).lost]
    pictures, counts = aired(path, SensorRig(roadside=RoadsideWish()), **settings)
    expected = [min((0.1 * (frame - sent) for sent in there if sent <= frame), default=9.0) for frame in range(20)]
    assert pictures == [None if age > 0.5 else pytest.approx(age) for age in expected] and 0 < len(there) < 20
    assert counts["sent"] == 40 and counts["lost"] + counts["arrived"] == 40
    with open_bag(Source(path, radio=ChannelSettings(**settings))) as recording:
        assert sum(1 for _ in recording.received([topic])) == len(there) and recording.radio["sent"] == 20
    assert aired(path, SensorRig(roadside=RoadsideWish()), **{**settings, "seed": 4})[0] != pictures


def test_what_comes_after_a_picture_waits_for_the_next_one(tmp_path):
    path = bag(tmp_path, every=2)
    late = rewrite(path, tmp_path / "late", lambda topic, when, raw: [(when + 1_000_000 * topic.startswith("/carla/rsu"), raw)])
    found, _ = frames(late)
    assert [frame.roadside[0].age_s if frame.roadside else None for frame in found] == [None, *[pytest.approx(0.1)] * 19]


def test_a_radio_for_a_model_that_hears_no_station_is_refused():
    require_hearer(None, SensorRig(), "deaf")
    require_hearer(ChannelSettings(), WANTS, "hearing")
    with pytest.raises(ConfigError, match="'deaf', which asks for none"):
        require_hearer(ChannelSettings(loss=0.1), SensorRig(), "deaf")


def test_whoever_asks_for_nothing_gets_nothing(tmp_path):
    found, recording = frames(bag(tmp_path), wants=None)
    assert all(frame.roadside == () for frame in found) and not any("roadside" in note for note in recording.notes)


def test_a_recording_without_stations_says_so(tmp_path):
    found, recording = frames(write_bag(tmp_path / "b", seconds=1.0))
    assert all(frame.roadside == () for frame in found) and any("/carla/stations" in note for note in recording.notes)


def test_a_broken_picture_costs_its_view_and_is_noted(tmp_path):
    path = bag(tmp_path)
    with BagWriter(tmp_path / "broken", SensorRig(), {}) as copy, open_bag(path) as recording:
        for topic, bag_ns, message in recording.messages(recording.kinds):
            if topic == "/carla/rsu/north/image":
                message = messages.make("sensor_msgs/msg/Image", header=message.header, height=8, width=16, encoding="bgra8",
                                        is_bigendian=0, step=64, data=np.zeros(5, np.uint8))
            copy.write(topic, recording.kinds[topic], message, bag_ns)
    found, recording = frames(tmp_path / "broken")
    assert [frame.roadside[0].image for frame in found] == [None] * 4 and len(found[0].roadside[0].objects) == 3
    assert sum("cannot be read" in note for note in recording.notes) == 1


def test_the_frames_of_stations_hang_on_the_map(tmp_path):
    with open_bag(bag(tmp_path)) as recording:
        mounts = {mount.child: mount.parent for _, record in recording.records("tf") for mount in record}
    assert mounts["rsu/north"] == "map" and mounts["ego_vehicle/front"] == "ego_vehicle"


def test_a_view_without_a_picture_is_written_too(tmp_path):
    with BagWriter(tmp_path / "b", SensorRig(), {}) as writer:
        writer.write_ego(EgoState(1_000_000_000, Pose(), 0.0))
        writer.write_roadside(RoadsideView("blind", None, None, ROWS, 1_000_000_000, 0.0))
    with open_bag(tmp_path / "b") as recording:
        assert "/carla/blind/objects" in recording.kinds and recording.cameras == ()
