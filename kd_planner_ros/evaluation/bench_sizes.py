"""How long each size of a network takes on this machine, beside what was published."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.describe import describe, size_of
from kd_planner_ros.networks.registry import Network, find_network, folders, is_weightless
from kd_planner_ros.runtime.bench import bench_latency
from kd_planner_ros.runtime.load import load_model_runner
from kd_planner_ros.runtime.params import count_parameters, has_papers_input, require_settings
from kd_planner_ros.runtime.store import save_model


def bench_sizes(network: str, frames: int = 30, device: str = "cpu", engine: str = "auto", **overrides: Any) -> dict[str, Any]:
    """Latency from pixels to plans or dense outputs of every size of ``network`` with random weights, batch 1.

    ``overrides`` replace config fields in every row (input_height=128, input_width=448).

    Returns:
        ``network``, ``engine`` and ``rows``, the largest size first: ``size``, ``parameters``, ``p50_ms``; ``speed_up``
        over the largest; ``paper_ms`` (its RTX 3090) and ``paper_speed_up`` where the paper has that size and input; ``left_out``,
        ``size`` and ``why`` of those that need what this machine has not got, such as a tokenizer.

    Raises:
        PlannerError: no such network. ConfigError: one without weights, a setting that it lacks or refuses, or no size can be built.
    """
    if is_weightless(network):
        known = [name for name in folders() if not is_weightless(name)]
        raise ConfigError("a network with weights", f"'{network}'", f"name one of {', '.join(known)}")
    found, rows, left_out, used = find_network(network), [], [], ""
    require_settings(found, overrides)
    for base in found.configurations:
        config = found.config({**asdict(base), **overrides})
        try:
            found.build_processor(config)
        except ConfigError as error:
            left_out.append({"size": size_of(config), "why": str(error)})
            continue
        row, used = _measured(found, config, frames, device, engine)
        rows.append(row)
    if not rows:
        raise ConfigError(f"a size of '{network}' that can be built here", left_out[0]["why"], "name another network")
    rows.sort(key=lambda row: -row["parameters"])
    for row in rows:
        row["speed_up"] = round(rows[0]["p50_ms"] / row["p50_ms"], 2)
        if row["paper_ms"] and rows[0]["paper_ms"]:
            row["paper_speed_up"] = round(rows[0]["paper_ms"] / row["paper_ms"], 2)
    return {"network": network, "engine": used, "rows": rows, "left_out": left_out}


def _measured(network: Network, config: Any, frames: int, device: str, engine: str) -> tuple[dict[str, Any], str]:
    """(the row of ``config`` without its speed-up, the engine that was used)."""
    torch.manual_seed(0)
    model = network.build_model(config)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / (size_of(config) or network.name)
        save_model(place, network.name, config, model.state_dict())
        measured = bench_latency(load_model_runner(str(place), network.role, device, engine, keep=False), frames)
    paper = describe(network.name).published(config) if has_papers_input(network, config) else {}
    return {"size": size_of(config), "parameters": count_parameters(model), "p50_ms": measured["p50_ms"],
            "paper_ms": paper.get("paper_ms")}, measured["engine"]
