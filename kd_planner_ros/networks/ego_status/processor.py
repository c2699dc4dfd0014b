"""Speed and command to the network's numbers, and its waypoints to a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.records import Frame, Plan, Trajectory
from kd_planner_ros.networks.blocks.inputs import command_index, navigation
from kd_planner_ros.networks.ego_status.config import EgoStatusConfig
from kd_planner_ros.networks.ego_status.model import SPEED_SCALE_MPS, TARGET_SCALE_M, state_width
from kd_planner_ros.networks.planner import Processor


class EgoStatusProcessor(Processor[Plan]):
    """Encodes frames and decodes plans, for node, trainer and evaluator alike."""

    def __init__(self, config: EgoStatusConfig):
        self.config = config

    def state_tensor(self, speed_mps: np.ndarray, target: np.ndarray, commands: np.ndarray) -> Tensor:
        """``state`` [B, 7], or [B, 9] with the target point, from speeds [B], target points [B, 2] (``base_link``) and commands [B]; VOID
        and unknown commands count as LANE_FOLLOW."""
        index = command_index(commands)
        state = np.zeros((len(index), state_width(self.config)), np.float32)
        state[:, 0] = np.asarray(speed_mps) / SPEED_SCALE_MPS
        state[np.arange(len(index)), 1 + index] = 1.0
        if self.config.target:
            state[:, -2:] = np.asarray(target) / TARGET_SCALE_M
        return torch.from_numpy(state)

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """``state`` for the network.

        Raises:
            SensorError: a speed or a target point is not finite.
        """
        return {"state": self.state_tensor(*navigation(frames))}

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Plan:
        """The plan: the waypoints as they are."""
        points = outputs["waypoints"][0].detach().float().cpu().numpy().astype(float)
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, self.config.times_s), frame.route_goal)


def build_processor(config: EgoStatusConfig) -> EgoStatusProcessor:
    """The processor for ``config``."""
    return EgoStatusProcessor(config)
