"""The optimiser of a training run: the network's own unless the recipe says otherwise."""

from __future__ import annotations

import torch
from torch import nn

from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.networks.training import OptimiserDefaults

_KINDS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def build_optimiser(config: TrainConfig, defaults: OptimiserDefaults, model: nn.Module,
                    beside: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Adam or AdamW over what is trained of ``model`` and ``beside`` it.

    Fused: one pass over the numbers instead of a dozen. Where their share of the learning rate is not 1, the modules that the
    network calls slow are a group of their own, with the ``share``.
    """
    kind = defaults.kind if config.optimiser == "network" else config.optimiser
    decay = defaults.weight_decay if config.weight_decay < 0.0 else config.weight_decay
    share = defaults.backbone_rate if config.backbone_rate < 0.0 else config.backbone_rate
    named = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    slow = [one for name, one in named if share != 1.0 and name.startswith(tuple(f"{module}." for module in defaults.slow))]
    chosen = set(map(id, slow))
    rest = [one for _, one in named if id(one) not in chosen] + beside
    if not slow:
        return _KINDS[kind](rest, lr=config.lr, weight_decay=decay, fused=True)
    groups = [{"params": rest, "share": 1.0}, {"params": slow, "share": share}]
    return _KINDS[kind](groups, lr=config.lr, weight_decay=decay, fused=True)
