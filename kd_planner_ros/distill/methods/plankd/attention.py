"""PlanKD's safety-aware waypoint attention: which waypoint matters in this scene. A training-only module.

Source: Feng et al., CVPR 2024, section 3.4, equation 5, appendix A.5; PlanKD ``interfuser/plankd.py``.
Where the two disagree: docs/notes/plankd_paper_and_code.md.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from kd_planner_ros.distill.methods.plankd.config import DETAILS
from kd_planner_ros.networks.blocks.resnet import build_resnet
from kd_planner_ros.networks.blocks.resnet_specs import RESNETS, ResNetSpec

PARAMETERS = 1_621_120
BEV_PIXELS, BEV_HALF_M, BEV_CHANNELS = 180, 18.0, 5
MEASURED = 7
KEY = 128


def with_coordinates(rgb: Tensor, shrink: int = 1) -> Tensor:
    """BEV pictures [B, 3, 180, 180] in [0, 1] or uint8 with the coordinate channels behind, averaged over ``shrink`` x
    ``shrink`` pixels: float32 [B, 5, 180 / shrink, 180 / shrink].

    The picture's row index grows to the car's right, its column index from front to back. Channel 3 is x and grows along
    rows, channel 4 is y and grows along columns, both -18 ... 18 m: frame P.
    """
    picture = rgb.float() if shrink == 1 else functional.avg_pool2d(rgb.float(), shrink)
    if rgb.dtype == torch.uint8:
        picture = picture / 255.0
    x, y = (torch.linspace(-BEV_HALF_M, BEV_HALF_M, side, device=rgb.device).view(-1, shrink).mean(1) for side in rgb.shape[2:])
    shape = (len(picture), 1, len(x), len(y))
    return torch.cat([picture, x.view(1, 1, -1, 1).expand(shape), y.view(1, 1, 1, -1).expand(shape)], 1)


def measurement(command: Tensor, speed_mps: Tensor) -> Tensor:
    """The car's measurements in the query, [B, 7]: InterFuser's measurement, used for TCP as well.

    Args:
        command: one-hot [B, 6]. speed_mps: [B], in m/s, never hidden from the attention.
    """
    return torch.cat([command.float(), speed_mps.float()[:, None]], 1)


class WaypointAttention(nn.Module):
    """Weights of the waypoints of a scene; see ``forward``. Exactly 1,621,120 parameters.

    ``detail`` is one of ``DETAILS``.
    """

    def __init__(self, detail: str = "full"):
        super().__init__()
        shrink, pool = DETAILS[detail]
        self.detail, self.shrink = detail, shrink
        self.scene = build_resnet("resnet6", BEV_CHANNELS)
        self.scene.maxpool = nn.MaxPool2d(3, pool, 1)
        width = self.spec.fc_width
        self.mix = nn.Sequential(nn.Linear(width + MEASURED, 512), nn.LeakyReLU(0.01), nn.Linear(512, 256))
        self.query = nn.Linear(256, KEY)
        self.waypoint = nn.Sequential(nn.Linear(2, 128), nn.LeakyReLU(0.01), nn.Linear(128, 64))
        self.key = nn.Linear(64, KEY)

    @property
    def spec(self) -> ResNetSpec:
        """Shape of the scene encoder."""
        return RESNETS["resnet6"]

    def forward(self, bev: Tensor, measured: Tensor, waypoints: Tensor, mask: Tensor) -> Tensor:
        """Attention [B, T]: softmax over the known waypoints, 0 elsewhere.

        Args:
            bev: pictures [B, 3, 180, 180] in [0, 1] or uint8; ``with_coordinates`` is done here.
            measured: [B, 7], ``measurement``.
            waypoints: [B, T, 2] of the expert, metres, frame P.
            mask: bool [B, T], which of them are known.
        """
        seen = with_coordinates(bev, self.shrink).contiguous(memory_format=torch.channels_last)
        scene = self.scene.embed(self.scene(seen)[-1])
        query = self.query(self.mix(torch.cat([scene.float(), measured], 1)))
        places = torch.where(mask[..., None], waypoints, torch.zeros_like(waypoints))
        keys = self.key(self.waypoint(places))
        scores = (keys @ query[..., None])[..., 0] / math.sqrt(KEY)
        weights = scores.float().masked_fill(~mask, -1e9).softmax(1)
        return weights * mask.to(weights.dtype)
