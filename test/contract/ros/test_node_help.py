"""What a node's program says before it is a node: help, and arguments that ROS cannot read."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: use the pinned environment ('make setup') or source ROS 2")

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.ros.lifecycle import _init, run
from kd_planner_ros.ros.node_help import asked, help_of
from kd_planner_ros.ros.nodes.perception_node import PerceptionNode
from kd_planner_ros.ros.params import misspelt
from kd_planner_ros.ros.specs import node_specs


def test_help_is_asked_before_ros_arguments_alone():
    assert asked(["perception", "--help"]) and asked(["perception", "-h", "--ros-args", "-p", "a:=1"])
    assert not asked(["perception"]) and not asked(["perception", "--ros-args", "-r", "--help"])


@pytest.mark.parametrize("name", sorted(name for name, spec in node_specs().items() if not spec.program))
def test_help_has_every_parameter(name):
    spec = node_specs()[name]
    text = help_of(spec.module)
    assert spec.text in text and text.startswith(f"usage: {name} ")
    if spec.params is not None:
        assert all(f"\n  {one} (" in text for one in spec.params.__dataclass_fields__)


def test_a_program_that_is_asked_for_help_starts_no_node(capsys):
    assert run(PerceptionNode, ["perception", "--help"]) == 0
    assert "colormap" in capsys.readouterr().out


def test_a_parameter_file_that_is_missing_is_one_sentence(tmp_path):
    with pytest.raises(ConfigError, match="a file for each --params-file; got .*nope.yaml") as error:
        _init(["perception", "--ros-args", "--params-file", str(tmp_path / "nope.yaml")])
    assert "/src/" not in str(error.value) and "\n" not in str(error.value)


def test_a_name_that_looks_like_a_parameter_is_told():
    known = ("perceiver", "model", "models_dir", "engine")
    assert misspelt(("perciever", "use_sim_time", "planner", "engine", "modles_dir"), known) == {
        "perciever": "perceiver", "modles_dir": "models_dir"}
