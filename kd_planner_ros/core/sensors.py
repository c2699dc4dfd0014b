"""What a planner declares it needs, what a world must mount, and what a camera gives back with its labels."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError


@dataclass(frozen=True)
class CameraSpec:
    """A pinhole camera; ``pose`` in ``base_link`` (in ``map`` for a roadside station's), x along the optical axis."""

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
class Station:
    """A roadside station: a mast with sensors that belongs to the map, not to a vehicle.

    Attributes:
        id: unique in the map; its topics are ``/carla/<id>/...``.
        pose: foot of the mast in ``map``, its yaw towards the middle of what it watches.
        cameras: poses in ``map``; ids unique within the station.
        lidars: poses in ``map``; ids unique within the station.
        range_m: a car further from the foot of the mast receives nothing.
    """

    id: str
    pose: Pose
    cameras: tuple[CameraSpec, ...] = ()
    lidars: tuple[LidarSpec, ...] = ()
    range_m: float = 150.0


@dataclass(frozen=True)
class RoadsideWish:
    """What a model wants of the roadside stations around the car.

    Attributes:
        views: at most so many stations, the nearest first.
        range_m: none further away than this, metres from the car to the foot of the mast.
        max_age_s: a view older than this counts as missing.
        objects: whether the stations' object lists are wanted.
        pictures: whether their pictures are wanted. A model that reads lists alone gets those of the nearest stations, whatever their
            cameras show.
    """

    views: int = 1
    range_m: float = 150.0
    max_age_s: float = 0.5
    objects: bool = False
    pictures: bool = True

    def hears(self, lists: bool) -> bool:
        """Whether object lists (``lists``) or pictures are wanted."""
        return self.objects if lists else self.pictures


@dataclass(frozen=True)
class SensorRig:
    """What a model asks of the vehicle and of the roadside.

    Attributes:
        cameras: on the vehicle, poses in ``base_link``.
        lidars: on the vehicle, poses in ``base_link``.
        history_s: ages of the earlier frames that it wants beside the newest one, seconds before it, each above 0.
        roadside: what it wants of roadside stations; None: nothing.
        needs_route: whether it needs a navigation goal; without it ``Frame.goal`` may be None.
        route_optional: whether a model that wants a goal can do without one where nobody gives a route; it says what it does then.
        scene: whether it reads the scene itself (``Frame.scene``): a privileged planner. A vehicle's graph has none.
        optional: ids of the sensors that may be missing from a frame; never the first one, which triggers.
        min_cameras: a frame with pictures of fewer cameras is no input of the model, whichever of the ``optional`` ones are missing.
        placed: whether it reads where its cameras behind the first are and what they see: recordings and vehicles may have them
            elsewhere.
        phases: whether it wants the signal phases that stations report and a gateway lets through (``Frame.phases``).
    """

    cameras: tuple[CameraSpec, ...] = ()
    lidars: tuple[LidarSpec, ...] = ()
    history_s: tuple[float, ...] = ()
    roadside: RoadsideWish | None = None
    needs_route: bool = True
    scene: bool = False
    optional: tuple[str, ...] = ()
    phases: bool = False
    route_optional: bool = False
    placed: bool = False
    min_cameras: int = 0

    def __post_init__(self):
        if bad := [age_s for age_s in self.history_s if not (math.isfinite(age_s) and age_s > 0.0)]:
            raise ConfigError("history_s: seconds before the newest frame, each above 0", f"{bad[0]}", "correct the model's rig")
        sensors = [*(camera.id for camera in self.cameras), *(lidar.id for lidar in self.lidars)]
        if unknown := sorted(set(self.optional) - set(sensors[1:])):
            raise ConfigError("optional: ids of sensors of the rig behind the first", unknown[0], "correct the model's rig")

    def fed_by(self, images: Collection[str], clouds: Collection[str]) -> bool:
        """Whether every sensor of the vehicle that may not be missing is among those of these ids, and enough of the cameras."""
        if sum(spec.id in images for spec in self.cameras) < self.min_cameras:
            return False
        needed = [spec for spec in self.cameras if spec.id not in self.optional]
        return all(spec.id in images for spec in needed) and all(spec.id in clouds for spec in self.lidars if spec.id not in self.optional)


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
