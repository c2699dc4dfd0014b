"""Facts of the perception network."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec, SensorRig

ROLE = "perceiver"
ENGINES = ("torch",)
BEFORE_S = 0.1
CLASSES = 4
LABELS = ("others", "road", "vehicle", "pedestrian")
MAX_DEPTH_M = 100.0


@dataclass(frozen=True)
class Config:
    """The camera as the recordings have it; the network looks at it 10 times a second, and 0.1 s back."""

    size: str = "tiny"
    camera_width: int = 64
    camera_height: int = 32
    camera_fov_deg: float = 100.0
    rate_hz: float = 10.0

    @property
    def rig(self) -> SensorRig:
        """One camera with a memory of one frame; no route."""
        camera = CameraSpec("front", Pose(x=-1.5, z=2.0), self.camera_width, self.camera_height, self.camera_fov_deg, period_s=0.1)
        return SensorRig(cameras=(camera,), history_s=(BEFORE_S,), needs_route=False)


CONFIGURATIONS = (Config(),)
