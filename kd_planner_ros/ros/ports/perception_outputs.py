"""From Perceptions to the perceiver's topics: one picture per dense output, its labels, its calibration, the named numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import String

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.dense_overlay import overlay
from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.qos import LATCHED, SENSOR_OUT, STATE, advertise

RESERVED = ("camera_info", "scalars", "ready")
"""Names below ``perception/`` that are no outputs."""


class PerceptionOutputs:
    """Publishes each perception once, under its own stamp; silent while the node is not active. Pictures are only built while
    somebody listens.

    Args:
        first: a perception of the model, for the names and kinds of its outputs.
        overlays: whether to offer each output in colours over the picture.

    Raises:
        PlannerError: an output has a name that no topic can have.
    """

    def __init__(self, node: Any, adapter: Any, first: Perception, overlays: bool, health: Health):
        self._node, self._adapter, self._health = node, adapter, health
        self._kinds = _kinds(first.outputs)
        for name in self._kinds:
            if not re.fullmatch("[a-z][a-z0-9_]*", name) or name in RESERVED:
                raise PlannerError("names of outputs in lower case letters, digits and _, other than " + ", ".join(RESERVED),
                                   repr(name), "rename the output in the network's decode()")

        def port(kind: type, topic: str, profile: Any) -> Any:
            return advertise(node, kind, topic, profile, lifecycle=True)

        self._pictures = {name: port(Image, f"perception/{name}", SENSOR_OUT) for name in self._kinds}
        self._overlays = {name: port(Image, f"perception/{name}/overlay", SENSOR_OUT) for name in self._kinds if overlays}
        self._info = port(CameraInfo, "perception_camera_info", SENSOR_OUT)
        self._scalars = port(JointState, "perception_scalars", STATE)
        self._labels = []
        for name, output in first.outputs.items():
            if output.labels:
                self._labels.append(advertise(node, String, f"perception/{name}/labels", LATCHED))
                self._labels[-1].publish(String(data=json.dumps(dict(enumerate(output.labels)))))

    def publish(self, seen: Perception, frame: Frame) -> None:
        """Send ``seen``, made of ``frame``.

        Raises:
            PlannerError: its outputs have other names or kinds than the first one's.
        """
        if _kinds(seen.outputs) != self._kinds:
            raise PlannerError(f"outputs {_text(self._kinds)} from the perceiver", _text(_kinds(seen.outputs)),
                               "give the same outputs for each frame")
        self._publish_info(seen, frame)
        for name, output in seen.outputs.items():
            if self._pictures[name].get_subscription_count():
                self._pictures[name].publish(self._adapter.to_msg(f"dense_{output.kind}", output, seen.stamp_ns, seen.camera))
            if name in self._overlays and self._overlays[name].get_subscription_count() and seen.camera in frame.images:
                drawn = overlay(frame.images[seen.camera], output)
                self._overlays[name].publish(self._adapter.to_msg("image", drawn, seen.stamp_ns, seen.camera))
        if seen.scalars and self._scalars.get_subscription_count():
            self._scalars.publish(self._adapter.to_msg("scalars", dict(seen.scalars), seen.stamp_ns))

    def _publish_info(self, seen: Perception, frame: Frame) -> None:
        if not self._info.get_subscription_count() or not seen.outputs:
            return
        spec = seen.calibration or scaled(frame.calibrations.get(seen.camera), next(iter(seen.outputs.values())))
        if spec is None:
            self._health.set("calibration", WARN, f"no camera_info for the outputs: their shape is not that of camera '{seen.camera}', "
                                                  "and the perceiver gives no calibration")
            return
        self._health.clear("calibration")
        self._info.publish(self._adapter.to_msg("camera_info", spec, seen.stamp_ns, seen.camera))

    def fault(self, stamp_ns: int, name: str) -> None:
        """Nothing is sent where there is no perception: the diagnostics say why."""

    def close(self) -> None:
        """Drop the publishers."""
        for one in (*self._pictures.values(), *self._overlays.values(), self._info, self._scalars):
            self._node.destroy_lifecycle_publisher(one)
        for label in self._labels:
            self._node.destroy_publisher(label)


def scaled(camera: CameraSpec | None, output: DenseOutput) -> CameraSpec | None:
    """``camera`` at the size of ``output``; None where the output shows another section of the picture (its sides have another
    ratio, by more than one pixel) or the camera is unknown."""
    height, width = output.array.shape[:2]
    if camera is None or abs(height - width * camera.height / camera.width) > 1.0:
        return None
    return replace(camera, width=width, height=height)


def _kinds(outputs: Mapping[str, DenseOutput]) -> dict[str, str]:
    return {name: output.kind for name, output in outputs.items()}


def _text(kinds: Mapping[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "none"
