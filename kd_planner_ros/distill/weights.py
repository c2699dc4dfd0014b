"""Changes of a network's weights that are no optimiser step: the EMA, buffers that are fitted to the data."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError


@torch.no_grad()
def follow(mean: nn.Module, model: nn.Module, decay: float) -> None:
    """Update the EMA ``mean``: its weights become ``decay`` times themselves plus (1 - ``decay``) times those of ``model``."""
    current = model.state_dict()
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            value.lerp_(current[name], 1.0 - decay)
        else:
            value.copy_(current[name])


@torch.no_grad()
def put_buffers(fitted: Mapping[str, Tensor], *models: nn.Module) -> None:
    """Put the tensors ``fitted`` into the buffers of these names of every model.

    Raises:
        ConfigError: a buffer that a model does not have, or of another shape.
    """
    for model in models:
        own = dict(model.named_buffers())
        for name, value in fitted.items():
            if name not in own or own[name].shape != value.shape:
                raise ConfigError(f"a buffer '{name}' of shape {tuple(value.shape)} in the network",
                                  f"{tuple(own[name].shape)}" if name in own else "none of that name", "correct the task's fit()")
            own[name].copy_(value)
