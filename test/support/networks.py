"""What tests of networks share: the smallest configuration, models with seeded weights, inputs, and the devices that there are."""

from pathlib import Path

import pytest
import torch

DEVICES = ("cpu", "cuda")


def require(device: str) -> None:
    """Skip the test where ``device`` is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU: run on a machine with CUDA and a torch built for it")


def smallest(network):
    """The configuration of ``network`` with the fewest parameters."""
    def parameters(config) -> int:
        with torch.device("meta"):
            return sum(one.numel() for one in network.build_model(config).parameters())

    return min(network.configurations, key=parameters)


def save_seeded(folder: Path, network: str, config=None, seed: int = 0) -> Path:
    """``folder``, with a model of ``network`` in it that has learnt nothing; its config is the smallest one, or given, or fields."""
    from kd_planner_ros.networks.registry import find_network
    from kd_planner_ros.runtime.store import save_model

    found = find_network(network)
    chosen = smallest(found) if config is None else found.config(config) if isinstance(config, dict) else config
    torch.manual_seed(seed)
    save_model(folder, network, chosen, found.build_model(chosen).state_dict())
    return folder


def write_card(folder: Path, seed: int = 0, recipe=None, **data) -> Path:
    """``folder``, with the card of a TCP that was trained with ``seed`` by ``recipe`` on ``data`` (``maps``, ``splits``), and no
    weights."""
    from kd_planner_ros.core.card import CARD, ModelCard

    folder.mkdir(parents=True)
    training = {"recipe": {"network": "tcp", "seed": seed, **(recipe or {})}, "seed": seed, "data": data}
    (folder / CARD).write_text(ModelCard(folder.name, "tcp", {}, "0", 1, training=training).to_json())
    return folder


def noise(example, seed: int = 0):
    """Normal noise of the shapes of ``example``, a network's example inputs by name."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(tensor.shape, generator=generator) for name, tensor in example.items()}
