"""Recordings found below folders."""

import shutil

import pytest
from support.bags import copy_bag, write_bag

from kd_planner_ros.bags.find import find_bags, search
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.core.errors import BagError


def test_missing_and_empty_folders_are_refused(tmp_path):
    with pytest.raises(BagError, match="no such folder"):
        find_bags([tmp_path / "elsewhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(BagError, match="kd-planner record"):
        find_bags([tmp_path / "empty"])


def test_interrupted_recordings_are_not_found(tmp_path):
    write_bag(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write_bag(tmp_path / "broken", abort=True)
    assert [p.name for p in find_bags([tmp_path])] == ["whole"]


def test_opening_a_folder_of_recordings_names_one_of_them(tmp_path):
    write_bag(tmp_path / "whole")
    with pytest.raises(BagError, match="one recording at .*; got a folder of 1; name one of them, for example .*whole"):
        open_bag(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(BagError, match="got a file of another kind"):
        open_bag(tmp_path / "file")


def names(found, root):
    return [str(path.relative_to(root)) for path in found.bags]


def test_every_kind_of_recording_is_found_and_what_is_left_out_is_named(tmp_path):
    bag = copy_bag(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        write_bag(tmp_path / "broken", abort=True)
    parts = [f"parts/drive_{number}.mcap" for number in range(12)]
    drives = ["counted/drive_1.mcap", "counted/drive_2.mcap", "dated/run_2026-11-28_101112.mcap", "dated/run_2026-11-28_104500.mcap"]
    for place in ("bare/a.mcap", "loose/deep/a.mcap", "loose/deep/b.mcap", *parts, *drives):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(bag / "whole.mcap", tmp_path / place)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "ros1.bag").touch()
    (tmp_path / "old" / "packed.mcap.zstd").touch()
    (tmp_path / "notes.txt").touch()
    found = search([tmp_path])
    assert names(found, tmp_path) == [
        "bare", *drives, "loose/deep/a.mcap", "loose/deep/b.mcap", "parts", "whole"]
    assert {path.name for path, _ in found.left_out} == {"broken", "packed.mcap.zstd", "ros1.bag"}
    assert str(found).startswith("9 recordings found; left out: ") and "interrupted" in str(found)
    for path in found.bags:
        with open_bag(path) as recording:
            assert recording.cameras == ("front",)


def test_links_are_followed_and_count_once(tmp_path):
    real = copy_bag(tmp_path / "disk" / "one")
    copy_bag(tmp_path / "disk" / "deep" / "two")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "drives").symlink_to(tmp_path / "disk")
    (tmp_path / "mine" / "again").symlink_to(real)
    (real / "up").symlink_to(tmp_path / "disk")  # a circle
    (tmp_path / "disk" / "deep" / "back").symlink_to(tmp_path / "mine")
    found = search([tmp_path / "mine"])
    assert {path.resolve() for path in found.bags} == {real, tmp_path / "disk" / "deep" / "two"} and len(found.bags) == 2
    twice = search([tmp_path / "disk", tmp_path / "mine", real])
    assert len(twice.bags) == 2 and all("it is " in why for _, why in twice.left_out) and twice.left_out


def test_a_file_is_a_recording_and_another_file_is_not(tmp_path):
    bag = copy_bag(tmp_path / "bag")
    assert find_bags([bag / "bag.mcap"]) == [bag / "bag.mcap"]
    with pytest.raises(BagError, match="got none .*metadata.yaml: no rosbag2 file"):
        find_bags([bag / "metadata.yaml"])
    with pytest.raises(KeyboardInterrupt):
        write_bag(tmp_path / "only" / "broken", abort=True)
    with pytest.raises(BagError, match="got none .*broken.partial.*it was interrupted"):
        find_bags([tmp_path / "only"])
