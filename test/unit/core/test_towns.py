"""Which town a map's name stands for."""

import pytest

from kd_planner_ros.core.towns import map_file, town_of


@pytest.mark.parametrize("name, town", [
    ("Town05", "Town05"), ("Town05HD", "Town05"), ("Town05_Opt", "Town05"), ("Carla/Maps/Town05", "Town05"),
    ("/Game/Carla/Maps/Town10HD_Opt", "Town10"), ("maps/Town05.net.xml", "Town05"), (r"C:\maps\Town05.xodr", "Town05"),
    ("generated:11", "generated:11"), ("default", "default"), ("", "")])
def test_every_name_of_a_town(name, town):
    assert town_of(name) == town


def test_a_towns_map_file_is_found_by_every_ending_and_name_in_order(tmp_path):
    assert map_file(tmp_path, "Town05", "") is None and map_file(tmp_path / "none", "Town05") is None
    for ending in (".xodr.gz", ".xodr", ".net.xml.gz", ".net.xml"):
        (tmp_path / f"Town05{ending}").touch()
        assert map_file(tmp_path, "", "Town05_Opt", "Town05") == tmp_path / f"Town05{ending}"
    (tmp_path / "Town05_Opt.xodr").touch()
    assert map_file(tmp_path, "Town05_Opt", "Town05") == tmp_path / "Town05_Opt.xodr"
