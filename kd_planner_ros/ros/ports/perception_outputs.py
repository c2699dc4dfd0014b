"""From Perceptions to the perceiver's topics: a picture a dense output, labels, colours, coloured points, calibration, numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import String

from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.colormaps import TURBO
from kd_planner_ros.imaging.dense_overlay import overlay
from kd_planner_ros.ros.adapters.foreign import ForeignPort
from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.ports.perception_motion import PerceptionMotion
from kd_planner_ros.ros.ports.perception_strips import PerceptionStrips
from kd_planner_ros.ros.qos import LATCHED, SENSOR_OUT, advertise
from kd_planner_ros.wire.codec.points import coloured_points

RESERVED = ("camera_info", "scalars", "ready", "points", "twist", "steering")
"""Names below ``perception/`` that are no outputs."""
PATIENT_PICTURES = 20
"""Pictures without depth after which it is told that there are no points."""


@dataclass(frozen=True)
class Wish:
    """What is offered beside the outputs: each in the colours of ``colormap`` over the picture, and points of every
    ``points_stride``-th pixel; strips in ``strips_dir``."""

    overlays: bool = True
    colormap: str = TURBO
    points: bool = False
    points_stride: int = 2
    strips_dir: str = ""
    strips_every_s: float = 5.0


class PerceptionOutputs:
    """Publishes each perception once, under its own stamp; silent while the node is not active. Pictures are only built while
    somebody listens. An output that a perception lacks is not sent, nor is a mask of which nothing is known.

    Args:
        first: a perception of the model, for the names and kinds of its outputs.

    Raises:
        PlannerError: an output has a name that no topic can have.
    """

    def __init__(self, node: Any, adapter: Any, first: Perception, wish: Wish, health: Health):
        self._node, self._adapter, self._health, self._wish = node, adapter, health, wish
        self._kinds = _kinds(first.outputs)
        for name in self._kinds:
            if not re.fullmatch("[a-z][a-z0-9_]*", name) or name in RESERVED:
                raise PlannerError("names of outputs in lower case letters, digits and _, other than " + ", ".join(RESERVED),
                                   repr(name), "rename the output in the network's decode()")

        def port(kind: type, topic: str) -> Any:
            return advertise(node, kind, topic, SENSOR_OUT, lifecycle=True)

        self._pictures = {name: port(Image, f"perception/{name}") for name in self._kinds}
        self._overlays = {name: port(Image, f"perception/{name}/overlay") for name in self._kinds if wish.overlays}
        self._info = port(CameraInfo, "perception_camera_info")
        self._points = port(PointCloud2, "perception_points") if wish.points and "depth" in self._kinds.values() else None
        self._without_depth = 0
        self._motion = PerceptionMotion(node, adapter, first)
        self._strips = PerceptionStrips(wish.strips_dir, wish.strips_every_s, health)
        self._labels: list[Any] = []
        self._label_infos: list[ForeignPort] = []
        for name, output in first.outputs.items():
            if output.labels:
                self._labels.append(advertise(node, String, f"perception/{name}/labels", LATCHED))
                self._labels[-1].publish(String(data=json.dumps(output.names)))
                self._label_infos.append(ForeignPort(node, "label_info", LATCHED, topic=f"perception/{name}/label_info"))
                self._label_infos[-1].publish(output.labels, 0, adapter.frame_id(first.camera), latched=True)

    def publish(self, seen: Perception, frame: Frame) -> None:
        """Send ``seen``, made of ``frame``.

        Raises:
            PlannerError: one of its outputs has another name or kind than the first one's.
        """
        kinds = _kinds(seen.outputs)
        if not kinds.items() <= self._kinds.items():
            raise PlannerError(f"outputs out of {_text(self._kinds)} from the perceiver", _text(kinds),
                               "give the same outputs for each frame")
        self._tell_unknown(seen)
        if seen.outputs:
            self._publish_info(seen, frame)
        for name, output in seen.outputs.items():
            if output.kind == "mask" and name in seen.unknown:
                continue
            self._publish_output(name, output, seen, frame)
        self._tell_points(seen)
        self._motion.publish(seen, frame)
        self._strips.take(seen, frame)

    def _publish_output(self, name: str, output: DenseOutput, seen: Perception, frame: Frame) -> None:
        if self._pictures[name].get_subscription_count():
            self._pictures[name].publish(self._adapter.to_msg(f"dense_{output.kind}", output, seen.stamp_ns, seen.camera))
        if seen.camera not in frame.images:
            return
        if name in self._overlays and self._overlays[name].get_subscription_count():
            drawn = overlay(frame.images[seen.camera], output, self._wish.colormap)
            self._overlays[name].publish(self._adapter.to_msg("image", drawn, seen.stamp_ns, seen.camera))
        if output.kind == "depth" and self._points is not None and self._points.get_subscription_count():
            spec = _calibration(seen, frame, output)
            if spec is not None:
                rows = coloured_points(output.array, spec, frame.images[seen.camera], self._wish.points_stride)
                self._points.publish(self._adapter.to_msg("perception_points", rows, seen.stamp_ns, seen.camera))

    def _tell_points(self, seen: Perception) -> None:
        """Say that there are no points because no depth has come for long: its part is off, or nearly."""
        if self._points is None:
            return
        self._without_depth = 0 if any(one.kind == "depth" for one in seen.outputs.values()) else self._without_depth + 1
        if self._without_depth >= PATIENT_PICTURES:
            self._health.set("points", WARN, f"no points: no depth for {PATIENT_PICTURES} pictures and more")
        else:
            self._health.clear("points")

    def _tell_unknown(self, seen: Perception) -> None:
        """Say of which outputs nothing is known, and why; an output that did not run has nothing to say."""
        reasons: dict[str, list[str]] = {}
        for name, reason in seen.unknown.items():
            reasons.setdefault(reason, []).append(name)
        if reasons:
            self._health.set("unknown", WARN, "; ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items()))
        elif seen.outputs or seen.scalars:
            self._health.clear("unknown")

    def _publish_info(self, seen: Perception, frame: Frame) -> None:
        if not self._info.get_subscription_count():
            return
        spec = _calibration(seen, frame, next(iter(seen.outputs.values())))
        if spec is None:
            self._health.set("calibration", WARN, f"no camera_info for the outputs: their shape is not that of camera '{seen.camera}', "
                                                  "and the perceiver gives no calibration")
            return
        self._health.clear("calibration")
        self._info.publish(self._adapter.to_msg("camera_info", spec, seen.stamp_ns, seen.camera))

    def fault(self, stamp_ns: int, name: str) -> None:
        """Nothing is sent where there is no perception: the diagnostics say why."""

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics."""
        return self._motion.values()

    def close(self) -> None:
        """Drop the publishers."""
        for condition in ("unknown", "points"):
            self._health.clear(condition)
        for one in (*self._pictures.values(), *self._overlays.values(), self._info, self._points):
            if one is not None:
                self._node.destroy_lifecycle_publisher(one)
        self._motion.close()
        for label in self._labels:
            self._node.destroy_publisher(label)
        for info in self._label_infos:
            info.close()


def _calibration(seen: Perception, frame: Frame, output: DenseOutput) -> CameraSpec | None:
    """The camera at the size of ``output``; None where it is not known."""
    return seen.calibration or scaled(frame.calibrations.get(seen.camera), output)


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
