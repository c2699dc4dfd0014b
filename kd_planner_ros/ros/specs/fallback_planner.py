"""The fallback planner's node: the planner's program under a name and topics of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kd_planner_ros.ros.specs import planner
from kd_planner_ros.ros.specs.base import MODEL_OUTPUTS, OUT, NodeSpec, Place

NAME = "fallback_planner"


@dataclass(frozen=True)
class FallbackPlannerParams(planner.PlannerParams):
    """Parameters of the fallback planner's node: the planner's."""


def own_name(port: str) -> str:
    """The name of the planner's port ``port`` at this node: ``plan`` is ``fallback_planner/plan``."""
    return f"{NAME}/{port.removeprefix('planner_')}"


_OWN = {port.name: own_name(port.name) for port in planner.NODE.ports
        if port.direction == OUT and port not in MODEL_OUTPUTS and not port.name.startswith("~")}
NODE = NodeSpec(
    NAME, "A second planner: the controller follows its plans while the planner is silent and its last plan is stale.",
    FallbackPlannerParams,
    tuple(replace(port, name=_OWN[port.name]) if port.direction == OUT and port.name in _OWN else port for port in planner.NODE.ports),
    Place(1, lambda graph: bool(graph.fallback_planner), arguments=(
        (NAME, "", "second planner, whose plans are followed while the planner is silent: folder of models/, a path to one, or "
                   "constant_velocity; empty: none", None),),
          parameters=lambda graph: {"planner": graph.fallback_planner, "models_dir": graph.fallback_dir}),
    program=planner.NODE.name, remaps=tuple(_OWN.items()))
