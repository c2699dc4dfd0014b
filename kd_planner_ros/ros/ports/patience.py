"""How long a node waits for a sensor that may be missing."""

from __future__ import annotations

from typing import Any

from rclpy.clock import Clock, ClockType

from kd_planner_ros.sync.aligner import Aligner

WAIT_SHARE = 0.5
"""Of a period, by the clock of odometry."""
PATIENCE_S, LOOKS = 1.0, 4
"""In real time, looked at so often: in lock-step no later odometry comes before the plan."""


class Patience:
    """Lets ``aligner`` go on without the optional inputs that its set waits for, once time has gone on.

    Args:
        node: gets a timer of real time where ``needed``.
    """

    def __init__(self, node: Any, aligner: Aligner, period_s: float, needed: bool):
        self._aligner, self._wait_ns = aligner, round(WAIT_SHARE * period_s * 1e9)
        self._waiting: tuple[int | None, int] = (None, 0)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(PATIENCE_S / LOOKS, self._look, clock=steady) if needed else None
        self.reset()

    def reset(self) -> None:
        """Time was set back."""
        self._ego_ns: int | None = None
        self._since_ns: int | None = None

    def trigger(self, stamp_ns: int) -> None:
        """A picture that begins a set has come."""
        self._since_ns = max(stamp_ns, self._ego_ns or stamp_ns)

    def odometry(self, stamp_ns: int) -> None:
        """Odometry has come."""
        self._ego_ns = stamp_ns
        if self._since_ns is not None and stamp_ns >= self._since_ns + self._wait_ns and self._aligner.waiting_ns is not None:
            self._aligner.go_on()

    def _look(self) -> None:
        stamp, count = self._aligner.waiting_ns, self._waiting[1] + 1
        self._waiting = (stamp, count if stamp == self._waiting[0] else 0)
        if stamp is not None and self._waiting[1] >= LOOKS:
            self._aligner.go_on()

    def close(self, node: Any) -> None:
        """Drop the timer."""
        if self._timer is not None:
            node.destroy_timer(self._timer)
