"""What can be refused before the nodes of a graph start, wherever they are started from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kd_planner_ros.ros.graph.describe import NodeProcess
from kd_planner_ros.ros.graph.settings import checked_parameters, known_parameters, read_parameter_file, refuse_unknown
from kd_planner_ros.ros.params import ModelParams
from kd_planner_ros.ros.specs import node_specs
from kd_planner_ros.ros.specs.planner import PlannerParams
from kd_planner_ros.ros.specs.world import WorldParams
from kd_planner_ros.ros.world_setup import check_world


def check_nodes(nodes: Sequence[NodeProcess], params_file: Path | None = None) -> None:
    """Refuse, in a moment, what a node would refuse after its start: files, values, map, route, weather, engine and device.

    Raises:
        ConfigError, MapError, RouteError, PlannerError, CardError: what cannot be used; it names the parameter or the file.
    """
    specs = node_specs()
    if params_file:
        known = {node.full_name: known_parameters(specs[node.name]) for node in nodes}
        refuse_unknown(read_parameter_file(params_file), known, params_file)
    for node in nodes:
        params = checked_parameters(specs[node.name], node.effective())
        if isinstance(params, WorldParams):
            check_world(params)
        if isinstance(params, ModelParams):
            _check_engine(params)
        if isinstance(params, PlannerParams) and params.caption:
            from kd_planner_ros.runtime.captions import load_captioner  # brings torch

            load_captioner(params.planner, params.models_dir or None)


def _check_engine(params: Any) -> None:
    if (params.engine, params.device) != (ModelParams.engine, ModelParams.device):
        from kd_planner_ros.runtime.engines import require_engine  # brings torch

        require_engine(params.engine, params.device)
