"""Names of the topics in a recording: CARLA's ROS bridge, and ours for the truth it does not publish.

The names themselves stand in ``wire/channels.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.wire.channels import CHANNELS, find_channel
from kd_planner_ros.wire.codec.base import MAP_FRAME

CLOCK = CHANNELS["clock"].topic
TF, TF_STATIC = CHANNELS["tf"].topic, CHANNELS["tf_static"].topic
WORLD_INFO = "/carla/world_info"
CARLA_OBJECTS = "/carla/objects"
LIGHT_STATUS, LIGHT_INFO = "/carla/traffic_lights/status", "/carla/traffic_lights/info"
TRUTH_OBJECTS = CHANNELS["objects"].topic
TRUTH_SIGNALS = CHANNELS["traffic_lights"].topic
TRUTH_STATE = CHANNELS["state"].topic
MAP_LINES = CHANNELS["map_lines"].topic
CAPTIONS = CHANNELS["captions"].topic
DIRECT, BEHIND_GATEWAY = "/carla", "/v2x"
"""What the topics of roadside stations begin with: as the stations send them, and behind a gateway."""
LABELS = ("depth", "semantic", "instance")
__all__ = ["BEHIND_GATEWAY", "CAPTIONS", "CARLA_OBJECTS", "CLOCK", "DIRECT", "LABELS", "LIGHT_INFO", "LIGHT_STATUS", "MAP_FRAME",
           "MAP_LINES", "TF", "TF_STATIC", "TRUTH_OBJECTS", "TRUTH_SIGNALS", "TRUTH_STATE", "WORLD_INFO", "Topics",
           "require_role_name", "roadside"]


def roadside(topic: str, beginning: str = DIRECT) -> str:
    """``topic`` of a roadside station, with another ``beginning``."""
    return beginning + topic.removeprefix(DIRECT)


def require_role_name(role: str) -> str:
    """``role``, which is part of every topic of the car.

    Raises:
        ConfigError: no topic can have such a part.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", role, re.ASCII):  # else rcl's parser ends every node with a sentence of its own
        raise ConfigError("a role name of letters, digits and underscores, no digit first", repr(role),
                          "correct --role-name (role_name of a node or a profile)")
    return role


@dataclass(frozen=True)
class Topics:
    """The bridge's names for one ego vehicle. ``cameras`` are pairs of a camera's name and the name that its topics have, where that
    is another."""

    role_name: str = "ego_vehicle"
    cameras: tuple[tuple[str, str], ...] = ()

    def recorded(self, camera: str) -> str:
        """The name that the topics of ``camera`` have."""
        return dict(self.cameras).get(camera, camera)

    def of(self, channel: str, sensor: str = "") -> str:
        """The topic of ``channel``, of one ``sensor`` where it has one a sensor.

        Raises:
            ConfigError: no such channel.
        """
        return find_channel(channel).topic.format(role=self.role_name, sensor=self.recorded(sensor))

    def frame_of(self, channel: str, sensor: str = "") -> str:
        """The frame id in the headers of ``channel``."""
        frame = find_channel(channel).frame
        return MAP_FRAME if frame is None else self.frame(frame.format(sensor=sensor))

    def sensor(self, sensor: str) -> str:
        """``/carla/<role>/<sensor>``."""
        return f"/carla/{self.role_name}/{sensor}"

    def frame(self, sensor: str = "") -> str:
        """The frame id: the vehicle's, or a sensor's."""
        return f"{self.role_name}/{sensor}" if sensor else self.role_name

    def image(self, camera: str) -> str:
        """A camera's picture."""
        return self.of("image", camera)

    def label(self, camera: str, kind: str) -> str:
        """The label ``kind`` of a camera: a camera of its own beside it, as CARLA mounts them."""
        return self.image(f"{self.recorded(camera)}_{kind}")

    def ids(self, camera: str) -> str:
        """Semantic class ids (``mono8``): the bridge has colours only."""
        return self.of("class_ids", camera)

    @property
    def odometry(self) -> str:
        """Pose and motion."""
        return self.of("odometry")

    @property
    def speed(self) -> str:
        """Speedometer."""
        return self.of("speedometer")

    @property
    def imu(self) -> str:
        """Inertial unit."""
        return self.of("imu")

    @property
    def gnss(self) -> str:
        """Satellite fix."""
        return self.of("gnss")

    @property
    def control(self) -> str:
        """What was executed."""
        return self.of("control")

    @property
    def route(self) -> str:
        """The dense plan with commands."""
        return self.of("route")

    @property
    def waypoints(self) -> str:
        """The dense plan without commands (carla_waypoint_publisher)."""
        return self.of("waypoints")
