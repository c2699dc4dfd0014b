"""MCAP files of writers that are no ROS 2 recorder: read, or refused in one line."""

from pathlib import Path

import pytest
from support.bags import copy_bag
from support.mcap import write_mcap
from support.rewrite import rewrite

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.errors import BagError

BACKWARDS = {"in order": list, "in pairs": lambda found: [one for n in range(0, len(found), 2) for one in found[n:n + 2][::-1]],
             "from the end": lambda found: found[::-1]}


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    return copy_bag(tmp_path_factory.mktemp("mcap") / "bag", labels=False, seconds=4.0)


def read(path):
    with open_bag(path) as recording:
        return [(one.frame.stamp_ns, one.frame.ego.pose.x, one.truth.control.steer) for one in recording.samples()]


@pytest.mark.parametrize("profile", ["ros2", "", "x", "a profile of its own"])
@pytest.mark.parametrize("per_chunk", [0, 100])
def test_every_profile_is_read_where_the_messages_are_of_ros_2(bag, tmp_path, profile, per_chunk):
    assert read(write_mcap(bag, tmp_path / "b.mcap", profile, per_chunk=per_chunk)) == read(bag)


@pytest.mark.parametrize("order", BACKWARDS)
@pytest.mark.parametrize("per_chunk", [0, 100])
def test_messages_that_were_written_out_of_order_come_by_bag_time(bag, tmp_path, order, per_chunk):
    path = write_mcap(bag, tmp_path / "b.mcap", order=BACKWARDS[order], per_chunk=per_chunk)
    file = BagFile(path)
    times = [when for _, when, _ in file.raw(file.kinds)]
    assert times == sorted(times) and len(times) == sum(BagFile(bag).counts.values())
    assert read(path) == read(bag)


@pytest.mark.parametrize("encoding, remedy", [("ros1", "rosbags-convert --src FILE"), ("json", "ros2 bag record")])
def test_other_serialisations_are_refused_in_one_line(bag, tmp_path, encoding, remedy):
    path = write_mcap(bag, tmp_path / "b.mcap", encoding if encoding == "ros1" else "", encoding)
    with pytest.raises(BagError, match=f"messages serialised by CDR in .*b.mcap; got {encoding} alone; .*{remedy}") as caught:
        open_bag(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_compressed_messages_are_known_without_metadata(bag, tmp_path, storage):
    """metadata.yaml alone says that messages are compressed; where it is lost their bytes do."""
    path = rewrite(bag, tmp_path / "b", storage=storage, compression="message")
    (path / "metadata.yaml").unlink()
    assert read(path) == read(bag)


@pytest.mark.parametrize("topic", ["/odometry", "/front/image", "/global_plan"])
def test_another_compression_is_refused_by_its_topic(bag, tmp_path, topic):
    packed = bytes.fromhex("04224d18") + bytes(60)
    path = rewrite(bag, tmp_path / "b", lambda name, when, raw: packed if name.endswith(topic) else raw)
    Path(path / "metadata.yaml").unlink()
    with pytest.raises(BagError, match=f"serialised by CDR on /carla/ego_vehicle{topic}; got one that begins with the bytes 04 22 4d 18"):
        read(path)
