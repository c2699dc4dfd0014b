"""Facts of an ego-status network: what it knows beside speed and command, how far it plans. Stored in the card."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig

BFLOAT16 = False
"""Its arithmetic costs next to nothing, and a rounded speed moves the last waypoint."""
SIZES = {"nano": 128}
"""Width of the two hidden layers by size."""
STEPS, STEP_S = 9, 0.5
"""Waypoints and their distance in time, unless the config says otherwise: 0.5 to 4.5 s, as V2X-VLM plans."""
MOST_STEPS, LONGEST_S = 100, 10.0


@dataclass(frozen=True)
class EgoStatusConfig:
    """One ego-status network.

    Attributes:
        steps, step_s: waypoints of a plan and the seconds between them; the first one is ``step_s`` ahead.
        target: whether the network also gets the route's target point. Where the route leads says much of where the driver went.
    """

    size: str = "nano"
    steps: int = STEPS
    step_s: float = STEP_S
    target: bool = False
    rate_hz: float = 10.0

    def __post_init__(self) -> None:
        if self.size not in SIZES:
            raise ConfigError(f"size of an ego-status network out of {', '.join(SIZES)}", repr(self.size), "correct 'size'")
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or not 1 <= self.steps <= MOST_STEPS:
            raise ConfigError(f"steps: a whole number from 1 to {MOST_STEPS}", repr(self.steps), "correct 'steps'")
        if not 0.0 < self.steps * self.step_s <= LONGEST_S:
            raise ConfigError(f"steps of step_s that reach at most {LONGEST_S:g} s", f"{self.steps} of {self.step_s!r} s",
                              "correct 'steps' and 'step_s'")

    @property
    def width(self) -> int:
        """Width of the hidden layers."""
        return SIZES[self.size]

    @property
    def times_s(self) -> np.ndarray:
        """Times of the waypoints [T]."""
        return self.step_s * np.arange(1, self.steps + 1)

    @property
    def rig(self) -> SensorRig:
        """No sensor: odometry, and a route for the command."""
        return SensorRig()


Config = EgoStatusConfig
CONFIGURATIONS = (EgoStatusConfig(),)
