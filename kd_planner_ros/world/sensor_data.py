"""What ``World.sense`` gives back: pictures, clouds, roadside views, and IMU and GNSS readings with optional noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kd_planner_ros.core.ego import EgoState, NavigationGoal
from kd_planner_ros.core.frames import FrameMaker
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraImage, SensorRig
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.frames import map_to_gnss, yaw_to_compass

GRAVITY_MPS2 = 9.81


@dataclass(frozen=True)
class SensorNoise:
    """Standard deviations. Default: none, as PlanKD, InterFuser and TCP drive; ``LEADERBOARD_NOISE`` is the official
    board's."""

    gnss_deg: float = 0.0
    accelerometer_mps2: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gyroscope_rps: float = 0.0


LEADERBOARD_NOISE = SensorNoise(5e-6, (0.001, 0.001, 0.015), 0.001)


@dataclass(frozen=True)
class ImuReading:
    """Specific force [3] in m/s^2 (9.81 up at rest) and turn rates [3] in rad/s in ``base_link``; ``yaw`` is the ENU
    heading, ``compass`` CARLA's (0 = north, clockwise), both in radians."""

    acceleration: np.ndarray
    angular_velocity: np.ndarray
    yaw: float
    compass: float


@dataclass(frozen=True)
class GnssReading:
    """Degrees and metres."""

    latitude: float
    longitude: float
    altitude: float = 0.0


@dataclass(frozen=True)
class SensorData:
    """What the sensors due at ``stamp_ns`` measured; a sensor that is not due is missing.

    Attributes:
        images: the vehicle's pictures by camera id.
        clouds: the vehicle's LiDARs by id, float32 [N, 4] in the sensor's frame.
        roadside: views of the stations due at this tick, nearest station first, none of them old.
    """

    stamp_ns: int
    images: Mapping[str, CameraImage] = field(default_factory=dict)
    clouds: Mapping[str, np.ndarray] = field(default_factory=dict)
    imu: ImuReading | None = None
    gnss: GnssReading | None = None
    roadside: tuple[RoadsideView, ...] = ()

    def frame(self, rig: SensorRig, ego: EgoState, goal: NavigationGoal | None, maker: FrameMaker | None = None) -> Frame:
        """What a model with ``rig`` is given: its own sensors of those measured, and the roadside views that it asks for.

        Args:
            maker: remembers earlier frames and roadside views over a drive; None: this instant is all that counts.
        """
        maker = FrameMaker(rig) if maker is None else maker
        self.hear(maker)
        images = {spec.id: self.images[spec.id].rgb for spec in rig.cameras if spec.id in self.images}
        clouds = {spec.id: self.clouds[spec.id] for spec in rig.lidars if spec.id in self.clouds}
        return maker.make(ego, goal, images, clouds)

    def hear(self, maker: FrameMaker) -> None:
        """Let ``maker`` keep the roadside views for later frames; a no-op where its model wants none."""
        for view in self.roadside if maker.roadside is not None else ():
            maker.roadside.take(view)


def read_imu(ego: EgoState, force_mps2: tuple[float, float], rng: np.random.Generator,
             noise: SensorNoise) -> ImuReading:
    """The IMU's reading; ``force_mps2`` is the mean acceleration along x and y of ``base_link`` over the tick."""
    acceleration = np.array([*force_mps2, GRAVITY_MPS2])
    turning = np.array([0.0, 0.0, ego.yaw_rate_rps])
    if any(noise.accelerometer_mps2):
        acceleration = acceleration + rng.normal(0.0, noise.accelerometer_mps2)
    if noise.gyroscope_rps:
        turning = turning + rng.normal(0.0, noise.gyroscope_rps, 3)
    return ImuReading(acceleration, turning, ego.pose.yaw, yaw_to_compass(ego.pose.yaw))


def read_gnss(ego: EgoState, rng: np.random.Generator, noise: SensorNoise) -> GnssReading:
    """The GNSS reading of the ego's centre."""
    latitude, longitude = map_to_gnss(np.array([ego.pose.x, ego.pose.y]))
    if noise.gnss_deg:
        latitude, longitude = np.array([latitude, longitude]) + rng.normal(0.0, noise.gnss_deg, 2)
    return GnssReading(float(latitude), float(longitude))
