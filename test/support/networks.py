"""What tests of every network need: its smallest configuration, and the devices that there are."""

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
