"""What travels through the stack: a frame of sensor data, a plan, a control.

Frames and units are those of ``core/ego.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from kd_planner_ros.core.ego import EgoState, NavigationGoal
from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.outputs import Detections, MapLines

if TYPE_CHECKING:
    from kd_planner_ros.core.sensors import CameraSpec
    from kd_planner_ros.core.true_scene import TrueScene
    from kd_planner_ros.core.v2x import RoadsideView


@dataclass(frozen=True)
class Frame:
    """One synchronised set of inputs: everything a model may see. ``core/frames.py`` puts it together.

    Attributes:
        goal: where the route leads; None for a model that needs no route.
        images: camera id to RGB uint8 [H, W, 3].
        clouds: LiDAR id to float32 [N, 4] (x, y, z, intensity) in that sensor's frame (x forward, y left, z up).
        ages_s: sensor id to the age of its data at ``stamp_ns``, seconds.
        calibrations: camera id to size, field of view and pose in ``base_link``, for each camera in ``images``.
        history: earlier frames, one for each offset of ``SensorRig.history_s`` and in its order; None where missing. An
            earlier frame has no history of its own.
        roadside: what roadside stations sent, nearest station first; empty where nothing was asked for or received.
        scene: the scene itself, for a model that reads it (``SensorRig.scene``); None for all others.
        phases: the signal phases that a gateway lets through, PHASE_DTYPE [P] of ``core/v2x.py``, for a model that wants them
            (``SensorRig.phases``); None where nothing is known.
    """

    stamp_ns: int
    ego: EgoState
    goal: NavigationGoal | None
    images: Mapping[str, np.ndarray] = field(default_factory=dict)
    clouds: Mapping[str, np.ndarray] = field(default_factory=dict)
    ages_s: Mapping[str, float] = field(default_factory=dict)
    calibrations: Mapping[str, CameraSpec] = field(default_factory=dict)
    history: tuple[Frame | None, ...] = ()
    roadside: tuple[RoadsideView, ...] = ()
    scene: TrueScene | None = None
    phases: np.ndarray | None = None

    @property
    def route_goal(self) -> NavigationGoal:
        """``goal``, for a model that needs a route.

        Raises:
            PlannerError: there is none.
        """
        if self.goal is None:
            raise PlannerError("a frame with a navigation goal", "none: there is no route", "give a route, or a model that needs none")
        return self.goal


@dataclass(frozen=True)
class Trajectory:
    """Future positions [T, 2] in ``base_link`` at ``stamp_ns``; ``times_s`` [T] counts from there, increasing."""

    stamp_ns: int
    points: np.ndarray
    times_s: np.ndarray


@dataclass(frozen=True)
class Control:
    """Pedals and steering: throttle and brake in [0, 1], steer in [-1, 1] of full lock, positive LEFT.

    ``stamp_ns`` is the stamp of the sensor set that led to it. ``reason`` is empty in normal driving, else the name
    of the rule that changed or replaced the planner's wish.
    """

    stamp_ns: int = 0
    throttle: float = 0.0
    steer: float = 0.0
    brake: float = 0.0
    reason: str = ""


@dataclass(frozen=True)
class Plan:
    """What a planner gives back for one frame.

    Args:
        trajectory: the way to follow.
        control: the wish of a network that has a control branch, before fusion with the trajectory's controller.
        candidates: [K, T, 2] further trajectories in ``base_link`` at ``stamp_ns``, at the times of ``trajectory``.
        scores: [K] of ``candidates``, a higher score is better; one below 0 belongs to another intent than the route's: it is shown,
            and nobody follows it.
        attention: float32 [h, w] over the picture of the first camera, sum 1.
        notes: small facts for reports by name.
        follow: name of the controller that the plan is made for (``driving/controllers.py``).
        detections: the road users that the network found, None where the network looks for none.
        lines: the map lines that the network found, None where the network looks for none.
        mode: how the plan came about, for example whether roadside data took part; "" where there is one way only.
    """

    stamp_ns: int
    trajectory: Trajectory
    goal: NavigationGoal
    control: Control | None = None
    candidates: np.ndarray | None = None
    scores: np.ndarray | None = None
    attention: np.ndarray | None = None
    inference_ms: float = 0.0
    notes: Mapping[str, float] = field(default_factory=dict)
    follow: str = "pid"
    detections: Detections | None = None
    lines: MapLines | None = None
    mode: str = ""
