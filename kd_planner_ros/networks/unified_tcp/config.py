"""Facts of a TCP on the unified encoder's Swin: those of the encoder, and of TCP's head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig

ENGINES = ("torch",)
STRIDE = 32


class Head(NamedTuple):
    """The divisor r of the widths of TCP's head."""

    width_divisor: int


class Eyes(NamedTuple):
    """What TCP's head reads of a backbone: channels of its maps, and of the embedding of the last one."""

    widths: tuple[int, ...]
    fc_width: int


@dataclass(frozen=True)
class UnifiedTCPConfig(UnifiedEncoderConfig):
    """One network: the encoder's section of the camera's picture, and TCP's head as in the size 7.6m."""

    pred_len: int = 4

    MATCHES: ClassVar[bool] = False

    @property
    def spec(self) -> Head:
        """As in TCP's size 7.6m."""
        return Head(2)

    @property
    def backbone(self) -> Eyes:
        """Of the Swin of this size."""
        channels = self.widths.swin.channels
        return Eyes(channels, channels[-1])

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the attention map: (4, 11) at 128 x 352."""
        return self.input_height // STRIDE, self.input_width // STRIDE

    @property
    def rig(self) -> SensorRig:
        """The encoder's camera, and a route."""
        return SensorRig(cameras=(self.camera,))


Config = UnifiedTCPConfig
CONFIGURATIONS = (UnifiedTCPConfig(size="nano"),)
