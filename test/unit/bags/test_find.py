"""Recordings found below folders."""

import pytest
from support.bags import write_bag

from kd_planner_ros.bags.find import find_bags
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
    with pytest.raises(BagError, match="got a file"):
        open_bag(tmp_path / "file")
