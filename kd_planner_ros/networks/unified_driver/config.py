"""Facts of a unified driver: those of its unified encoder, its steering head, and the car that it steers."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.unified_encoder.config import READINGS, UnifiedEncoderConfig

ROLE = "planner"
ENGINES = ("torch",)
BFLOAT16 = False
"""For the reason of the unified encoder: a rounded mask changes where a query looks."""


@dataclass(frozen=True)
class UnifiedDriverConfig(UnifiedEncoderConfig):
    """One unified driver.

    Attributes:
        reading: of the steering head: ``probe`` or ``pooling``.
        small: whether the probe works on at most 256 channels with 8 heads.
        route: whether the steering head gets command and target point; the paper's gets neither.
        full_lock_deg: angle of the front wheels at full lock; the network's steering is in degrees of it.
        wheelbase_m: of the car, for the arc.
        limit_mps: the speed on a free road. A frame does not say the lane's limit.
    """

    reading: str = "probe"
    small: bool = True
    route: bool = True
    full_lock_deg: float = 70.0
    wheelbase_m: float = 2.86
    limit_mps: float = 6.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reading not in READINGS:
            raise ConfigError(f"a reading of the steering head out of {', '.join(READINGS)}", repr(self.reading), "correct 'reading'")
        if not 0.0 < self.full_lock_deg < 90.0:
            raise ConfigError("full_lock_deg between 0 and 90", repr(self.full_lock_deg), "correct 'full_lock_deg'")
        for name in ("wheelbase_m", "limit_mps"):
            if not 0.0 < getattr(self, name) < 100.0:
                raise ConfigError(f"{name} between 0 and 100", repr(getattr(self, name)), f"correct '{name}'")

    @property
    def rig(self) -> SensorRig:
        """The unified encoder's camera; a route where the steering head gets it. The processor remembers the frames before."""
        return SensorRig(cameras=(self.camera,), needs_route=self.route)


Config = UnifiedDriverConfig
CONFIGURATIONS = (UnifiedDriverConfig(size="nano"),)
"""The full size can be built too; its parameters are those of the unified encoder and 7.2 M of the probe."""
