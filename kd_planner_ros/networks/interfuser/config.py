"""Facts of an InterFuser network: size, inputs, sensors. Stored in the card, read back by the loader."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, SensorRig


@dataclass(frozen=True)
class InterFuserSize:
    """One row of PlanKD's Table 5: backbones, layers N of encoder and of decoder, embedding width d.

    ``paper_gmacs`` is what a count of ours must come to; ``paper_gflops`` is the figure that the paper prints, which
    counts the backbone several times and attention not at all: no target.
    """

    rgb_backbone: str
    lidar_backbone: str
    layers: int
    width: int
    parameters: int
    paper_gmacs: float
    paper_gflops: float
    paper_ms: float  # RTX 3090


SIZES = {
    "52.9m": InterFuserSize("resnet50d", "resnet18d", 6, 256, 52_935_567, 16.26, 46.51, 78.3),
    "26.3m": InterFuserSize("resnet18d", "resnet18d", 3, 128, 26_384_527, 7.36, 25.52, 39.7),
    "11.7m": InterFuserSize("resnet10", "resnet10", 3, 64, 11_674_575, 3.23, 11.12, 22.8),
    "3.8m": InterFuserSize("resnet6", "resnet6", 2, 64, 3_848_143, 2.10, 7.21, 17.2),
}

WAYPOINTS = 10
MAP_CELLS = 20
"""Rows and columns of the traffic map, one metre each."""
MAP_CHANNELS = 7
MAP_AHEAD_M = 18.0
"""Where the map's first row begins, metres before the car; it is centred on the car to the sides."""
_FRONT = (341, 256, 224)  # scaled width and height, central crop
_SIDE = (195, 146, 128)
_FOCUS_SHARE = 128 / 800
"""Part of the front picture's width that the focus view shows: 128 unscaled pixels of 800."""


@dataclass(frozen=True)
class InterFuserConfig:
    """One InterFuser network. The number of parameters does not depend on the sizes of the inputs.

    Smaller inputs keep the fields of view: pictures are scaled by ``front_px`` / 224 and ``side_px`` / 128 before they
    are cropped, and the focus view shows the same part of the front picture. ``lidar_*`` describe the histogram: the
    first axis covers ``lidar_left_from_m`` ... ``lidar_left_to_m`` and grows to the LEFT of the car (to the right with
    ``lidar_flip``), the second ``lidar_ahead_m`` ... 0 ahead of the sensor, both in ``lidar_px`` bins.
    ``legacy_peaks`` finds objects with the original's oversight (``driving/safety/peaks.py``).
    """

    size: str = "26.3m"
    front_px: int = 224
    side_px: int = 128
    focus_px: int = 128
    lidar_px: int = 224
    camera_width: int = 800
    camera_height: int = 600
    side_width: int = 400
    side_height: int = 300
    camera_fov_deg: float = 100.0
    front_id: str = "front"
    left_id: str = "left"
    right_id: str = "right"
    lidar_id: str = "lidar"
    lidar_left_from_m: float = -28.0
    lidar_left_to_m: float = 29.0
    lidar_ahead_m: float = 28.0
    lidar_split_m: float = -2.0
    lidar_cap: int = 5
    lidar_flip: bool = False
    legacy_peaks: bool = False
    rate_hz: float = 10.0

    def __post_init__(self):
        if self.size not in SIZES:
            raise ConfigError(f"an InterFuser size out of {', '.join(SIZES)}", repr(self.size), "correct 'size'")
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_px", "_width", "_height")) and not (
                    isinstance(value, int) and 32 <= value <= 4096):
                raise ConfigError(f"{field.name} between 32 and 4096 pixels", repr(value), f"correct '{field.name}'")
        for width, height in ((self.camera_width, self.camera_height), (self.side_width, self.side_height)):
            if abs(width / height - 4.0 / 3.0) > 0.02:
                raise ConfigError("cameras with the aspect ratio 4:3", f"{width}x{height}", "correct the cameras' sizes")
        if not (self.lidar_left_from_m < self.lidar_left_to_m and self.lidar_ahead_m > 0.0 and 1 <= self.lidar_cap <= 255):
            raise ConfigError("a LiDAR histogram larger than zero, with a cap from 1 to 255",
                              f"{self.lidar_left_from_m} ... {self.lidar_left_to_m} m, {self.lidar_ahead_m} m ahead, "
                              f"cap {self.lidar_cap}", "correct 'lidar_...'")

    @property
    def spec(self) -> InterFuserSize:
        """The row of the table."""
        return SIZES[self.size]

    @property
    def front_scaled(self) -> tuple[int, int]:
        """Width and height that the front picture is scaled to before it is cropped: (341, 256)."""
        return _scaled(_FRONT, self.front_px)

    @property
    def side_scaled(self) -> tuple[int, int]:
        """The same of the side pictures: (195, 146)."""
        return _scaled(_SIDE, self.side_px)

    @property
    def focus_share(self) -> float:
        """Width of the focus view as a part of the front picture's."""
        return _FOCUS_SHARE

    @property
    def view_px(self) -> dict[str, int]:
        """Side of the square that the network sees of each view, in the order of its tokens."""
        return {"front": self.front_px, "left": self.side_px, "right": self.side_px, "focus": self.focus_px,
                "lidar": self.lidar_px}

    @property
    def lidar_spec(self) -> LidarSpec:
        """The LiDAR: turned a quarter to the left, one whole turn a message. A source whose messages hold half a turn
        is served too (``processor.py``)."""
        return LidarSpec(self.lidar_id, Pose(x=1.3, z=2.5, yaw=math.pi / 2.0), period_s=1.0 / self.rate_hz)

    @property
    def rig(self) -> SensorRig:
        """The sensors the planner needs: cameras ahead and 60 degrees to both sides, a LiDAR."""
        def camera(name: str, yaw_deg: float, width: int, height: int) -> CameraSpec:
            return CameraSpec(name, Pose(x=1.3, z=2.3, yaw=math.radians(yaw_deg)), width, height, self.camera_fov_deg,
                              period_s=1.0 / self.rate_hz)

        return SensorRig(cameras=(
            camera(self.front_id, 0.0, self.camera_width, self.camera_height),
            camera(self.left_id, 60.0, self.side_width, self.side_height),
            camera(self.right_id, -60.0, self.side_width, self.side_height)), lidars=(self.lidar_spec,))


def _scaled(original: tuple[int, int, int], pixels: int) -> tuple[int, int]:
    width, height, crop = original
    return round(width * pixels / crop), round(height * pixels / crop)


Config = InterFuserConfig
CONFIGURATIONS = tuple(InterFuserConfig(size=size) for size in SIZES)
"""Every configuration that 'kd-planner models params interfuser' lists."""
SMALL_INPUTS = {"front_px": 128, "side_px": 64, "focus_px": 64, "lidar_px": 128, "camera_width": 400,
                "camera_height": 300, "side_width": 200, "side_height": 150}
"""Config fields for training and driving without an accelerator: 49 tokens instead of 151, a third of the work."""
