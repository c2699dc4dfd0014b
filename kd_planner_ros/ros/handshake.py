"""The synchronous handshake of CARLA's bridge, from the world's side: one control per tick."""

from __future__ import annotations

from collections.abc import Callable

from kd_planner_ros.core.records import Control


class Handshake:
    """Takes controls as they come and says when the present tick has been answered.

    As with the bridge, a command acts at the next tick, and without one the last stays applied. Unlike it, a stamped
    command that answers an earlier tick does not count for this one, so one late answer cannot put the loop a frame
    out of step for good. One that brakes harder than what is applied acts all the same: it may be a controller's last.

    Args:
        warn: called with one sentence for every command that breaks the rule.
    """

    def __init__(self, warn: Callable[[str], None]):
        self._warn = warn
        self.control = Control()
        self.answered = False
        self.second = self.late = self.unanswered = 0
        self._stamp_ns = 0

    def values(self) -> dict[str, int]:
        """Counts for the diagnostics."""
        return {"second controls": self.second, "late controls": self.late, "unanswered ticks": self.unanswered}

    def open(self, stamp_ns: int) -> None:
        """A new tick waits for its command."""
        self._stamp_ns, self.answered = stamp_ns, False

    def take(self, control: Control) -> None:
        """A command has come."""
        if control.stamp_ns and control.stamp_ns < self._stamp_ns:
            self.late += 1
            self._warn(f"the control for {control.stamp_ns / 1e9:.3f} s came in the tick of "
                       f"{self._stamp_ns / 1e9:.3f} s")
            if control.brake > self.control.brake:
                self.control = control
            return
        if self.answered:
            self.second += 1
            self._warn(f"unexpected second control in the tick of {self._stamp_ns / 1e9:.3f} s: is another controller "
                       "running in this ROS domain?")
        self.control, self.answered = control, True

    def give_up(self, timeout_s: float) -> None:
        """The wait is over without a command: the last one stays applied."""
        self.unanswered += 1
        self._warn(f"no control within {timeout_s:g} s for the tick of {self._stamp_ns / 1e9:.3f} s")
