"""One scene: where the car is, what the others did then, the road around it, and what the recorded driver did. Plain arrays in ``map``."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

STEP_S = 0.1
"""Between two instants of a scene, of a simulated drive and of a history."""
HISTORY_STEPS = 15


@dataclass(frozen=True)
class Start:
    """The car when a plan is made: ``pose`` [3] (x, y, yaw) of its centre in ``map``, speed, acceleration along x, yaw rate; SI units."""

    pose: np.ndarray
    speed_mps: float
    acceleration_mps2: float
    yaw_rate_rps: float


@dataclass(frozen=True)
class History:
    """The car at the K instants before a scene, oldest first: ``yaws``, ``speeds``, ``accelerations`` and ``yaw_rates``, each [K]."""

    yaws: np.ndarray
    speeds: np.ndarray
    accelerations: np.ndarray
    yaw_rates: np.ndarray


@dataclass(frozen=True)
class Others:
    """All other road users and obstacles over T + 1 instants, the first at the start.

    ``boxes`` [T + 1, N, 5] are (x, y, yaw, length, width), NaN where one is absent; ``speeds`` [T + 1, N] in m/s; ``static`` bool [N]
    marks what is no road user.
    """

    boxes: np.ndarray
    speeds: np.ndarray
    static: np.ndarray


@dataclass(frozen=True)
class Lights:
    """Stop lines [S, 2, 2] of lanes with a signal, the direction of travel across each [S] in radians, and whether the signal is red
    at each instant, bool [T + 1, S]."""

    lines: np.ndarray
    yaws: np.ndarray
    red: np.ndarray


@dataclass(frozen=True)
class Street:
    """The driving lanes around a scene.

    ``centres``: of each lane the centre line [P, 2] in driving direction; ``half_widths`` [L] metres; ``on_route`` bool [L] marks lanes
    of the route's own direction; ``junctions`` are outlines [Q, 2].
    """

    centres: tuple[np.ndarray, ...]
    half_widths: np.ndarray
    on_route: np.ndarray
    junctions: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Scene:
    """Everything that judges a plan made at ``start``. T steps of ``STEP_S``.

    Attributes:
        start: the car at the beginning.
        before: the car when the plan before was made, and ``before_steps`` how many steps earlier that was.
        history: the ``HISTORY_STEPS`` instants before ``start``.
        driver: poses [T + 1, 3] of the recorded driver's car from ``start`` on, and ``driver_before`` [T + 1, 3] from ``before`` on.
        route: [R, 2], the route's line around the scene, in driving direction.
        reach_m: what lies so near to the start is in the scene; a car that gets further is not judged.
    """

    start: Start
    before: Start
    before_steps: int
    history: History
    driver: np.ndarray
    driver_before: np.ndarray
    others: Others
    lights: Lights
    street: Street
    route: np.ndarray
    reach_m: float = math.inf

    @property
    def steps(self) -> int:
        """T."""
        return len(self.driver) - 1
