"""The PID of TCP and InterFuser. It works on plain numbers; the caller knows the meaning of the error."""

from __future__ import annotations

from collections import deque


class Pid:
    """u = Kp e + Ki mean(last n errors) + Kd (e - previous e), without a time step: made for a 20 Hz tick.

    Args:
        n: length of the error window, which starts filled with zeros.

    Source: TCP and InterFuser agents (``PIDController``). Other rates change the integral and
    the derivative, so callers tick it at 20 Hz.
    """

    def __init__(self, kp: float, ki: float, kd: float, n: int = 40):
        self.kp, self.ki, self.kd = kp, ki, kd
        self._window: deque[float] = deque([0.0] * n, maxlen=n)

    def reset(self) -> None:
        """Forget all past errors."""
        self._window.extend([0.0] * len(self._window))

    def step(self, error: float) -> float:
        """The output for this tick's ``error``."""
        change = error - self._window[-1]
        self._window.append(float(error))
        return self.kp * error + self.ki * sum(self._window) / len(self._window) + self.kd * change
