"""Facts of a unified driver: those of its steering perceiver, and of the car that it drives."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.unified_steering.config import UnifiedSteeringConfig

ROLE = "planner"
ENGINES = ("torch",)
BFLOAT16 = False
"""For the reason of the unified encoder: a rounded mask changes where a query looks."""


@dataclass(frozen=True)
class UnifiedDriverConfig(UnifiedSteeringConfig):
    """One unified driver.

    Attributes:
        route: whether the steering head gets command and target point; the paper's gets neither.
        wheelbase_m: of the car, for the arc.
        limit_mps: the speed on a free road. A frame does not say the lane's limit.
    """

    route: bool = True
    wheelbase_m: float = 2.86
    limit_mps: float = 6.5

    def __post_init__(self) -> None:
        super().__post_init__()
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
