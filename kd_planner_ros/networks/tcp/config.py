"""Facts of a TCP network: size, input, camera. Stored in the card, read back by the loader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.networks.blocks.resnet_specs import RESNETS, ResNetSpec, grid_size


@dataclass(frozen=True)
class TCPSize:
    """One row of PlanKD's Table 5: the backbone, the divisor r of the MLP widths, and what the paper counts."""

    backbone: str
    width_divisor: int
    parameters: int  # at 256 x 900
    paper_gmacs: float
    paper_ms: float  # RTX 3090


SIZES = {
    "25.8m": TCPSize("resnet34", 1, 25_768_065, 17.09, 17.9),
    "13.9m": TCPSize("resnet18", 2, 13_915_201, 8.47, 10.7),
    "7.6m": TCPSize("resnet10", 2, 7_644_481, 4.15, 8.5),
    "3.1m": TCPSize("resnet6", 2, 3_107_417, 2.67, 7.2),
}

class Head(Protocol):
    """What TCP's head asks of a size."""

    @property
    def width_divisor(self) -> int:
        """The divisor r of the widths of its layers."""


class Eyes(Protocol):
    """What TCP's head asks of a backbone."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of its maps."""

    @property
    def fc_width(self) -> int:
        """Channels of the embedding of the last one."""


class TCPFacts(Protocol):
    """What TCP's head, processor and task ask of a config: networks with another backbone have configs of their own."""

    @property
    def pred_len(self) -> int:
        """Waypoints of a plan."""

    @property
    def input_height(self) -> int:
        """Of the network's picture."""

    @property
    def input_width(self) -> int:
        """Of the network's picture."""

    @property
    def camera_width(self) -> int:
        """Of the camera's picture."""

    @property
    def camera_height(self) -> int:
        """Of the camera's picture."""

    @property
    def camera_id(self) -> str:
        """Of the camera."""

    @property
    def spec(self) -> Head:
        """The head's size."""

    @property
    def backbone(self) -> Eyes:
        """The backbone's shape."""

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the last map."""


STEP_S = 0.5
"""Spacing of the waypoints and of the future actions, seconds."""


@dataclass(frozen=True)
class TCPConfig:
    """One TCP network.

    The camera is TCP's (900 x 256, 100 degrees, 1.5 m behind the centre, 2 m up) or the recorded one; pictures are scaled to the input
    size. The attention heads have one output a cell of the last feature map, so only at 256 x 900 are the parameters
    those of the paper.
    """

    size: str = "13.9m"
    input_height: int = 256
    input_width: int = 900
    pred_len: int = 4
    camera_width: int = 900
    camera_height: int = 256
    camera_fov_deg: float = 100.0
    camera_id: str = "front"
    rate_hz: float = 10.0
    camera_x_m: float = -1.5
    camera_z_m: float = 2.0

    def __post_init__(self):
        if self.size not in SIZES:
            raise ConfigError(f"a TCP size out of {', '.join(SIZES)}", repr(self.size), "correct 'size'")
        for name in ("input_height", "input_width", "camera_width", "camera_height"):
            value = getattr(self, name)
            if not isinstance(value, int) or not 32 <= value <= 4096:
                raise ConfigError(f"{name} between 32 and 4096 pixels", repr(value), f"correct '{name}'")
        if self.pred_len != 4:  # 1.4's controller, the loss and the recordings are written for 0.5 to 2.0 s
            raise ConfigError("pred_len 4", repr(self.pred_len), "leave 'pred_len' out")

    @property
    def spec(self) -> TCPSize:
        """The row of the table."""
        return SIZES[self.size]

    @property
    def backbone(self) -> ResNetSpec:
        """Shape of the backbone."""
        return RESNETS[self.spec.backbone]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the attention map: (8, 29) at 256 x 900, (4, 14) at 128 x 448."""
        return grid_size(self.backbone, self.input_height, self.input_width)

    @property
    def rig(self) -> SensorRig:
        """The sensors the planner needs: one front camera."""
        return SensorRig(cameras=(CameraSpec(
            self.camera_id, Pose(x=self.camera_x_m, z=self.camera_z_m), self.camera_width, self.camera_height, self.camera_fov_deg,
            period_s=1.0 / self.rate_hz),))


Config = TCPConfig
CONFIGURATIONS = tuple(TCPConfig(size=size) for size in SIZES)
"""Every configuration that 'kd-planner models params tcp' lists."""
