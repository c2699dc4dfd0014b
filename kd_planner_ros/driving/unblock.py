"""Frees a car that has stood too long, or whose control branch accelerates while its trajectory brakes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class UnblockSettings:
    """InterFuser's constants; ticks are those of 20 Hz."""

    standing_mps: float = 0.2
    patience_ticks: int = 1200
    regained: int = 10  # a tick of moving takes so many ticks of standing back
    push_ticks: int = 12


class Unblock:
    """Counts how long the car has stood, and pushes it for 0.6 s after a minute. Step it once a tick.

    Imitation learns to stand where experts stand and, seeing itself stand, goes on standing; a minute is about the longest
    red phase of the built-in world. Source: InterFuser ``interfuser_controller.py``.
    """

    def __init__(self, settings: UnblockSettings = UnblockSettings()):
        self.settings = settings
        self.reset()

    def reset(self) -> None:
        """Forget the ticks counted."""
        self._standing_ticks = self._push_ticks = 0

    def step(self, speed_mps: float) -> bool:
        """Whether the pedal is to be pressed this tick, whatever the plan says."""
        s = self.settings
        standing = speed_mps < s.standing_mps
        self._standing_ticks = self._standing_ticks + 1 if standing else max(0, self._standing_ticks - s.regained)
        if self._standing_ticks > s.patience_ticks:
            self._standing_ticks, self._push_ticks = 0, s.push_ticks
        if self._push_ticks <= 0:
            return False
        self._push_ticks -= 1
        return True


class Hesitation:
    """Says when the trajectory branch's brake is to be overruled: the car stands, its two branches disagree for a second,
    and it is the trajectory that brakes. Step it once a tick of 20 Hz.

    A trajectory of 0.1 to 0.4 m/s is a brake for TCP's controller, so a car that has learnt to start slowly never does.
    The control branch is the better witness: where the expert goes on standing it hardly ever accelerates (docs/notes/default_student.md).
    """

    standing_mps = 0.2
    patience_ticks = 20

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the ticks counted."""
        self._ticks = 0

    def step(self, speed_mps: float, accelerates: bool) -> bool:
        """Whether the control branch, which ``accelerates`` or not, is followed alone; once it is, until it brakes."""
        free = self._ticks >= self.patience_ticks
        if not accelerates:
            self._ticks = 0
        elif not free:
            self._ticks = self._ticks + 1 if speed_mps < self.standing_mps else 0
        return self._ticks >= self.patience_ticks
