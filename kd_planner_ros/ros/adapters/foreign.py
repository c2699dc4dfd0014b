"""Message types of other systems that a port uses where their package is importable. One table: port -> type and converter.

None of these packages is on PyPI. Where one is absent its port does not open; the same facts travel on a port of our own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kd_planner_ros.ros.messages import find_type, make
from kd_planner_ros.ros.qos import advertise
from kd_planner_ros.wire.codec import autoware, autoware_objects, carla, vision

FOREIGN: dict[str, tuple[str, Callable[..., Any]]] = {
    "objects": (carla.OBJECTS, carla.object_array),
    "traffic_lights": (carla.LIGHT_STATES, carla.light_states),
    "traffic_lights_info": (carla.LIGHT_INFOS, carla.light_infos),
    "label_info": (vision.LABEL_INFO, vision.label_info),
    "detections_3d": (vision.DETECTIONS_3D, vision.detections_3d),
    "autoware_trajectory": (autoware.TRAJECTORY, autoware.trajectory),
    "autoware_candidates": (autoware.CANDIDATES, autoware.candidates),
    "autoware_objects": (autoware_objects.PREDICTED, autoware_objects.predicted_objects),
}
"""Port -> (message type, (make, record, stamp in ns, frame id) -> message)."""


class ForeignPort:
    """A publisher of a type of ``FOREIGN``; closed where its package is not importable. ``topic`` is its port where one type has
    several."""

    def __init__(self, node: Any, name: str, profile: Any, lifecycle: bool = False, topic: str = ""):
        self._kind, self._encode = FOREIGN[name]
        found = find_type(self._kind)
        self._node, self._lifecycle = node, lifecycle
        self._publisher = None if found is None else advertise(node, found, topic or name, profile, lifecycle)

    @property
    def wanted(self) -> bool:
        """Whether the message package is there and somebody listens."""
        return self._publisher is not None and self._publisher.get_subscription_count() > 0

    def publish(self, record: Any, stamp_ns: int, frame: str, latched: bool = False) -> None:
        """Send ``record`` where somebody listens, or may come later (``latched``)."""
        if self.wanted or (latched and self._publisher is not None):
            self._publisher.publish(self._encode(make, record, stamp_ns, frame))

    def close(self) -> None:
        """Drop the publisher."""
        if self._publisher is not None:
            (self._node.destroy_lifecycle_publisher if self._lifecycle else self._node.destroy_publisher)(self._publisher)
