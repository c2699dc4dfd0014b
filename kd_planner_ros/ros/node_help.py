"""What a node's program says for ``--help``, which ROS leaves to the program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

from kd_planner_ros.ros.params import wanted
from kd_planner_ros.ros.specs import node_specs
from kd_planner_ros.ros.specs.base import NodeSpec

ROS_ARGUMENTS = "--ros-args"


def asked(words: Sequence[str]) -> bool:
    """Whether the command line ``words`` ask for help; what stands behind ``--ros-args`` is ROS's own."""
    own = words[:words.index(ROS_ARGUMENTS)] if ROS_ARGUMENTS in words else words
    return "-h" in own or "--help" in own


def help_of(module: str) -> str:
    """What the program ``module`` does, how parameters are given, and which there are."""
    spec = next(one for one in node_specs().values() if one.module == module and not one.program)
    return "\n".join([f"usage: {spec.name} [--ros-args -p NAME:=VALUE ... -r FROM:=TO ...]", "", spec.text, "",
                      "Topics are those of `ros2 launch kd_planner_ros drive.launch.py`, which gives them by remaps (-r) from the profile; "
                      "without them each topic", "has the name of its port: docs/reference/topics.md.", "", *_parameters(spec)])


def _parameters(spec: NodeSpec) -> list[str]:
    if spec.params is None:
        return [f"parameters: the options of `kd-planner {spec.name.removesuffix('er')}`"]
    rows = [f"  {one.name} ({wanted(one)}; {one.default!r}): {one.metadata['text']}" for one in fields(spec.params)]
    return ["parameters:", *rows, *(f"  {name} ({limits}; {default}): {text}" for name, default, limits, text in spec.families)]
