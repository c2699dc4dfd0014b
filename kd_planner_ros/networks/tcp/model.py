"""The TCP network: one image, the measured state and a target point to waypoints and Beta-distributed actions.

Source: Wu et al., "Trajectory-guided Control Prediction for End-to-end Autonomous Driving", NeurIPS 2022, section 3;
the narrow sizes from Feng et al., PlanKD, CVPR 2024, Table 5. Lateral axes are those of the planner frame
(x right, y backward), steering positive RIGHT; the processor alone turns them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.blocks.layers import attention_pool, mlp
from kd_planner_ros.networks.blocks.resnet import build_resnet
from kd_planner_ros.networks.tcp.config import TCPConfig, TCPFacts

FEATURE = 256  # width of both branch features and of both GRUs, in every size
STATE = 9
ACTIONS = 2  # acceleration, steer
INPUTS = ("image", "state")
OUTPUTS = ("waypoints", "speed", "alpha", "beta", "future_alpha", "future_beta", "init_attention", "attention")
"""What an exported engine takes and gives; ``forward`` gives more."""


class TCP(nn.Module):
    """Both branches of TCP. See ``forward`` for what goes in and comes out."""

    def __init__(self, config: TCPFacts):
        super().__init__()
        self.config = config
        r = config.spec.width_divisor
        self.backbone = self.eyes(config)
        embedding, channels = config.backbone.fc_width, config.backbone.widths[-1]
        rows, columns = config.grid
        cells = rows * columns
        self.measurement = mlp((STATE, 128 // r, 128 // r))
        self.speed_head = mlp((embedding, 256 // r, 256 // r, 1), last_relu=False, dropout=0.5)
        self.join_traj = mlp((embedding + 128 // r, 512 // r, 512 // r, FEATURE))
        self.join_ctrl = mlp((channels + 128 // r, 512 // r, 512 // r, FEATURE))
        self.value_traj = mlp((FEATURE, 256, 256, 1), last_relu=False, dropout=0.5)
        self.value_ctrl = mlp((FEATURE, 256, 256, 1), last_relu=False, dropout=0.5)
        self.init_attention = mlp((128 // r, 256 // r, cells), last_relu=False)
        self.decoder_traj = nn.GRUCell(4, FEATURE)
        self.output_traj = nn.Linear(FEATURE, 2)
        self.policy = mlp((FEATURE, 256 // r, 256), dropout=0.5)
        self.alpha = nn.Linear(256, ACTIONS)
        self.beta = nn.Linear(256, ACTIONS)
        self.decoder_ctrl = nn.GRUCell(FEATURE + 2 * ACTIONS, FEATURE)
        self.step_attention = mlp((2 * FEATURE, 256 // r, cells), last_relu=False)
        self.merge = mlp((channels + FEATURE, 512 // r, FEATURE), last_relu=False)
        self.output_ctrl = mlp((FEATURE, 256 // r, FEATURE))

    def eyes(self, config: Any) -> Any:
        """The backbone: a picture to its maps, and ``embed`` of the last one. A network with another one overrides this."""
        return build_resnet(config.spec.backbone)

    def forward(self, image: Tensor, state: Tensor, features: bool = False) -> dict[str, Tensor]:
        """Waypoints and actions.

        Args:
            image: [B, 3, H, W] float, RGB, ImageNet-normalised.
            state: [B, 9] float: speed / 12 (m/s), target point x, y (metres, planner frame), one-hot command (6).
            features: also give back the backbone's maps ``stage1`` ... ``stage4`` [B, C_i, H_i, W_i]; ``stage2`` is
                the map that PlanKD distils.

        Returns:
            ``waypoints`` [B, 4, 2] metres, planner frame, 0.5 s apart; ``speed`` [B, 1] in units of 12 m/s;
            ``alpha``, ``beta`` [B, 2] Beta parameters of (acceleration, steer), each mapped to (0, 1), steer right;
            ``future_alpha``, ``future_beta`` [B, 4, 2] the same at the four steps; ``init_attention`` [B, h, w] and
            ``attention`` [B, 4, h, w], each map's sum 1; ``value_traj``, ``value_ctrl`` [B, 1];
            ``feature_traj``, ``feature_ctrl`` [B, 256]; ``future_features`` [B, 4, 256].
        """
        stages = self.backbone(image)
        measured = self.measurement(state)
        embedded = self.backbone.embed(stages[-1])
        traj = self.join_traj(torch.cat([embedded, measured], 1))
        waypoints, hidden = self._trajectory(traj, state[:, 1:3])
        grid = (-1, *self.config.grid)
        init = self.init_attention(measured).softmax(-1)
        ctrl = self.join_ctrl(torch.cat([attention_pool(stages[-1], init), measured], 1))
        alpha, beta = self._policy(ctrl)
        future = self._control(ctrl, alpha, beta, hidden, stages[-1])
        outputs = {
            "waypoints": waypoints, "speed": self.speed_head(embedded), "alpha": alpha, "beta": beta,
            "value_traj": self.value_traj(traj), "value_ctrl": self.value_ctrl(ctrl),
            "feature_traj": traj, "feature_ctrl": ctrl, "init_attention": init.view(grid), **future,
        }
        if features:
            outputs |= {f"stage{index}": stage for index, stage in enumerate(stages, start=1)}
        return outputs

    def _policy(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        latent = self.policy(feature)
        return nn.functional.softplus(self.alpha(latent)), nn.functional.softplus(self.beta(latent))

    def _trajectory(self, feature: Tensor, target: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Waypoints [B, 4, 2] and the GRU's state [B, 256] at each step."""
        point, hidden = torch.zeros_like(target), feature
        points, states = [], []
        for _ in range(self.config.pred_len):
            hidden = self.decoder_traj(torch.cat([point, target], 1), hidden)
            point = point + self.output_traj(hidden)
            points.append(point)
            states.append(hidden)
        return torch.stack(points, 1), states

    def _control(self, feature: Tensor, alpha: Tensor, beta: Tensor, guides: list[Tensor],
                 last: Tensor) -> dict[str, Tensor]:
        """The control branch rolled out, looking where the trajectory branch goes (``guides``, one a step)."""
        hidden = torch.zeros_like(feature)
        rows = []
        for guide in guides:
            hidden = self.decoder_ctrl(torch.cat([feature, alpha, beta], 1), hidden)
            weights = self.step_attention(torch.cat([hidden, guide], 1)).softmax(-1)
            seen = attention_pool(last, weights)
            feature = feature + self.output_ctrl(self.merge(torch.cat([hidden, seen], 1)))
            alpha, beta = self._policy(feature)
            rows.append((feature, alpha, beta, weights.view(-1, *self.config.grid)))
        names = ("future_features", "future_alpha", "future_beta", "attention")
        return {name: torch.stack(column, 1) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def build_model(config: TCPConfig) -> TCP:
    """A TCP network with fresh weights from torch's global generator."""
    return TCP(config)


def example_inputs(config: TCPFacts, batch: int = 1) -> dict[str, Tensor]:
    """Zero inputs of the right shapes, for counting, warm-up and export."""
    return {"image": torch.zeros(batch, 3, config.input_height, config.input_width), "state": torch.zeros(batch, STATE)}
