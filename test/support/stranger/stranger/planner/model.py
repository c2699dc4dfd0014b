"""A recurrent cell over what the two cameras show."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stranger.pictures import HEIGHT, WIDTH, block
from stranger.planner.config import CANDIDATES, MEMORY, STEPS, Config

INPUTS, OUTPUTS = ("image", "roadside", "state", "memory"), ("candidates", "scores", "memory")


class PlannerNet(nn.Module):
    """``image`` and ``roadside`` [B, 3, 16, 32] (zeros: no view), ``state`` [B, 3] (speed, target point / 10), ``memory`` [B, 8] in;
    ``candidates`` [B, 3, 6, 2] metres in ``base_link``, ``scores`` [B, 3] logits and the new ``memory`` out."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = block(6, 4)
        self.cell = nn.GRUCell(4 * 2 * 4 + 3, MEMORY)
        self.head = nn.Linear(MEMORY + 3, CANDIDATES * STEPS * 2)
        self.scores = nn.Linear(MEMORY, CANDIDATES)

    def forward(self, image: Tensor, roadside: Tensor, state: Tensor, memory: Tensor, features: bool = False) -> dict[str, Tensor]:
        seen = nn.functional.adaptive_avg_pool2d(self.encoder(torch.cat([image, roadside], 1)), (2, 4)).flatten(1)
        kept = self.cell(torch.cat([seen, state], 1), memory)
        points = self.head(torch.cat([kept, state], 1)).view(-1, CANDIDATES, STEPS, 2)
        return {"candidates": 10.0 * points, "scores": self.scores(kept), "memory": kept}


def build_model(config: Config) -> PlannerNet:
    return PlannerNet()


def example_inputs(config: Config, batch: int = 1) -> dict[str, Tensor]:
    return {"image": torch.zeros(batch, 3, HEIGHT, WIDTH), "roadside": torch.zeros(batch, 3, HEIGHT, WIDTH),
            "state": torch.zeros(batch, 3), "memory": torch.zeros(batch, MEMORY)}
