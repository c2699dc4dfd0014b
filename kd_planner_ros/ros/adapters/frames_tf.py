"""The tree of frames: ``map`` to the vehicle, and the vehicle to its sensors."""

from __future__ import annotations

from typing import Any

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.geometry.attitude import optical
from kd_planner_ros.wire.codec.base import MAP_FRAME
from kd_planner_ros.wire.codec.motion import Mount


def vehicle_mount(adapter: Any, ego: Pose) -> Mount:
    """Where the vehicle is in one tick."""
    return Mount(MAP_FRAME, adapter.frame_id(), ego)


def sensor_mounts(adapter: Any, rig: SensorRig) -> list[Mount]:
    """The frames that stand on the vehicle, ``imu`` and ``gnss`` at its origin. Camera frames are optical although their names do not
    say so, as with the bridge."""
    vehicle, frame = adapter.frame_id(), adapter.frame_id
    return [*(Mount(vehicle, frame(spec.id), optical(spec.pose)) for spec in rig.cameras),
            *(Mount(vehicle, frame(spec.id), spec.pose) for spec in rig.lidars),
            *(Mount(vehicle, frame(name), Pose()) for name in ("imu", "gnss"))]
