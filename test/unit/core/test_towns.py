"""Which town a map's name stands for."""

import pytest

from kd_planner_ros.core.towns import town_of


@pytest.mark.parametrize("name, town", [
    ("Town05", "Town05"), ("Town05HD", "Town05"), ("Town05_Opt", "Town05"), ("Carla/Maps/Town05", "Town05"),
    ("/Game/Carla/Maps/Town10HD_Opt", "Town10"), ("maps/Town05.net.xml", "Town05"), (r"C:\maps\Town05.xodr", "Town05"),
    ("generated:11", "generated:11"), ("default", "default"), ("", "")])
def test_every_name_of_a_town(name, town):
    assert town_of(name) == town
