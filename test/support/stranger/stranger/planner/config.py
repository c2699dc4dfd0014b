"""Facts of the planner."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, SensorRig

ENGINES = ("torch",)
STEP_S, STEPS, CANDIDATES, MEMORY = 0.5, 6, 3, 8


@dataclass(frozen=True)
class Config:
    """The camera as the recordings have it; the rate is that of the recorded pictures."""

    size: str = "tiny"
    camera_width: int = 64
    camera_height: int = 32
    camera_fov_deg: float = 100.0
    rate_hz: float = 10.0
    roadside_range_m: float = 150.0

    @property
    def rig(self) -> SensorRig:
        """One camera and the nearest roadside view, where there is one."""
        camera = CameraSpec("front", Pose(x=-1.5, z=2.0), self.camera_width, self.camera_height, self.camera_fov_deg, period_s=0.1)
        return SensorRig(cameras=(camera,), roadside=RoadsideWish(views=1, range_m=self.roadside_range_m))


CONFIGURATIONS = (Config(),)
