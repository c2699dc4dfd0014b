"""Records to TCP's tensors and back. The only place where TCP's frame and its right-positive steering are turned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Control, Frame, Plan, Trajectory
from kd_planner_ros.geometry.frames import base_to_planner, planner_to_base
from kd_planner_ros.imaging.resize import resize_rgb
from kd_planner_ros.networks.blocks.inputs import command_index, navigation, normalise, unfit_picture
from kd_planner_ros.networks.planner import Processor
from kd_planner_ros.networks.tcp.config import STEP_S, TCPConfig, TCPFacts

SPEED_SCALE_MPS = 12.0
_TO_NETWORK = np.array([1.0, -1.0], np.float32)  # (acceleration, steer): the network steers positive RIGHT


class TCPProcessor(Processor):
    """Encodes frames for the network and decodes its outputs, for node, trainer and evaluator alike."""

    def __init__(self, config: TCPFacts):
        self.config = config
        self.times_s = STEP_S * np.arange(1, config.pred_len + 1)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """A camera picture scaled to the network's input: RGB uint8 [H, W, 3]. Trainers may store its result.

        Raises:
            SensorError: not RGB uint8, or neither the camera's size nor already the input's.
        """
        config = self.config
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise SensorError(f"RGB uint8 [H, W, 3] from camera '{config.camera_id}'",
                              f"{image.dtype} {list(image.shape)}", "check the camera's encoding")
        known = {(config.camera_height, config.camera_width), (config.input_height, config.input_width)}
        if image.shape[:2] not in known:
            size = config.camera_width, config.camera_height
            raise unfit_picture("tcp", config.camera_id, f"a {size[0]}x{size[1]} picture", image, size)
        return resize_rgb(image, config.input_height, config.input_width)

    def image_tensor(self, images: np.ndarray | Tensor) -> Tensor:
        """Prepared pictures uint8 [B, H, W, 3] as normalised float32 [B, 3, H, W] in channels-last memory."""
        return normalise(images)

    def state_tensor(self, speed_mps: np.ndarray, target_base: np.ndarray, commands: np.ndarray) -> Tensor:
        """The measured state [B, 9] from speed [B], target point [B, 2] in ``base_link`` and command [B].

        VOID and unknown commands count as LANE_FOLLOW.
        """
        index = command_index(commands)
        state = np.zeros((len(index), 9), np.float32)
        state[:, 0] = np.asarray(speed_mps) / SPEED_SCALE_MPS
        state[:, 1:3] = base_to_planner(np.asarray(target_base))
        state[np.arange(len(index)), 3 + index] = 1.0
        return torch.from_numpy(state)

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """``image`` [B, 3, H, W] and ``state`` [B, 9] for the network.

        Raises:
            SensorError: the camera is missing from a frame, its picture has the wrong size or type, or the ego state
                or the target point is not finite.
        """
        images = []
        for frame in frames:
            if self.config.camera_id not in frame.images:
                raise SensorError(f"a picture from camera '{self.config.camera_id}'",
                                  f"pictures from {sorted(frame.images) or 'no camera'}", "mount or remap the camera")
            images.append(self.prepare(frame.images[self.config.camera_id]))
        speed, target, commands = navigation(frames)
        return {"image": self.image_tensor(np.stack(images)), "state": self.state_tensor(speed, target, commands)}

    def targets(self, future_base: np.ndarray, actions: np.ndarray, speed_mps: np.ndarray) -> dict[str, Tensor]:
        """What the loss compares with. Rows that hold anything not finite are masked out.

        Args:
            future_base: [B, 4, 2] executed positions at 0.5 ... 2.0 s, metres, ``base_link`` of now; NaN = unknown.
            actions: [B, 5, 2] executed (throttle - brake, steer positive LEFT) now and at the four steps, each in
                [-1, 1]; NaN = unknown.
            speed_mps: [B].

        Returns:
            ``waypoints`` [B, 4, 2] planner frame with ``waypoints_mask`` [B, 4]; ``actions`` [B, 5, 2] in (0, 1) as
            the network's Beta variables (steer right) with ``actions_mask`` [B, 5]; ``speed`` [B, 1] in 12 m/s.
        """
        future = base_to_planner(np.asarray(future_base, np.float32))
        unit = (np.asarray(actions, np.float32) * _TO_NETWORK + 1.0) / 2.0
        known, acted = np.isfinite(future).all(-1), np.isfinite(unit).all(-1)
        speed = np.asarray(speed_mps, np.float32)[:, None] / SPEED_SCALE_MPS
        return {
            "waypoints": torch.from_numpy(np.where(known[..., None], future, 0.0).astype(np.float32)),
            "waypoints_mask": torch.from_numpy(known),
            "actions": torch.from_numpy(np.where(acted[..., None], unit, 0.5).astype(np.float32)),
            "actions_mask": torch.from_numpy(acted),
            "speed": torch.from_numpy(speed),
        }

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Plan:
        """The plan: waypoints in ``base_link``, the control branch's mode, the attention of its first step.

        Values that are not finite are passed on; the supervisor answers them with a safe stop.
        """
        arrays = {name: outputs[name][0].detach().float().cpu().numpy()
                  for name in ("waypoints", "alpha", "beta", "speed", "attention")}
        acceleration, steer = beta_mode(arrays["alpha"], arrays["beta"]) * _TO_NETWORK
        control = Control(frame.stamp_ns, throttle=float(np.maximum(acceleration, 0.0)), steer=float(steer),
                          brake=float(np.maximum(-acceleration, 0.0)))
        points = planner_to_base(arrays["waypoints"].astype(float))
        return Plan(frame.stamp_ns, Trajectory(frame.stamp_ns, points, self.times_s), frame.route_goal, control=control,
                    attention=arrays["attention"][0],
                    notes={"speed_predicted_mps": float(arrays["speed"][0]) * SPEED_SCALE_MPS})


def beta_mode(alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Mode of Beta(alpha, beta) mapped from (0, 1) to [-1, 1], elementwise; the mean where there is no single mode.

    Source: TCP's agent. alpha, beta > 1: (alpha - 1) / (alpha + beta - 2); alpha <= 1 < beta: 0; beta <= 1 < alpha: 1;
    both <= 1: alpha / (alpha + beta). Beta(3, 2) has mode 2/3, hence 1/3.
    """
    alpha, beta = np.asarray(alpha, float), np.asarray(beta, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        inner = (alpha - 1.0) / (alpha + beta - 2.0)
        mean = alpha / (alpha + beta)
    x = np.select([(alpha > 1) & (beta > 1), (alpha <= 1) & (beta > 1), (alpha > 1) & (beta <= 1)],
                  [inner, np.zeros_like(inner), np.ones_like(inner)], mean)
    return 2.0 * x - 1.0


def build_processor(config: TCPConfig) -> TCPProcessor:
    """The processor for ``config``."""
    return TCPProcessor(config)
