"""Where in the picture the planning states are read from: Grad-CAM through the information bottleneck (Figure 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.planning_states import STATE_CLASSES, STATE_NAMES
from kd_planner_ros.distill.maps import channel_mean, energy, stage_of, views
from kd_planner_ros.distill.methods.plankd.bottleneck import InformationBottleneck

ALL = "all"
"""The key of the map that is guided by all states together."""


@dataclass(frozen=True)
class StateMaps:
    """``maps``: by state name, and ``ALL``, one float32 [h, w] in [0, 1] a view; ``energy`` the same of AT's attention
    map (Figure 4's second row). ``classes`` and ``chances``: the class that each map is guided by, and what the
    bottleneck gives it."""

    maps: dict[str, list[np.ndarray]]
    energy: list[np.ndarray]
    classes: dict[str, int]
    chances: dict[str, float]


def state_maps(model: nn.Module, inputs: Mapping[str, Tensor], bottleneck: InformationBottleneck,
               wanted: Mapping[str, int]) -> StateMaps:
    """The maps of one sample.

    Each is guided by the logit of the state's class: positive part of gradient times activation, summed over the
    channels of the distilled map (stage 2). The bottleneck reads the mean over channels, so its gradient is the same
    for all channels of a cell; Grad-CAM's averaging over cells would only give back the activation, and is left out
    (HiResCAM, Draelos and Carin 2020, which equals Grad-CAM before a global pooling).

    Args:
        inputs: of batch 1. wanted: class of each state, -1 where not recorded (then the likeliest).

    Source: Selvaraju et al., ICCV 2017; PlanKD appendix C.3.
    """
    with torch.no_grad():
        stage = stage_of(model.eval()(**inputs, features=True), 2)
    leaves = [one.detach().requires_grad_(True) for one in views(stage)]
    logits = bottleneck.decode(bottleneck.encode(channel_mean(leaves)).mean)[0]
    maps, classes, chances = {}, {}, {}
    guides = []
    for name, part in zip(STATE_NAMES, logits.split(STATE_CLASSES), strict=True):
        classes[name] = int(wanted.get(name, -1)) if wanted.get(name, -1) >= 0 else int(part.argmax())
        chances[name] = float(part.detach().softmax(0)[classes[name]])
        guides.append((name, part[classes[name]]))
    for name, score in [*guides, (ALL, sum(score for _, score in guides))]:
        gradients = torch.autograd.grad(score, leaves, retain_graph=True)
        maps[name] = _unit([(one * gradient).sum(1)[0].clamp_min(0.0).detach() for one, gradient
                            in zip(leaves, gradients, strict=True)])
    flat = [energy([one.detach()])[0].reshape(one.shape[-2:]) for one in leaves]
    return StateMaps(maps, _unit(flat), classes, chances)


def _unit(found: list[Tensor]) -> list[np.ndarray]:
    """Scaled so that the largest value over all views is 1; zeros stay zeros."""
    top = max(float(one.max()) for one in found)
    return [(one / top if top > 0.0 else one).float().numpy() for one in found]
