"""The InterFuser network: three cameras, a LiDAR histogram and the measured state to waypoints, traffic map and rules.

Source: Shao et al., "Safety-Enhanced Autonomous Driving Using Interpretable Sensor Fusion Transformer", CoRL 2022,
section 3.2; the small sizes from Feng et al., PlanKD, CVPR 2024, Table 5. Lateral axes are those of the planner frame
(x right, y backward); the processor alone turns them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.blocks.detr import Transformer, sine_encoding
from kd_planner_ros.networks.blocks.resnet import build_resnet
from kd_planner_ros.networks.blocks.resnet_d import RESNETS_D, build_resnet_d
from kd_planner_ros.networks.blocks.resnet_specs import RESNETS, grid_size
from kd_planner_ros.networks.interfuser.config import MAP_CELLS, MAP_CHANNELS, WAYPOINTS, InterFuserConfig

MEASUREMENTS = 7  # one-hot command (6), speed in m/s
VIEWS = ("front", "left", "right", "focus", "lidar")
INPUTS = (*VIEWS, "measurements", "target_point")
OUTPUTS = ("waypoints", "traffic_map", "junction", "light", "stop")
"""What an exported engine takes and gives; ``forward`` gives more."""
_CELLS = MAP_CELLS * MAP_CELLS
_HIDDEN = 64
_SPEED_COPIES = 32


class InterFuser(nn.Module):
    """See ``forward`` for what goes in and comes out. ``rgb_backbone`` serves all four pictures."""

    def __init__(self, config: InterFuserConfig):
        super().__init__()
        self.config = config
        spec, width = config.spec, config.spec.width
        self.rgb_backbone = _backbone(spec.rgb_backbone)
        self.lidar_backbone = _backbone(spec.lidar_backbone)
        self.rgb_embed = nn.Conv2d(_channels(spec.rgb_backbone), width, 1)
        self.lidar_embed = nn.Conv2d(_channels(spec.lidar_backbone), width, 1)
        self.view_embed = nn.Parameter(torch.rand(len(VIEWS), width))
        self.global_embed = nn.Parameter(torch.rand(len(VIEWS), width))
        self.queries = nn.Parameter(torch.rand(_CELLS + 1 + WAYPOINTS, width))
        self.query_position = nn.Parameter(torch.rand(1 + WAYPOINTS, width))
        self.transformer = Transformer(width, spec.layers)
        self.waypoint_start = nn.Linear(2, _HIDDEN)
        self.waypoint_gru = nn.GRUCell(width, _HIDDEN)
        self.waypoint_step = nn.Linear(_HIDDEN, 2)
        self.junction_head, self.light_head, self.stop_head = (nn.Linear(width, 2) for _ in range(3))
        self.map_head = nn.Sequential(nn.Linear(width + _SPEED_COPIES, _HIDDEN), nn.ReLU(),
                                      nn.Linear(_HIDDEN, MAP_CHANNELS), nn.Sigmoid())
        self.register_buffer("map_position", sine_encoding(MAP_CELLS, MAP_CELLS, width), persistent=False)
        for name, (rows, columns) in grids(config).items():
            self.register_buffer(f"{name}_position", sine_encoding(rows, columns, width), persistent=False)

    def forward(self, front: Tensor, left: Tensor, right: Tensor, focus: Tensor, lidar: Tensor, measurements: Tensor,
                target_point: Tensor, features: bool = False) -> dict[str, Tensor]:
        """Waypoints, traffic map, and what the road demands.

        Args:
            front, left, right, focus: [B, 3, P, P] float, RGB, ImageNet-normalised; left, right and focus of equal P.
            lidar: [B, 3, P, P] float histogram: below, above the split height, and their sum; rows grow to the left.
            measurements: [B, 7] float: one-hot command (6), speed in m/s.
            target_point: [B, 2] float metres, planner frame.
            features: also give back all maps of the backbones as ``front_stage1`` ... ``lidar_stage4``
                [B, C_i, H_i, W_i].

        Returns:
            ``waypoints`` [B, 10, 2] metres, planner frame, about 1 m apart; ``traffic_map`` [B, 400, 7] in (0, 1), cell
            20 i + j 17.5 - i m ahead and j - 9.5 m to the right: probability, offset to the right and forward / 3.5 m,
            heading / (2 pi), half length / 3.5 m, half width / 2 m, speed / 8 (m/s); ``junction``, ``light``,
            ``stop`` [B, 2] logits of class 0 (no junction, red, no stop sign) and 1;
            ``traffic_features`` [B, 400, d].
        """
        stages = self._see(front, left, right, focus, lidar)
        tokens = torch.cat([self._tokens(index, view, stages[view][-1]) for index, view in enumerate(VIEWS)], 1)
        position = torch.cat([self.get_buffer("map_position"), self.query_position])
        found = self.transformer(tokens, self.queries, position)
        traffic, rules, ways = found[:, :_CELLS], found[:, _CELLS], found[:, _CELLS + 1:]
        speed = measurements[:, None, 6:7].expand(-1, _CELLS, _SPEED_COPIES)
        outputs = {
            "waypoints": self._waypoints(ways, target_point),
            "traffic_map": self.map_head(torch.cat([traffic, speed], 2)),
            "junction": self.junction_head(rules), "light": self.light_head(rules), "stop": self.stop_head(rules),
            "traffic_features": traffic,
        }
        if features:
            outputs |= {f"{view}_stage{number}": stage for view in VIEWS
                        for number, stage in enumerate(stages[view], start=1)}
        return outputs

    def _see(self, front: Tensor, left: Tensor, right: Tensor, focus: Tensor,
             lidar: Tensor) -> dict[str, tuple[Tensor, ...]]:
        """All stages of every view; views of equal size run as one batch."""
        views = {"front": self.rgb_backbone(front), "lidar": self.lidar_backbone(lidar)}
        small = (left, right, focus) if focus.shape == left.shape else (left, right)
        together = [stage.chunk(len(small)) for stage in self.rgb_backbone(torch.cat(small))]
        for index, name in enumerate(("left", "right", "focus")[:len(small)]):
            views[name] = tuple(stage[index] for stage in together)
        if len(small) == 2:
            views["focus"] = self.rgb_backbone(focus)
        return views

    def _tokens(self, index: int, view: str, last: Tensor) -> Tensor:
        """The patches of one view and its mean: [B, h * w + 1, d]."""
        patches = (self.lidar_embed if view == "lidar" else self.rgb_embed)(last).flatten(2).transpose(1, 2)
        whole = patches.mean(1, keepdim=True) + self.view_embed[index] + self.global_embed[index]
        return torch.cat([patches + self.view_embed[index] + self.get_buffer(f"{view}_position"), whole], 1)

    def _waypoints(self, ways: Tensor, target: Tensor) -> Tensor:
        hidden, steps = self.waypoint_start(target), []
        for index in range(WAYPOINTS):
            hidden = self.waypoint_gru(ways[:, index], hidden)
            steps.append(self.waypoint_step(hidden))
        return torch.stack(steps, 1).cumsum(1)


def _backbone(name: str) -> nn.Module:
    """ResNet-6 keeps its classifier: the paper's count has it in. Nothing uses it, so it is frozen."""
    if name in RESNETS_D:
        return build_resnet_d(name)
    backbone = build_resnet(name, classifier=name == "resnet6")
    if name == "resnet6":
        backbone.fc.requires_grad_(False)
    return backbone


def _channels(name: str) -> int:
    return (RESNETS_D[name] if name in RESNETS_D else RESNETS[name]).widths[-1]


def grids(config: InterFuserConfig) -> dict[str, tuple[int, int]]:
    """Rows and columns of each view's last map, in the order of the tokens: 7 x 7, thrice 4 x 4 and 7 x 7."""
    stride32 = RESNETS["resnet18"]  # every backbone here halves the map five times
    return {view: grid_size(stride32, pixels, pixels) for view, pixels in config.view_px.items()}


def build_model(config: InterFuserConfig) -> InterFuser:
    """An InterFuser network with fresh weights from torch's global generator."""
    return InterFuser(config)


def example_inputs(config: InterFuserConfig, batch: int = 1) -> dict[str, Tensor]:
    """Zero inputs of the right shapes, for counting, warm-up and export."""
    views = {view: torch.zeros(batch, 3, pixels, pixels) for view, pixels in config.view_px.items()}
    return {**views, "measurements": torch.zeros(batch, MEASUREMENTS), "target_point": torch.zeros(batch, 2)}
