"""Parameters and multiply-accumulates of every configuration, beside what the paper counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.describe import describe, size_of
from kd_planner_ros.networks.registry import Network, find_network


def count_parameters(model: nn.Module) -> int:
    """Number of weights, batch-norm statistics not among them."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, example: dict[str, torch.Tensor]) -> int:
    """Multiply-accumulates of one forward pass on ``example``: half the FLOPs of convolutions and matrix products.

    Element-wise work is left out, as in the papers. Runs on the meta device: nothing is computed.
    """
    meta = model.to("meta").eval().requires_grad_(False)  # the counter stumbles over views of weights
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        meta(**{name: tensor.to("meta") for name, tensor in example.items()})
    return counter.get_total_flops() // 2


def table(network: str, **overrides: Any) -> list[dict[str, Any]]:
    """One row a configuration of ``network``: size, inputs (``input``: rows and columns of the first), parameters, MACs,
    and the paper's figures where they apply.

    ``overrides`` replace config fields in every row (input_height=128, input_width=448).

    Raises:
        PlannerError: no such network.
        CardError, ConfigError: an override that the network does not know or refuses.
    """
    found = find_network(network)
    require_settings(found, overrides)
    rows = []
    for base in found.configurations:
        config = found.config({**asdict(base), **overrides})
        with torch.device("meta"):
            model = found.build_model(config)
        parameters, example, shapes = count_parameters(model), found.example_inputs(config), _shapes(found, config)
        row = {"network": network, "size": size_of(config), "input": shapes[found.inputs[0]][-2:], "inputs": shapes,
               "parameters": parameters, "macs": count_macs(model, example)}
        published = describe(network).published(config) if has_papers_input(found, config) else {}
        if published:
            row |= {"paper_parameters" if name == "parameters" else name: value for name, value in published.items()}
        if "paper_gmacs" in published:
            row["mac_deviation_percent"] = round(100.0 * (row["macs"] / 1e9 / published["paper_gmacs"] - 1.0), 2)
        rows.append(row)
    return rows


def require_settings(network: Network, settings: Mapping[str, Any]) -> None:
    """Refuse ``settings`` by the names of their options where ``network`` has no such config fields.

    Raises:
        ConfigError: it lacks one; the inputs that it has instead are named.
    """
    if unknown := sorted(set(settings) - {field.name for field in fields(network.config_class)}):
        options = ["--" + name.replace("_", "-") for name in unknown]
        shapes = _shapes(network, network.configurations[0])
        views = ", ".join(f"{name} {'x'.join(map(str, shape[-2:]))}" for name, shape in shapes.items() if len(shape) == 3)
        raise ConfigError(f"settings that network '{network.name}' has (its own inputs are {views})",
                          ", ".join(f"{option} {settings[name]}" for option, name in zip(options, unknown, strict=True)),
                          f"leave {' and '.join(options)} out")


def has_papers_input(network: Network, config: Any) -> bool:
    """Whether every input of ``config`` is as large as the paper's, for whose inputs alone its costs hold."""
    return any(size_of(base) == size_of(config) and _shapes(network, base) == _shapes(network, config)
               for base in network.configurations)


def _shapes(network: Network, config: Any) -> dict[str, list[int]]:
    """Shape of every input of one sample, without the batch."""
    return {name: list(tensor.shape[1:]) for name, tensor in network.example_inputs(config).items()}
