"""Names of the topics in a recording: CARLA's ROS bridge, and ours for the truth it does not publish."""

from __future__ import annotations

from dataclasses import dataclass

CLOCK = "/clock"
TF = "/tf"
MAP_FRAME = "map"
WORLD_INFO = "/carla/world_info"
TRUTH_OBJECTS = "/truth/objects"
TRUTH_SIGNALS = "/truth/signals"
TRUTH_STATE = "/truth/state"
LABELS = ("depth", "semantic", "instance")


@dataclass(frozen=True)
class Topics:
    """The bridge's names for one ego vehicle."""

    role_name: str = "ego_vehicle"

    def sensor(self, sensor: str) -> str:
        """``/carla/<role>/<sensor>``."""
        return f"/carla/{self.role_name}/{sensor}"

    def frame(self, sensor: str = "") -> str:
        """The frame id: the vehicle's, or a sensor's."""
        return f"{self.role_name}/{sensor}" if sensor else self.role_name

    def image(self, camera: str) -> str:
        """A camera's picture."""
        return self.sensor(f"{camera}/image")

    def label(self, camera: str, kind: str) -> str:
        """The label ``kind`` of a camera: a camera of its own beside it, as CARLA mounts them."""
        return self.image(f"{camera}_{kind}")

    def ids(self, camera: str) -> str:
        """Semantic class ids (``mono8``): the bridge has colours only."""
        return f"/truth/{camera}/semantic"

    @property
    def odometry(self) -> str:
        """Pose and motion."""
        return self.sensor("odometry")

    @property
    def speed(self) -> str:
        """Speedometer."""
        return self.sensor("speedometer")

    @property
    def imu(self) -> str:
        """Inertial unit."""
        return self.sensor("imu")

    @property
    def gnss(self) -> str:
        """Satellite fix."""
        return self.sensor("gnss")

    @property
    def control(self) -> str:
        """What was executed."""
        return self.sensor("vehicle_control_cmd")

    @property
    def route(self) -> str:
        """The dense plan with commands."""
        return self.sensor("global_plan")

    @property
    def waypoints(self) -> str:
        """The dense plan without commands (carla_waypoint_publisher)."""
        return self.sensor("waypoints")
