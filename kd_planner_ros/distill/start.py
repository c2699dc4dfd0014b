"""A run's first weights: a model of the same shape, or the fitting tensors of another model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from torch import nn

from kd_planner_ros.core.errors import CardError, ConfigError
from kd_planner_ros.distill.config import EVALUATION_MAPS, TrainConfig
from kd_planner_ros.networks.blocks.resnet import BasicBlock, load_pretrained
from kd_planner_ros.networks.blocks.resnet_d import Bottleneck
from kd_planner_ros.networks.registry import find_training
from kd_planner_ros.runtime.find import find_model
from kd_planner_ros.runtime.store import load_model


@dataclass(frozen=True)
class Start:
    """The origin of a run's first weights, for the card. Its maps are named, because a start must not have been trained on the
    evaluation map either. The tensors ``taken`` (names in the model to be trained), of ``tensors`` in all, came from it; ``network`` is
    what it was a model of. ``folder`` is where it lies, and ``module`` the part of the model that is this model as a whole ("": none)."""

    name: str
    sha256: str
    maps: tuple[str, ...]
    taken: frozenset[str]
    tensors: int
    network: str = ""
    folder: Path = Path()
    module: str = ""

    def parts(self, models: Path) -> dict[str, str]:
        """The model that holds ``module``, by the module, if it lies in the folder ``models``: its weights need not be shipped twice."""
        beside = self.folder.resolve().parent == models.resolve()
        return {self.module: self.folder.resolve().name} if self.module and beside else {}

    def facts(self) -> dict[str, Any]:
        """As the card holds it."""
        return {"start": {"name": self.name, "sha256": self.sha256, "taken": f"{len(self.taken)} of {self.tensors} tensors",
                          "data": {"maps": list(self.maps)}}}


def start(config: TrainConfig, model: nn.Module, model_config: Any) -> Start | None:
    """Fill ``model`` as ``config.init``, ``warm_start`` or ``backbone_weights`` says; None where none is given.

    Raises:
        PlannerError: no such model.
        CardError: a broken one, for ``init`` one of another network, size or input, for ``warm_start`` one of another network
            with another kind of camera backbone, or one that the network holds whole and whose config differs.
        ConfigError: the file of the backbone does not fit it, the model was trained on an evaluation map without ``allow_leak``, or
            ``start_without`` names no module of the network, or there is no ``warm_start``.
    """
    _require_modules(config, model)
    if config.backbone_weights:
        return _backbone(config, model)
    named = config.init or config.warm_start
    if not named:
        return None
    folder = find_model(str(named), config.models_dir, shipped=True)
    source, given, card = load_model(folder)
    if config.init and (card.network != config.network or given != model_config):
        raise CardError(f"a model of network {config.network} like the one to be trained ({model_config})",
                        f"'{card.name}', a {card.network} ({given})",
                        "give the same size, input and recordings' camera, or --warm-start")
    leaks = sorted(card.maps_seen & set(EVALUATION_MAPS))
    if leaks and not config.allow_leak:
        raise ConfigError(f"a start that has not seen the evaluation maps {', '.join(EVALUATION_MAPS)}",
                          f"'{card.name}', trained on {', '.join(leaks)}",
                          "start from another model, or give --allow-leak if no score is to be reported on it")
    held = find_training(config.network).holds.get(card.network)
    if card.network == config.network:
        taken = warm_start(model, source, config.start_without)
    elif held is not None:
        taken = _under(held, _take_over(model.get_submodule(held), source, model_config, given, card.name))
    else:
        ours, theirs = _camera_backbone(model, config.network), _camera_backbone(source, card.network)
        if type(ours) is not type(theirs):
            raise CardError(f"a start with a {type(ours).__name__} as camera backbone", f"'{card.name}' with a {type(theirs).__name__}",
                            "choose another start model, or train another size")
        taken = _under(find_training(config.network).backbone, warm_start(ours, theirs))
    return Start(card.name, card.weights_sha256, tuple(sorted(card.maps_seen)), taken, len(model.state_dict()), card.network, folder,
                 held if held is not None and card.network != config.network else "")


def _take_over(part: nn.Module, source: nn.Module, wanted: Any, given: Any, name: str) -> frozenset[str]:
    """Copy all of ``source`` into ``part``; the names of the tensors.

    Raises:
        CardError: a fact of its config differs from that of the model to be trained, which is ``wanted``.
    """
    for field in fields(given):
        own, its = getattr(wanted, field.name, None), getattr(given, field.name)
        if own != its:
            raise CardError(f"a start whose '{field.name}' is {own!r}, as the run's", f"{its!r} of '{name}'",
                            "choose another start, or give the run the size, the options and the recordings of the start")
    return warm_start(part, source)


def _under(module: str, names: Iterable[str]) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name in names)


def _camera_backbone(model: nn.Module, network: str) -> nn.Module:
    if not find_training(network).backbone:
        raise CardError(f"a camera backbone in network '{network}'", "no BACKBONE in its training.py", "choose another start model")
    return model.get_submodule(find_training(network).backbone)


def _backbone(config: TrainConfig, model: nn.Module) -> Start:
    path, backbone = Path(config.backbone_weights or ""), _camera_backbone(model, config.network)
    (find_training(config.network).load_backbone or load_pretrained)(backbone, path)
    digest = hashlib.sha256()
    for file in sorted(path.glob("*.safetensors")) if path.is_dir() else (path,):
        digest.update(file.read_bytes())
    taken = _under(find_training(config.network).backbone, backbone.state_dict())
    return Start(path.name, digest.hexdigest(), (), taken, len(model.state_dict()))


def _require_modules(config: TrainConfig, model: nn.Module) -> None:
    known = [name for name, _ in model.named_children()]
    if other := [name for name in config.start_without if name not in known]:
        raise ConfigError(f"start_without with modules out of {', '.join(known)}", ", ".join(other), "correct the recipe")
    if config.start_without and not config.warm_start:
        raise ConfigError("--warm-start beside the recipe's start_without", "none", "give the model to start from")


def begins_anew(name: str, without: Iterable[str]) -> bool:
    """Whether the tensor of this name belongs to one of the modules ``without``."""
    return name.split(".")[0] in tuple(without)


def warm_start(model: nn.Module, source: nn.Module, without: Iterable[str] = ()) -> frozenset[str]:
    """Copy every tensor of ``source`` whose name and shape ``model`` has, but for those of the modules ``without``; the names of the copied
    tensors.

    Residual blocks that ``source`` lacks begin as the identity, so a deeper backbone computes at first what the
    shallower one did (Net2DeeperNet, Chen et al., ICLR 2016; by a last normalisation of weight 0, as Goyal et al.,
    2017). A residual block is taken over whole or not at all. Everything else keeps its fresh weights.
    """
    given, wanted = source.state_dict(), model.state_dict()
    fitting = {name: value for name, value in given.items()
               if name in wanted and wanted[name].shape == value.shape and not begins_anew(name, without)}
    for name, module in model.named_modules():
        if isinstance(module, (BasicBlock, Bottleneck)):
            own = [f"{name}.{part}" for part in module.state_dict()]
            if not all(part in fitting for part in own):
                fitting = {part: value for part, value in fitting.items() if part not in own}
            if module.downsample is None and f"{name}.conv1.weight" not in given:
                nn.init.zeros_((module.bn3 if isinstance(module, Bottleneck) else module.bn2).weight)
    model.load_state_dict(fitting, strict=False)
    return frozenset(fitting)
