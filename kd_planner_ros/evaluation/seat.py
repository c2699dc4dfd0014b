"""One planner's place in a car without the graph: at which ticks its sensors are read, and which Frames it is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.core.ego import EgoState, NavigationGoal
from kd_planner_ros.core.frames import FrameMaker, history_phases
from kd_planner_ros.core.records import Frame
from kd_planner_ros.evaluation.latency import Latency, Turns

if TYPE_CHECKING:
    from kd_planner_ros.networks.planner import Planner

TICK_HZ = 20
NO_LATENCY = Latency("none", (0.0,))


class Seat:
    """Reads the sensors at the ticks at which the planner plans, and at those that its declared history (``rig.history_s``) looks
    back at: also pictures that the planner is too busy or too slow to plan on are remembered, as in training and in the graph.

    Ask ``looks`` once a tick, in order, then ``frame``. ``seed`` is the drive's traffic seed.
    """

    def __init__(self, planner: Planner, latency: Latency = NO_LATENCY, seed: int = 0):
        self._rig, self._frames = planner.rig, FrameMaker(planner.rig)
        self._period = max(1, round(TICK_HZ / planner.rate_hz))
        self._turns = Turns(self._period, latency.ticks(seed))
        self._past = history_phases(planner.rig, self._period, 1.0 / TICK_HZ)
        self._delay: int | None = None
        self._wanted = False

    def looks(self, tick: int) -> bool:
        """Whether the planner's sensors are read at ``tick``."""
        self._delay = self._turns.looks(tick)
        self._wanted = self._delay is not None or tick % self._period in self._past
        return self._wanted

    @property
    def delay_s(self) -> float:
        """How many seconds after this tick the plan on its Frame acts."""
        return (self._delay or 0) / TICK_HZ

    def frame(self, ego: EgoState, goal: NavigationGoal, sensed: Any | None, phases: np.ndarray | None = None) -> Frame | None:
        """What the planner plans on in this tick, with the signal ``phases`` where it wants them; None where it does not plan.

        What ``sensed`` holds is remembered where it is part of the declared history, and roadside views are kept whoever asked for the
        sensors.
        """
        if sensed is None:
            return None
        if self._delay is not None:
            made = sensed.frame(self._rig, ego, goal, self._frames)
            return replace(made, phases=phases) if self._rig.phases else made
        if self._wanted and self._rig.fed_by(sensed.images, sensed.clouds):
            sensed.frame(self._rig, ego, goal, self._frames)
        elif self._frames.roadside is not None:
            sensed.hear(self._frames)
        return None

