"""What the vehicle says of its sensors: ``camera_info`` and its frames, compared with what the model declares.

Frames come on ``/tf_static``, or on ``/tf``, where CARLA's bridge sends those of sensors again and again. Of ``/tf`` only frames that hang
off the vehicle count: in ``map`` everything moves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.geometry.attitude import mounted, optical
from kd_planner_ros.geometry.calibration import Gap, Limits, intrinsics_gap, mount_gap
from kd_planner_ros.ros.diagnostics import ERROR, WARN, Health
from kd_planner_ros.ros.lifecycle import guarded
from kd_planner_ros.ros.qos import SENSOR_IN, STATE, STATIC, subscribe
from kd_planner_ros.wire.channels import find_channel
from kd_planner_ros.wire.codec.base import MAP_FRAME
from kd_planner_ros.wire.codec.motion import Mount
from kd_planner_ros.wire.codec.pictures import camera_of
from kd_planner_ros.wire.frame_tree import FrameTree

PATIENT_FRAMES = 20
"""Pictures without a camera_info after which its absence is told; pictures after which a change of it is told no longer."""
REMEDY = "mount the sensor that the model declares, or train a model for this one"


class CalibrationInputs:
    """Raises the conditions ``intrinsics of SENSOR`` and ``mounting of SENSOR`` where a sensor is not what the model declares: a
    warning with both numbers, and an error above ``limits``, whatever the node. ``specs`` holds the declared cameras, or those of
    ``camera_info`` where that replaces them. Of a rig that is ``placed`` the cameras are what the vehicle tells, by ``camera_info`` and
    its frames, and one behind the first that is elsewhere than declared is a warning, as in a recording (``bags/cameras.py``).

    Args:
        replaces: whether the intrinsics in ``camera_info`` replace the declared ones. The model was not trained for others: a
            difference is told all the same, and so is a camera without ``camera_info``.
        mounts: poses in ``base_link`` of cameras of a ``placed`` rig, until a frame tells.
        on_change: called when the intrinsics that replace the declared ones change, after the first that came.
    """

    def __init__(self, node: Any, adapter: Any, rig: SensorRig, health: Health, limits: Limits, replaces: bool,
                 on_change: Callable[[], None] = lambda: None, mounts: Mapping[str, Pose] = MappingProxyType({})):
        replaces = replaces or rig.placed
        self._placed = frozenset(spec.id for spec in rig.cameras) if rig.placed else frozenset()
        self._beside = self._placed - {spec.id for spec in rig.cameras[:1]}
        self._replaces, self._on_change, self._frames_seen = replaces, on_change, 0
        self._node, self._adapter, self._health, self._limits = node, adapter, health, limits
        self.specs: Mapping[str, CameraSpec] = {spec.id: spec for spec in rig.cameras}
        self._tree, self._seen = FrameTree(), {spec.id: "" for spec in rig.cameras}
        self._frames: dict[str, Pose] = {**{spec.id: optical(spec.pose) for spec in rig.cameras},
                                         **{spec.id: spec.pose for spec in rig.lidars}}
        self._static: set[str] = set()
        self._mounts: dict[str, Pose] = {}
        for name in self._placed & mounts.keys():
            self._place(name, optical(mounts[name]), "the planner's camera_mounts")
        self._changed: dict[str, int] = {}
        self._subscriptions = []
        if getattr(adapter, "trusts_camera_info", True):
            self._subscriptions += [self._port(CameraInfo, f"{spec.id}/camera_info", self._info_callback(spec, replaces), SENSOR_IN)
                                    for spec in rig.cameras]
        kind = adapter.type_of("tf_static")
        if kind is not None and self._frames:
            self._subscriptions += [self._port(kind, "tf_static", self._take_static, STATIC),
                                    self._port(kind, "tf", self._take_moving, STATE)]

    def specs_of(self, images: Mapping[str, np.ndarray]) -> Mapping[str, CameraSpec]:
        """The cameras of a frame with these pictures.

        Raises:
            SensorError: a camera's ``camera_info`` is of pictures of another size.
        """
        specs = self.specs
        for name, image in images.items():
            size, told = image.shape[1::-1], (specs[name].width, specs[name].height)
            if size != told:
                raise SensorError(f"camera_info of {size[0]}x{size[1]} pixels, as the pictures of camera '{name}'", f"{told[0]}x{told[1]}",
                                  "let the camera's driver or the node that scales its pictures send the camera_info that belongs to them")
        self._frames_seen += 1
        for name, frame in list(self._changed.items()):
            if self._frames_seen - frame >= PATIENT_FRAMES:
                self._changed.pop(name)
                self._health.clear(f"change of {name}")
        if self._replaces and self._subscriptions and self._frames_seen == PATIENT_FRAMES:
            for name in (one for one, text in self._seen.items() if not text):
                self._health.set(f"camera_info of {name}", WARN, f"sensor {name}: no message on "
                                 f"{self._node.resolve_topic_name(f'{name}/camera_info')} beside {PATIENT_FRAMES} pictures: "
                                 "the model's calibration is used")
        return specs

    def values(self) -> dict[str, Any]:
        """Facts for the diagnostics."""
        return {"camera_info compared": sum(1 for one in self._seen.values() if one),
                "mounts compared": f"{len(self._mounts)} of {len(self._frames)}"}

    def close(self) -> None:
        """Drop the subscriptions and what they found."""
        for one in self._subscriptions:
            self._node.destroy_subscription(one)
        for sensor in self._frames:
            for kind in ("intrinsics", "mounting", "camera_info", "change"):
                self._health.clear(f"{kind} of {sensor}")

    def _port(self, kind: type, topic: str, work: Callable[[Any], None], profile: Any) -> Any:
        return subscribe(self._node, kind, topic, guarded(self._health, work, name=topic), profile,
                         lambda sentence: self._health.set("qos", WARN, sentence))

    def _info_callback(self, declared: CameraSpec, replaces: bool) -> Callable[[Any], None]:
        def take(message: CameraInfo) -> None:
            told = repr((list(message.k), list(message.d), message.width, message.height))
            before = self._seen[declared.id]
            if told == before:
                return
            self._seen[declared.id] = told
            self._health.clear(f"camera_info of {declared.id}")
            self._tell(declared.id, "intrinsics", intrinsics_gap(declared, message, self._limits.focal_share))
            if replaces:  # a new dictionary: the worker thread may be reading the old one
                self.specs = {**self.specs, declared.id: calibrated(self.specs[declared.id], message)}
                if before:
                    self._tell_change(declared.id, message)

        return take

    def _tell_change(self, sensor: str, message: CameraInfo) -> None:
        """A pair of pictures through two lenses is none: the model begins anew."""
        self._health.set(f"change of {sensor}", WARN, f"sensor {sensor}: camera_info changed while the node runs, to {message.width}x"
                         f"{message.height} pixels and focal lengths {message.k[0]:.1f} and {message.k[4]:.1f} px; the model began anew")
        self._changed[sensor] = self._frames_seen
        self._on_change()

    def _take_static(self, message: Any) -> None:
        mounts = find_channel("tf_static").decode(message)
        self._static |= {one.child.lstrip("/") for one in mounts}
        self._take_frames("tf_static", mounts)

    def _take_moving(self, message: Any) -> None:
        mounts = [one for one in find_channel("tf").decode(message)
                  if one.parent.lstrip("/") != MAP_FRAME and one.child.lstrip("/") not in self._static]
        if mounts:
            self._take_frames("tf", mounts)

    def _take_frames(self, topic: str, mounts: Sequence[Mount]) -> None:
        self._tree.add(mounts)
        for sensor in self._frames:
            told = self._tree.find(self._adapter.frame_id(sensor), self._adapter.frame_id())
            if told is not None and told != self._mounts.get(sensor):
                self._mounts[sensor] = told
                self._place(sensor, told, topic)

    def _place(self, sensor: str, told: Pose, source: str) -> None:
        """``sensor`` has the frame ``told`` by ``source``: compare it, and take it where the model reads it."""
        self._tell(sensor, "mounting", mount_gap(self._frames[sensor], told, self._limits.mount_m, self._limits.mount_deg, source))
        if sensor in self._placed:  # a new dictionary: the worker thread may be reading the old one
            self.specs = {**self.specs, sensor: replace(self.specs[sensor], pose=mounted(told))}

    def _tell(self, sensor: str, kind: str, gap: Gap | None) -> None:
        name = f"{kind} of {sensor}"
        if gap is None:
            self._health.clear(name)
        elif sensor in self._beside:
            self._health.set(name, WARN, f"sensor {sensor}: {gap.text}; the model reads it where it is")
        else:
            self._health.set(name, ERROR if gap.size > 1.0 else WARN, f"sensor {sensor}: {gap.text}; {REMEDY}")


def calibrated(declared: CameraSpec, info: CameraInfo) -> CameraSpec:
    """``declared`` with the size and the horizontal field of view in ``info``; unchanged where ``info`` has none that can be."""
    try:
        told = camera_of(info)
    except SensorError:
        return declared
    return replace(declared, width=told.width, height=told.height, fov_deg=told.fov_deg)
