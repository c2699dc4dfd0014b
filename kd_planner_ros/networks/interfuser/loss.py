"""Imitation loss of InterFuser."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.interfuser.config import WAYPOINTS
from kd_planner_ros.networks.interfuser.targets import UNKNOWN

OCCUPIED = 0.01
WEIGHTS: Mapping[str, float] = {"traffic": 0.5, "velocity": 0.05, "waypoints": 0.2, "junction": 0.05, "light": 0.1, "stop": 0.01}
"""Weights of the parts: InterFuser's."""


def imitation_loss(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor],
                   weights: Mapping[str, float] = WEIGHTS) -> tuple[Tensor, dict[str, Tensor]]:
    """Weighted sum of the parts, a scalar, and the unweighted parts, detached.

    L = 0.5 L_map + 0.05 L_vel + 0.2 L_wp + 0.05 CE_junction + 0.1 CE_light + 0.01 CE_stop.

    Source: InterFuser ``interfuser/train.py``.

    Args:
        outputs: what ``InterFuser.forward`` gives back; half precision is cast up.
        targets: what ``InterFuserProcessor.targets`` gives back, on the same device.
    """
    traffic, velocity = map_loss(outputs["traffic_map"].float(), targets["traffic_map"])
    parts = {"traffic": traffic, "velocity": velocity,
             "waypoints": waypoint_loss(outputs["waypoints"].float(), targets["waypoints"], targets["waypoints_mask"])}
    for name in ("junction", "light", "stop"):
        parts[name] = class_loss(outputs[name].float(), targets[name])
    total = cast(Tensor, sum(weights[name] * part for name, part in parts.items()))
    return total, {name: part.detach() for name, part in parts.items()}


def map_loss(found: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """(L_map, L_vel) of traffic maps [B, 400, 7]; M are the cells whose wanted probability is at least 0.01.

    L_map = 1/2 (1/2 L1(probability) on the others + 1/2 L1(probability) on M) + 1/2 L1(channels 1 to 5) on M,
    L_vel = L1(channel 6) on M; each a mean over its cells, 0 where there are none.
    """
    occupied = wanted[..., 0] >= OCCUPIED
    error = (found - wanted).abs()
    probability = 0.5 * _mean(error[..., 0], ~occupied) + 0.5 * _mean(error[..., 0], occupied)
    return 0.5 * probability + 0.5 * _mean(error[..., 1:6].mean(-1), occupied), _mean(error[..., 6], occupied)


def waypoint_decay(device: torch.device | str = "cpu") -> Tensor:
    """Weights [10] of the waypoints, sum 1: proportional to sqrt((11 - t) / 10), t = 1 ... 10."""
    decay = ((WAYPOINTS + 1.0 - torch.arange(1, WAYPOINTS + 1, device=device)) / WAYPOINTS).sqrt()
    return decay / decay.sum()


def waypoint_loss(found: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """L_wp = mean over t of (w_t times mean over B and xy of |found - wanted|) in metres; unknown points count as met.

    The mean over t divides by 10 once more than weights of sum 1 need: as the original does.

    Args:
        found, wanted: [B, 10, 2]; known: bool [B, 10].
    """
    error = ((found - wanted).abs() * known.unsqueeze(-1)).mean((0, 2))
    return (waypoint_decay(found.device) * error).mean()


def class_loss(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross entropy of logits [B, 2] over the samples whose class [B] is known; 0, still attached, without any."""
    losses = nn.functional.cross_entropy(logits, classes.clamp_min(0), reduction="none")
    return _mean(losses, classes != UNKNOWN)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    mask = mask.to(values.dtype)
    return (values * mask).sum() / mask.sum().clamp_min(1.0)
