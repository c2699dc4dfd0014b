"""How much of the roadside takes part at an instant: down at once, up after some good frames."""

from __future__ import annotations

from kd_planner_ros.core.v2x import CoopState
from kd_planner_ros.v2x.settings import GatewaySettings

NS = 1_000_000_000


class StateMachine:
    """COOP_FULL, COOP_OBJECTS, EGO_ONLY, MINIMAL_RISK.

    A state is left for a worse one at the frame that lacks what it needs. It comes back at once after a gap that is no longer than the
    time between two pictures, and else after some good frames over some time without a longer gap.
    """

    def __init__(self, settings: GatewaySettings):
        self._settings = settings
        self.reset()

    def reset(self) -> None:
        """Begin anew: in EGO_ONLY."""
        self.state = CoopState.EGO_ONLY
        self._now_ns: int | None = None
        self._good: dict[CoopState, tuple[int, int, int]] = {}
        self._held_ns: dict[CoopState, int] = {}

    def update(self, now_ns: int, pictures: bool, objects: bool, ego: bool) -> CoopState:
        """The state at the frame of ``now_ns``, which has what the arguments say; the same frame asked for again counts once."""
        if now_ns == self._now_ns:
            return self.state
        self._now_ns = now_ns
        if not ego:
            self._good.clear()
            self._held_ns.clear()
            self.state = CoopState.MINIMAL_RISK
            return self.state
        full, lists = self._may(CoopState.COOP_FULL, pictures, now_ns), self._may(CoopState.COOP_OBJECTS, pictures or objects, now_ns)
        self.state = CoopState.COOP_FULL if full else CoopState.COOP_OBJECTS if lists and objects else CoopState.EGO_ONLY
        return self.state

    def _may(self, state: CoopState, good: bool, now_ns: int) -> bool:
        if not good:
            return False
        first_ns, frames, last_ns = self._good.get(state, (now_ns, 0, now_ns))
        if now_ns - last_ns > self._settings.gap_s * NS:
            first_ns, frames = now_ns, 0
        self._good[state] = (first_ns, frames + 1, now_ns)
        proven = frames + 1 >= self._settings.reenter_frames and now_ns - first_ns >= self._settings.reenter_s * NS
        held_ns = self._held_ns.get(state)
        if not proven and (held_ns is None or now_ns - held_ns > self._settings.gap_s * NS):
            return False
        self._held_ns[state] = now_ns
        return True
