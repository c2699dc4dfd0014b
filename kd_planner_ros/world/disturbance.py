"""Pushes the car off its line now and then while recording, so that the data contain recoveries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_planner_ros.core.records import Control

TICK_S = 0.05


class SteeringDisturbance:
    """Random triangular steering impulses of 0.5 to 1.5 s every 5 to 8 s; the expert's own control stays the label.

    Source: the noise injection of Codevilla et al., "End-to-end driving via conditional imitation learning", ICRA 2018,
    section IV-B. The same seed gives the same impulses.
    """

    def __init__(self, seed: int, peak: float = 0.12, pause_s: tuple[float, float] = (5.0, 8.0),
                 length_s: tuple[float, float] = (0.5, 1.5)):
        self._seed, self._peak, self._pause_s, self._length_s = seed, peak, pause_s, length_s
        self.reset()

    def reset(self) -> None:
        """Start the sequence of impulses anew."""
        self._rng = np.random.default_rng([self._seed, 0x6E6F697365])
        self._draw()

    def _draw(self) -> None:
        self._wait = int(self._rng.uniform(*self._pause_s) / TICK_S)
        self._length = max(2, int(self._rng.uniform(*self._length_s) / TICK_S))
        self._size = float(self._rng.uniform(0.4, 1.0) * self._peak * self._rng.choice((-1.0, 1.0)))
        self._age = 0

    def step(self, control: Control, speed_mps: float) -> tuple[Control, bool]:
        """``control`` with this tick's impulse added to its steering, and whether one is active. Call once per tick.

        No impulse begins below 2 m/s, where it would only turn the wheels.
        """
        if self._wait > 0:
            self._wait -= 1
            return control, False
        if self._age == 0 and speed_mps < 2.0:
            return control, False
        self._age += 1
        share = 1.0 - abs(2.0 * self._age / self._length - 1.0)
        steer = float(np.clip(control.steer + self._size * max(share, 0.0), -1.0, 1.0))
        if self._age >= self._length:
            self._draw()
        return replace(control, steer=steer, reason="steering disturbance"), True
