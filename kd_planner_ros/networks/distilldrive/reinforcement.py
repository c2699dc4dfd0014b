"""The reinforcement term: a Q-network on the ego's status, whose action is the command; its gradient reaches the planner by the predicted
status alone.

Source: DistillDrive's ``dqn_model``. ``repo`` is its form, with reward weights that a softmax keeps positive; ``td`` is Q-learning on the
next status, with a slow copy of the network.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.distilldrive.config import COMMANDS, FORWARD_SPEED, STATUS, STEP_S

FORMS = ("off", "repo", "td")
REWARDS = ("status", "speed", "legal", "way", "first", "end")
DISCOUNT, SLOW = 0.95, 0.005
CLONING = 0.5
"""Weight of the driven command as a label in ``td``."""
FASTEST_MPS = 20.0


def rewards(status: Tensor, found: Tensor, offsets: Tensor, way: Tensor) -> Tensor:
    """[B, 6] in [0, 1], in the order of ``REWARDS``: how near the predicted status ``found`` [B, 10] comes to what is known of ``status``,
    and the predicted ``way`` to ``offsets``, both [B, T, 2] in metres a step; without gradient."""
    found, way = found.detach(), way.detach()
    speed, valid = found[:, FORWARD_SPEED], status.isfinite()
    off = torch.where(valid, status - found, 0.0).abs().sum(1) / valid.sum(1).clamp(min=1)
    return torch.stack([
        (-off).exp(), (-(way[:, 0, 0] - STEP_S * speed).abs()).exp(),
        ((speed > 0.0) & (speed < FASTEST_MPS)).to(found.dtype), (-(offsets - way).abs().mean((1, 2))).exp(),
        (-(offsets[:, 0] - way[:, 0]).abs().mean(1)).exp(), (-(offsets.sum(1) - way.sum(1)).abs().mean(1)).exp()], 1)


def _network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(len(STATUS), 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, len(COMMANDS)))


class Reinforcement(nn.Module):
    """The networks of the reinforcement term; they are not shipped. ``form`` is ``repo`` or ``td``."""

    def __init__(self, form: str):
        super().__init__()
        self.form = form
        self.value, self.other = _network(), _network()
        if form == "td":
            self.other = copy.deepcopy(self.value).requires_grad_(False)
        self.importance = nn.Parameter(torch.zeros(len(REWARDS)), requires_grad=form == "repo")

    def forward(self, status: Tensor, later: Tensor, found: Tensor, offsets: Tensor, way: Tensor, command: Tensor) -> Tensor:
        """The loss, a mean over the samples whose speed is known.

        Args:
            status, later: true status [B, 10] now and 0.5 s later, NaN where unknown: the networks read 0 there, as public data sets
                without a steering angle give. found: the predicted one.
            offsets, way: driven and predicted trajectory [B, T, 2], metres a step. command: [B].
        """
        known = status[:, FORWARD_SPEED].isfinite()
        gained = rewards(status, found, offsets, way) @ (self.importance.softmax(0) * len(REWARDS))
        status = status.nan_to_num(nan=0.0)
        value = self.value(found).gather(1, command[:, None])[:, 0]
        wanted = nn.functional.one_hot(command, len(COMMANDS)).to(found.dtype)
        if self.form == "repo":
            other = self.other(status)
            cloned = (other - wanted).abs().mean(1)
            each = cloned + (value - (gained + DISCOUNT * other.amax(1))).abs()
        else:
            each = CLONING * (self.value(status) - wanted).abs().mean(1) + (value - self._target(gained / len(REWARDS), later)).abs()
        return (each * known).sum() / known.sum().clamp(min=1)

    @torch.no_grad()
    def _target(self, gained: Tensor, later: Tensor) -> Tensor:
        goes_on = later[:, FORWARD_SPEED].isfinite()
        best = self.other(later.nan_to_num(nan=0.0)).amax(1)
        return gained + DISCOUNT * best * goes_on

    @torch.no_grad()
    def follow(self) -> None:
        """Let the slow copy follow, after a step; ``repo`` has none."""
        for slow, fast in zip(self.other.parameters(), self.value.parameters(), strict=True) if self.form == "td" else ():
            slow.lerp_(fast, SLOW)
