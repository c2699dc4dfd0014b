"""CARLA's ROS bridge (master): which of its messages travel in a graph. The built-in world speaks the same.

How messages become records is the codec's business (``wire/channels.py``): ``to_msg`` and ``from_msg`` serve every channel.
``Adapter`` is what nodes hold; other profiles override what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from sensor_msgs.msg import JointState

from kd_planner_ros.core.ego import EgoState
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.encodings import ENCODINGS
from kd_planner_ros.ros.adapters.optional import missing_sentence, rgb_by_cv_bridge
from kd_planner_ros.ros.messages import find_type, make
from kd_planner_ros.wire.channels import Encode, find_channel
from kd_planner_ros.wire.codec.base import MAP_FRAME
from kd_planner_ros.wire.codec.motion import SPEEDOMETER, control_of, require_finite


class Adapter:
    """Messages of one outside system. ``carla_version`` is for the diagnostics: what CARLA renumbered is read by its colours,
    which stayed apart (imaging/palette.py).

    Args:
        mounted: sensor of the model -> name that it is mounted under, where that is another one.
        refused: message types that this system does not send although their package is installed.
    """

    profile = "carla_bridge"
    refused: tuple[str, ...] = (SPEEDOMETER,)
    max_steer_rad = 1.22
    """Steering angle of the wheels at full lock, for messages in radians. The controller sets its parameter here, and so must a reader
    that wants the controller's wish back; a vehicle, such as the built-in world's, has its own."""
    reports: Mapping[str, tuple[str, Callable[[Any], None]]] = {}
    """Port -> (message type, what takes its messages): reports of the vehicle beside odometry."""

    def __init__(self, role_name: str = "ego_vehicle", carla_version: str = "0.9.13"):
        self.role_name, self.carla_version = role_name, carla_version
        self.mounted: Mapping[str, str] = {}
        self._formats: dict[str, tuple[str, Encode]] = {}
        self.control_type, self.route_type = self.type_of("control"), self.type_of("route")
        self.speed_type = self.type_of("speedometer")

    # --- names -------------------------------------------------------------------------------------------------------

    def frame_id(self, sensor: str = "") -> str:
        """The frame of a sensor, or of the vehicle: the topic's prefix without ``/carla/``."""
        return f"{self.role_name}/{self.mounted.get(sensor, sensor)}" if sensor else self.role_name

    def type_of(self, channel: str) -> Any:
        """The message class of a channel: CARLA's own where its package is installed, else the common one; None where that
        one's package is not installed either (tf2_msgs)."""
        return find_type(self._format(channel)[0])

    def _format(self, channel: str) -> tuple[str, Encode]:
        if channel not in self._formats:  # a failed import is looked for anew each time
            known = find_channel(channel)
            self._formats[channel] = known.format(lambda kind: kind not in self.refused and find_type(kind) is not None)
        return self._formats[channel]

    def notes(self) -> dict[str, str]:
        """What the diagnostics say about the message types in use."""
        facts = {"profile": self.profile, "carla version": self.carla_version, "control message": _full_name(self.control_type),
                 "route message": _full_name(self.route_type)}
        if self.control_type is JointState:
            facts["carla_msgs"] = missing_sentence(
                "carla_msgs", "control travels as sensor_msgs/JointState, which CARLA's bridge does not read")
        return facts

    # --- every channel -----------------------------------------------------------------------------------------------

    def to_msg(self, channel: str, record: Any, stamp_ns: int, sensor: str = "") -> Any:
        """``record`` as the message of a channel of ``wire/channels.py``, in the frame that this system gives it.

        Raises:
            ConfigError: no such channel.
            SensorError: a record that the message cannot hold.
        """
        frame = find_channel(channel).frame
        frame_id = MAP_FRAME if frame is None else self.frame_id(frame.format(sensor=sensor))
        return self._format(channel)[1](make, record, stamp_ns, frame_id)

    def from_msg(self, channel: str, message: Any) -> Any:
        """The record in ``message``.

        Raises:
            SensorError: a message that cannot be read.
        """
        return find_channel(channel).decode(message)

    # --- those that nodes check --------------------------------------------------------------------------------------

    def control_to_msg(self, control: Control) -> Any:
        """The command for the vehicle."""
        return self.to_msg("control", control, control.stamp_ns)

    def control_from_msg(self, message: Any) -> Control:
        """The command in ``message``, steer positive LEFT. A hand brake counts as the whole brake.

        Raises:
            SensorError: a JointState without throttle, steer and brake, or throttle in reverse: forward would be the wrong way.
        """
        control = control_of(message)
        if getattr(message, "reverse", False) and control.throttle > 0.0:
            raise SensorError("a control that drives forward", "throttle in reverse", "send one with reverse false")
        return replace(control, brake=1.0) if getattr(message, "hand_brake", False) else control

    def odometry_to_msg(self, ego: EgoState) -> Any:
        """Odometry as the bridge sends it."""
        return self.to_msg("odometry", ego, ego.stamp_ns)

    def odometry_from_msg(self, message: Any) -> EgoState:
        """The ego state in ``message``; its speed is exact on slopes too, where the bridge's own twist is not.

        Raises:
            SensorError: a number that is not finite.
        """
        return require_finite(self.from_msg("odometry", message))

    def image_to_msg(self, rgb: np.ndarray, stamp_ns: int, sensor: str) -> Any:
        """RGB uint8 [H, W, 3] as ``bgra8``."""
        return self.to_msg("image", rgb, stamp_ns, sensor)

    def image_from_msg(self, message: Any, spec: CameraSpec | None = None) -> np.ndarray:
        """RGB uint8 [H, W, 3] of an Image or a CompressedImage; ``spec`` also checks the size.

        Raises:
            SensorError: an encoding that is no colour image, or a wrong size.
        """
        plain = hasattr(message, "encoding")
        if spec is not None and plain:
            _require_size(spec, message.width, message.height)
        rgb = rgb_by_cv_bridge(message) if plain and message.encoding not in ENCODINGS else self.from_msg("image", message)
        if spec is not None:
            _require_size(spec, rgb.shape[1], rgb.shape[0])
        return rgb

    def cloud_from_msg(self, message: Any, sensor: str = "the LiDAR") -> np.ndarray:
        """Points float32 [N, 4]; rows that are not finite are left out.

        Raises:
            SensorError: a field is missing, or no finite point is left.
        """
        points = self.from_msg("cloud", message)
        if not len(points):
            raise SensorError(f"points from {sensor}", f"{message.width * message.height} points, none of them finite",
                              "check the LiDAR and its driver")
        return points

    def route_to_msg(self, route: Route) -> Any:
        """The dense plan for the latched route topic: carla_msgs/CarlaRoute, or a table where it is not installed."""
        return self.to_msg("route", route, 0)

    def route_from_msg(self, message: Any) -> Route:
        """The dense plan in ``message``, with commands where the message has them."""
        return self.from_msg("route", message)


def _require_size(spec: CameraSpec, width: int, height: int) -> None:
    if (width, height) != (spec.width, spec.height):
        raise SensorError(f"{spec.width}x{spec.height} pixels from camera {spec.id!r}", f"{width}x{height}",
                          "spawn the sensors from the model's sensor file")


def _full_name(kind: type) -> str:
    return f"{kind.__module__.split('.')[0]}/{kind.__name__}"
