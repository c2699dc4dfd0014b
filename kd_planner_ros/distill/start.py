"""What a run's weights begin as: a model of the same shape, or whatever of another model's weights fits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from kd_planner_ros.core.errors import CardError
from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.networks.blocks.resnet import BasicBlock
from kd_planner_ros.runtime.store import load_model


@dataclass(frozen=True)
class Start:
    """Where a run's weights came from, for the card. The maps are named, for a start may not know the evaluation map
    either. ``taken`` of ``tensors`` tensors came from it."""

    name: str
    sha256: str
    maps: tuple[str, ...]
    taken: int
    tensors: int

    def facts(self) -> dict[str, Any]:
        """As the card holds it."""
        return {"start": {"name": self.name, "sha256": self.sha256, "taken": f"{self.taken} of {self.tensors} tensors",
                          "data": {"maps": list(self.maps)}}}


def start(config: TrainConfig, model: nn.Module, model_config: Any) -> Start | None:
    """Fill ``model`` as ``config.init`` or ``config.warm_start`` says; None where neither is given.

    Raises:
        CardError: no such model, one of another network, or for ``init`` of another size or input.
    """
    if config.init:
        folder, wanted = Path(config.init), f"a {config.network} like the one to be trained ({model_config})"
    elif config.warm_start:
        folder, wanted = Path(config.warm_start), f"a network {config.network} of any size"
    else:
        return None
    source, given, card = load_model(folder)
    if card.network != config.network or (config.init and given != model_config):
        raise CardError(wanted, f"'{card.name}', a {card.network} ({given})",
                        "give the same size, input and recordings' camera" if config.init else "name another model")
    taken = warm_start(model, source)
    maps = tuple(card.training.get("data", {}).get("maps", ()))
    return Start(card.name, card.weights_sha256, maps, taken, len(model.state_dict()))


def warm_start(model: nn.Module, source: nn.Module) -> int:
    """Take over every tensor of ``source`` whose name and shape ``model`` has; how many those were.

    Residual blocks that ``source`` lacks begin as the identity, so a deeper backbone computes at first what the
    shallower one did (Net2DeeperNet, Chen et al., ICLR 2016; by a last normalisation of weight 0, as Goyal et al.,
    2017). Everything else keeps its fresh weights.
    """
    given, wanted = source.state_dict(), model.state_dict()
    fitting = {name: value for name, value in given.items() if name in wanted and wanted[name].shape == value.shape}
    model.load_state_dict(fitting, strict=False)
    for name, module in model.named_modules():
        if isinstance(module, BasicBlock) and module.downsample is None and f"{name}.conv1.weight" not in given:
            nn.init.zeros_(module.bn2.weight)
    return len(fitting)
