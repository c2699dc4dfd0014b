"""Residual backbones of BasicBlocks: ResNet-34, -18, -10 and the three-stage ResNet-6 of PlanKD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.networks.blocks.resnet_specs import RESNETS, ResNetSpec

WRAPPERS = ("state_dict", "model_state_dict", "model", "state")
"""Keys under which training programs save the tensors beside their optimiser and epoch."""
PREFIXES = ("module.", "model.", "backbone.", "encoder.")
"""What DataParallel, Lightning and wrapping modules put before every name."""
COUNTER = "num_batches_tracked"
"""Batch normalisation's counter of batches, which files from before torch 0.4.1 (torchvision's own) lack."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a skip connection (He et al., CVPR 2016, figure 5 left)."""

    def __init__(self, width_in: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample: nn.Module | None = None
        if stride != 1 or width_in != width:
            self.downsample = nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, C_in, H, W] to [B, C, ceil(H / stride), ceil(W / stride)]."""
        skip = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + skip)


class Staged(nn.Module):
    """What all residual backbones share: a stem (``conv1``, ``bn1``), ``layer1`` ... and He initialisation."""

    spec: Any
    conv1: nn.Module
    bn1: nn.Module
    relu: nn.Module
    maxpool: nn.Module

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Feature maps of all stages, shallow to deep: [B, widths[i], H_i, W_i]; the last has stride 32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(image))))
        stages = []
        for stage in range(1, len(self.spec.blocks) + 1):
            x = getattr(self, f"layer{stage}")(x)
            stages.append(x)
        return tuple(stages)


class ResNet(Staged):
    """A backbone with torchvision's parameter names, so that its ImageNet files fit.

    The classifier ``fc`` is kept unless ``classifier`` is False: TCP uses its output as the image embedding.
    """

    def __init__(self, spec: ResNetSpec, channels_in: int = 3, classifier: bool = True):
        super().__init__()
        self.spec = spec
        self.conv1 = nn.Conv2d(channels_in, spec.stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(spec.stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        width_in = spec.stem
        for stage, (count, width, stride) in enumerate(zip(spec.blocks, spec.widths, spec.strides, strict=True), start=1):
            blocks = [BasicBlock(width_in if i == 0 else width, width, stride if i == 0 else 1) for i in range(count)]
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            width_in = width
        if classifier:
            self.fc = nn.Linear(width_in, spec.fc_width)
        self._initialise()

    def embed(self, last: Tensor) -> Tensor:
        """fc(global average of the last stage's map ``last`` [B, C, h, w]): [B, fc_width]."""
        return self.fc(last.mean((2, 3)))


def build_resnet(name: str, channels_in: int = 3, classifier: bool = True) -> ResNet:
    """The backbone ``name`` of ``RESNETS``, He-initialised from torch's global generator; see ``ResNet``.

    Raises:
        ConfigError: no such backbone.
    """
    if name not in RESNETS:
        raise ConfigError(f"a backbone out of {', '.join(RESNETS)}", repr(name), "correct the name")
    return ResNet(RESNETS[name], channels_in, classifier)


def load_pretrained(backbone: nn.Module, path: Path) -> None:
    """Fill ``backbone`` from a local ``.safetensors`` or ``.pth`` file of its own tensor names. Nothing is fetched.

    Plain backbones have torchvision's names, ``resnet_d.ResNetD`` timm's. The file's classifier is left out where the
    backbone has none. What torch itself takes is taken: the tensors may lie under ``state_dict`` or ``model``, their names may begin
    with ``module.`` or ``backbone.``, and batch normalisation may lack ``num_batches_tracked``, which older files do not have.

    Raises:
        ConfigError: the file is missing, unreadable, or belongs to another backbone; the first misfit is named.
    """
    remedy = "give a state dict of the same ResNet, as torchvision (resnet...) or timm (resnet...d) saves it"
    if not path.is_file():
        raise ConfigError(f"backbone weights at {path}", "no such file", remedy)
    with reading(ConfigError, f"backbone weights in {path}", remedy):
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    state = _unwrapped(state)
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError(f"tensors by name in {path}", _kinds(state), remedy)
    wanted = backbone.state_dict()
    state = _counted(_plain_names(state, wanted), wanted)
    if not any(name.startswith("fc.") for name in wanted):
        state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    if misfit := _misfit(wanted, state):
        raise ConfigError(f"weights of this backbone in {path}", misfit, remedy)
    with reading(ConfigError, f"weights that torch takes in {path}", remedy):
        backbone.load_state_dict(state)


def _unwrapped(state: Any) -> Any:
    """The tensors by name inside what a training program saved: as they are, or under one of the usual keys."""
    for key in WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            return state[key]
    return state


def _kinds(state: Any) -> str:
    """What ``state`` holds instead of tensors, in a few words."""
    if not isinstance(state, dict):
        return type(state).__name__
    others = [f"{name} ({type(value).__name__})" for name, value in state.items() if not isinstance(value, Tensor)]
    return ", ".join(others[:3]) or "nothing"


def _plain_names(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """``state`` without the prefixes that wrapping modules put before every name."""
    while state and not set(state) & set(wanted):
        prefix = next((one for one in PREFIXES if all(name.startswith(one) for name in state)), "")
        if not prefix:
            break
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state


def _counted(state: dict[str, Tensor], wanted: dict[str, Tensor]) -> dict[str, Tensor]:
    """``state`` with the counters of batch normalisation that it lacks, at 0, where it has the statistics that they belong to.
    A momentum is set in every normalisation here, so the counters change no result."""
    counters = {name: torch.zeros_like(value) for name, value in wanted.items() if name.endswith(COUNTER)
                and name not in state and name.removesuffix(COUNTER) + "running_mean" in state}
    return state | counters


def _misfit(wanted: dict[str, Tensor], given: dict[str, Tensor]) -> str:
    """What is wrong with ``given``, or ""."""
    if missing := sorted(set(wanted) - set(given)):
        return f"{len(missing)} tensors missing, first '{missing[0]}'"
    if extra := sorted(set(given) - set(wanted)):
        return f"{len(extra)} unknown tensors, first '{extra[0]}'"
    wrong = [name for name in wanted if wanted[name].shape != given[name].shape]
    return f"'{wrong[0]}' of shape {list(given[wrong[0]].shape)}, not {list(wanted[wrong[0]].shape)}" if wrong else ""
