"""Facts of a steering perceiver: those of its unified encoder, its steering head, and the car whose wheels it means."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.unified_encoder.config import READINGS, UnifiedEncoderConfig

ROLE = "perceiver"
BFLOAT16 = False
"""For the reason of the unified encoder: a rounded mask changes where a query looks."""


@dataclass(frozen=True)
class UnifiedSteeringConfig(UnifiedEncoderConfig):
    """One unified encoder with a steering head on the pictures alone.

    Attributes:
        reading: of the steering head: ``probe`` or ``pooling``.
        small: whether the probe works on at most 256 channels with 8 heads.
        full_lock_deg: angle of the front wheels at full lock; the network's steering is in degrees of it.
    """

    reading: str = "probe"
    small: bool = True
    full_lock_deg: float = 70.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reading not in READINGS:
            raise ConfigError(f"a reading of the steering head out of {', '.join(READINGS)}", repr(self.reading), "correct 'reading'")
        if not 0.0 < self.full_lock_deg < 90.0:
            raise ConfigError("full_lock_deg between 0 and 90", repr(self.full_lock_deg), "correct 'full_lock_deg'")


Config = UnifiedSteeringConfig
CONFIGURATIONS = (UnifiedSteeringConfig(size="nano"),)
"""The full size can be built too; its parameters are those of the unified encoder and 7.2 M of the probe."""
