"""Choices of the constant-velocity planner."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.core.errors import ConfigError


@dataclass(frozen=True)
class ConstantVelocityConfig:
    """``cruise_mps`` is the one speed it ever plans; ``points`` waypoints lie ``step_s`` apart, as TCP's do."""

    cruise_mps: float = 4.0
    points: int = 4
    step_s: float = 0.5
    rate_hz: float = 10.0

    def __post_init__(self):
        if not 0.0 < self.cruise_mps <= 15.0:
            raise ConfigError("cruise_mps in (0, 15]", repr(self.cruise_mps), "correct 'cruise_mps'")
        if self.points < 2 or not self.step_s > 0.0:
            raise ConfigError("at least 2 points and a step above 0 s", f"{self.points} and {self.step_s}",
                              "correct 'points' and 'step_s'")


Config = ConstantVelocityConfig
