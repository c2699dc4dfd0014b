"""What a planner declares it needs, what a world must mount, and what a camera gives back with its labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.records import Pose


@dataclass(frozen=True)
class CameraSpec:
    """A pinhole camera; ``pose`` in ``base_link`` (or in ``map`` for a roadside unit), x along the optical axis."""

    id: str
    pose: Pose
    width: int
    height: int
    fov_deg: float  # horizontal
    period_s: float = 0.05

    @property
    def focal_px(self) -> float:
        """Focal length in pixels, the same for both axes (CARLA: W / (2 tan(fov/2)))."""
        return self.width / (2.0 * math.tan(math.radians(self.fov_deg) / 2.0))


@dataclass(frozen=True)
class LidarSpec:
    """A spinning LiDAR; defaults are the leaderboard's (half a turn per 20 Hz tick at 10 Hz rotation).

    A message holds what was measured in ``period_s``; there is one each ``every_s``, 0: one after another."""

    id: str
    pose: Pose
    channels: int = 64
    range_m: float = 85.0
    rotation_hz: float = 10.0
    points_per_second: int = 600_000
    upper_fov_deg: float = 10.0
    lower_fov_deg: float = -30.0
    attenuation_per_m: float = 0.004
    dropoff_general: float = 0.45
    dropoff_intensity_limit: float = 0.8
    dropoff_zero_intensity: float = 0.4
    noise_m: float = 0.0
    period_s: float = 0.05
    every_s: float = 0.0


@dataclass(frozen=True)
class SensorRig:
    """All sensors of one vehicle, plus roadside units (poses in ``map``)."""

    cameras: tuple[CameraSpec, ...] = ()
    lidars: tuple[LidarSpec, ...] = ()
    roadside_cameras: tuple[CameraSpec, ...] = ()
    roadside_lidars: tuple[LidarSpec, ...] = ()


@dataclass(frozen=True)
class CameraImage:
    """One camera's picture and its exact labels, all from the same rays.

    ``rgb`` uint8 [H, W, 3]; ``depth`` float32 [H, W], planar z in metres (sky: 1000); ``semantic`` uint8 [H, W],
    CARLA >= 0.9.14 tags; ``instance`` int32 [H, W], 0 for the static world and 1 + row in the actor table else.
    Labels are None where they were not asked for.
    """

    stamp_ns: int
    rgb: np.ndarray
    depth: np.ndarray | None = None
    semantic: np.ndarray | None = None
    instance: np.ndarray | None = None
