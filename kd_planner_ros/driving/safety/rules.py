"""Lights, stop signs and long standstills: rules that stop a car on a free road, and rules that let it start again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from kd_planner_ros.driving.unblock import Unblock, UnblockSettings


@dataclass(frozen=True)
class RuleSettings:
    """The original's constants; ticks are those of 20 Hz."""

    red: float = 0.3  # above: brake
    surely_red: float = 0.7
    red_patience_ticks: int = 1000
    red_ignored_ticks: int = 80
    stop_sign: float = 0.4  # above: stop once
    stopped_mps: float = 0.06
    sign_repeats: int = 3
    sign_every_m: float = 2.0
    junction: float = 0.7  # above: the sign is behind us
    unblock: UnblockSettings = UnblockSettings()
    push_throttle: float = 0.8
    tick_s: float = 0.05


class Rule(NamedTuple):
    """What the rules say this tick: ``stop`` for ``red`` or ``sign``; ``push`` the pedal down, for the car has stood too
    long."""

    stop: bool
    red: bool
    sign: bool
    push: bool


class Rules:
    """Counts ticks and metres. Step it once a tick.

    A red light is ignored for 80 ticks after 1000 in a row; a stop sign asks for a stop when it comes into view and up to
    three times more, each 2 m further; a car that has stood for 1200 ticks is pushed for 12. Probabilities that the
    plan does not give count as 0.

    Source: InterFuser ``interfuser_controller.py``.
    """

    def __init__(self, settings: RuleSettings = RuleSettings()):
        self.settings, self._unblock = settings, Unblock(settings.unblock)
        self.reset()

    def reset(self) -> None:
        """Forget all counts."""
        self._red_ticks = self._ignore_ticks = self._repeats = 0
        self._unblock.reset()
        self._pause_m = 0.0
        self._sign = False

    def step(self, notes: Mapping[str, float], speed_mps: float) -> Rule:
        """The rule for this tick from ``p_red``, ``p_stop`` and ``p_junction`` of ``notes``."""
        red = self._red(notes.get("p_red", 0.0))
        sign = self._stop_sign(notes.get("p_stop", 0.0), notes.get("p_junction", 0.0), speed_mps)
        return Rule(red or sign, red, sign, self._unblock.step(speed_mps))

    def _red(self, p_red: float) -> bool:
        s = self.settings
        self._red_ticks = self._red_ticks + 1 if p_red > s.surely_red else 0
        if self._red_ticks > s.red_patience_ticks:
            self._red_ticks, self._ignore_ticks = 0, s.red_ignored_ticks
        if self._ignore_ticks > 0:
            self._ignore_ticks -= 1
            return False
        return p_red > s.red

    def _stop_sign(self, p_stop: float, p_junction: float, speed_mps: float) -> bool:
        s = self.settings
        if speed_mps < s.stopped_mps:
            self._sign = False
        if p_junction > s.junction:
            self._repeats = 0
        if p_stop > s.stop_sign and self._pause_m <= 0.0:
            self._arm(s.sign_repeats)
        self._pause_m = max(0.0, self._pause_m - s.tick_s * abs(speed_mps))
        if self._pause_m <= 0.0 and self._repeats > 0:
            self._arm(self._repeats - 1)
        return self._sign

    def _arm(self, repeats: int) -> None:
        self._sign, self._repeats, self._pause_m = True, repeats, self.settings.sign_every_m
