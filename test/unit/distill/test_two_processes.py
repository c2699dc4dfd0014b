"""Trainings with a teacher in two processes: both hold the same after every step."""

import pytest
from support.bags import write_bag
from support.processes import told_by_two
from support.training import but

from kd_planner_ros.runtime.store import load_model


@pytest.mark.slow
def test_two_processes_agree_on_what_is_trained_beside_the_student(config, tmp_path):
    for number in range(2):  # on a map that the other processes find
        write_bag(tmp_path / "town" / f"b{number}", seconds=4.0, seed=number, town="default", labels=False)
    told = told_by_two(but(config, bags=(tmp_path / "town",), name="pair", epochs=1, pretrain_bottleneck=2), tmp_path)
    assert len(told) == 2 * len(set(told)) > 0, told  # after every step both have the same student, bottleneck and attention
    assert sum("learn_alone" in line for line in told) == 4 and any("after step" in line for line in told)
    load_model(config.models_dir / "pair")


@pytest.mark.long
def test_two_processes_agree_on_what_a_rival_learns(config, tmp_path):
    told = told_by_two(but(config, name="pair", method="dpk", epochs=1), tmp_path)
    assert len(told) == 2 * len(set(told)) > 0, told
