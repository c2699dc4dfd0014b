"""Facts of a unified encoder: widths, classes, camera, and the section of the camera's picture that the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.imaging.palette import TAGS, THINGS
from kd_planner_ros.networks.blocks.swin_specs import SwinWidths

ROLE = "perceiver"
BFLOAT16 = False
"""A query of the segmentation decoder looks where an earlier layer's mask is above one half: a rounded mask changes where it looks,
and the next masks by up to 0.2."""

CITYSCAPES = ("Road+RoadLine", "Sidewalk", "Building", "Wall", "Fence+GuardRail", "Pole", "TrafficLight", "Sign", "Vegetation", "Terrain",
              "Sky", "Pedestrian", "Rider", "Car", "Truck", "Bus", "Train", "Motorcycle", "Bicycle")
"""Cityscapes' 19 training classes in their order, by the names of CARLA's tags."""
WORLD = ("Road", "RoadLine", "Sidewalk", "Building+Wall+Fence+GuardRail+Bridge", "Pole", "TrafficLight", "Sign",
         "Vegetation+Terrain+Ground+Water", "Sky", "Pedestrian", "Rider+Motorcycle+Bicycle", "Car+Truck+Bus+Train")
"""The classes of the small student: lane markings are a class of their own."""
VOID = 255
"""Class id of a pixel that no class stands for, or that the network does not see."""
HORIZON = 0.4
"""Height of the camera's horizon in the network's picture, as a share from the top: more road than sky."""
READINGS = ("probe", "pooling")
"""Of the steering head (``steering.py``)."""
GAP_S = 0.25
"""Frames further apart than this are no pair: motion is not ready."""


@dataclass(frozen=True)
class SegmentationWidths:
    """OneFormer's decoders by the names of its config; ``text_...`` shape the text branch, which is not shipped."""

    width: int
    queries: int
    text_contexts: int
    pixel_layers: int
    pixel_ffn: int
    layers: int
    heads: int
    ffn: int
    query_layers: int
    dropout: float
    points: int
    text_width: int
    text_layers: int
    text_length: int
    task_length: int
    vocabulary: int


@dataclass(frozen=True)
class Widths:
    """Everything that a size fixes.

    Attributes:
        depth: channels of the depth decoder at strides 16, 8, 4, 2 (the skips have those of the next finer stage) and 1.
        pose: channels of the pose decoder's four stages, from stride 8 to 64.
        pose_head: channels of its head.
        motion_half: channels at stride 2 of the flow and mask decoders.
        motion_cap: most channels of a level of these decoders; 0: no limit.
        matching: channels of the matching features, where the network has them.
    """

    swin: SwinWidths
    segmentation: SegmentationWidths
    classes: tuple[str, ...]
    depth: tuple[int, int, int, int, int]
    pose: tuple[int, int, int, int]
    pose_head: int
    motion_half: int
    motion_cap: int
    matching: int
    input_height: int
    input_width: int


SIZES = {
    "full": Widths(SwinWidths(96, (2, 2, 6, 2), (3, 6, 12, 24), 7, 0.3),
                   SegmentationWidths(256, 150, 16, 6, 1024, 10, 8, 2048, 2, 0.1, 12544, 256, 6, 77, 77, 49408),
                   CITYSCAPES, (256, 256, 256, 256, 256), (64, 128, 256, 512), 256, 64, 0, 64, 192, 512),
    "nano": Widths(SwinWidths(32, (2, 2, 2, 2), (2, 4, 8, 16), 4, 0.1),
                   SegmentationWidths(64, 32, 4, 2, 128, 4, 4, 128, 1, 0.0, 1024, 64, 1, 16, 8, 64),
                   WORLD, (64, 48, 32, 16, 8), (32, 48, 64, 96), 64, 16, 48, 32, 128, 352),
    "tiny": Widths(SwinWidths(8, (1, 1, 1, 1), (1, 1, 2, 2), 2, 0.0),
                   SegmentationWidths(64, 16, 4, 1, 32, 3, 2, 32, 1, 0.0, 64, 64, 1, 8, 8, 64),
                   WORLD, (16, 16, 12, 8, 8), (8, 8, 8, 8), 8, 8, 16, 8, 32, 64),
}
"""``full`` is the paper's. ``nano`` keeps every part of it on two cores. ``tiny`` is for tests."""


@dataclass(frozen=True)
class UnifiedEncoderConfig:
    """One unified encoder.

    The camera's picture is scaled to the input's width; then ``input_height`` rows are cut out of it so that the horizon of a
    level camera lies at ``HORIZON`` of the height.

    Attributes:
        input_height, input_width: of the network's picture, multiples of 32; 0: those of the size.
        camera_x_m, camera_z_m: place of the camera in ``base_link``.
        metres_per_unit: length that the decoders call 1: depth reaches from 0.1 to 9.1 of it.
        metric: whether that length was learnt. Otherwise it is arbitrary, and the processor takes it from the camera's height over
            the ground.
        ordered_pose: whether the pose decoder sees the earlier picture of a pair first, also where the source is the later one; the
            published one sees the source first, as does one with ``matching``. It matters where a network learns from video alone.
        rotation_scale: what the pose decoder's rotation is multiplied by; 1: as published. It matters as ``ordered_pose`` does.
        logit_bound: as for ``depth.DepthDecoder``; 0: as published. It matters as ``ordered_pose`` does.
        matching: whether pose, flow and motion mask read a correlation of both pictures (``matching.py``); the paper's do not.
        aligned_pose: whether the pose decoder's answer is refined by aligning the pictures (``alignment.py``), but in steps in which it
            learns; the paper's is not.
    """

    size: str = "nano"
    input_height: int = 0
    input_width: int = 0
    camera_width: int = 448
    camera_height: int = 336
    camera_fov_deg: float = 100.0
    camera_x_m: float = 1.3
    camera_z_m: float = 2.3
    camera_id: str = "front"
    rate_hz: float = 10.0
    metres_per_unit: float = 10.0
    metric: bool = True
    matching: bool = False
    aligned_pose: bool = False
    ordered_pose: bool = True
    rotation_scale: float = 1.0
    logit_bound: float = 0.0

    NETWORK: ClassVar[str] = "unified_encoder"
    """Section of the training options that shape it."""
    MATCHES: ClassVar[bool] = True
    """Whether the network can have a correlation, and refine its pose."""

    def __post_init__(self) -> None:
        if self.matching and not self.MATCHES:
            raise ConfigError("no correlation in a network whose pose decoder cannot read it", "matching true",
                              "leave 'matching' out, or use the network unified_encoder")
        if self.aligned_pose and not self.MATCHES:
            raise ConfigError("no refined pose in a network that only unified_encoder refines", "aligned_pose true",
                              "leave 'aligned_pose' out, or use the network unified_encoder")
        if self.size not in SIZES:
            raise ConfigError(f"a size of the unified encoder out of {', '.join(SIZES)}", repr(self.size), "correct 'size'")
        for name, own in (("input_height", self.widths.input_height), ("input_width", self.widths.input_width)):
            value = getattr(self, name) or own
            object.__setattr__(self, name, value)
            if not isinstance(value, int) or value % 32 or not 32 <= value <= 4096:
                raise ConfigError(f"{name}: a multiple of 32 between 32 and 4096 pixels", repr(value), f"correct '{name}'")
        if self.scaled_height < self.input_height:
            raise ConfigError(f"a camera whose picture is at least {self.input_height} rows high at a width of {self.input_width}",
                              f"{self.camera_width}x{self.camera_height}, which is {self.scaled_height} rows",
                              "give a smaller input_height, or a camera with a higher picture")
        if self.metres_per_unit <= 0.0:
            raise ConfigError("metres_per_unit above 0", repr(self.metres_per_unit), "correct 'metres_per_unit'")
        if self.rotation_scale <= 0.0:
            raise ConfigError("rotation_scale above 0", repr(self.rotation_scale), "correct 'rotation_scale'")
        if self.logit_bound < 0.0:
            raise ConfigError("logit_bound of at least 0", repr(self.logit_bound), "correct 'logit_bound'")

    @property
    def widths(self) -> Widths:
        """The size's widths."""
        return SIZES[self.size]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the order of their ids: CARLA's tags, several joined by ``+``."""
        return self.widths.classes

    @property
    def scaled_height(self) -> int:
        """Rows of the camera's whole picture at the input's width; dense outputs have this height."""
        return round(self.camera_height * self.input_width / self.camera_width)

    @property
    def cut_top(self) -> int:
        """First row of the scaled picture that the network sees."""
        wanted = round(self.scaled_height / 2 - HORIZON * self.input_height)
        return min(max(wanted, 0), self.scaled_height - self.input_height)

    @property
    def camera(self) -> CameraSpec:
        """The camera that the network was made for."""
        return CameraSpec(self.camera_id, Pose(x=self.camera_x_m, z=self.camera_z_m), self.camera_width, self.camera_height,
                          self.camera_fov_deg, period_s=1.0 / self.rate_hz)

    @property
    def rig(self) -> SensorRig:
        """One front camera; no route. The processor remembers the frame before."""
        return SensorRig(cameras=(self.camera,), needs_route=False)

    @property
    def intrinsics(self) -> np.ndarray:
        """Pinhole matrix float32 [3, 3] of the network's picture; pixel centres are whole numbers."""
        focal = self.camera.focal_px * self.input_width / self.camera_width
        return np.array([[focal, 0.0, (self.input_width - 1) / 2.0], [0.0, focal, (self.scaled_height - 1) / 2.0 - self.cut_top],
                         [0.0, 0.0, 1.0]], np.float32)


def class_of_tag(classes: tuple[str, ...]) -> np.ndarray:
    """Class id uint8 [256] of each of CARLA's tags, ``VOID`` where no class names the tag."""
    number = {name: tag for tag, (name, _) in enumerate(TAGS)}
    table = np.full(256, VOID, np.uint8)
    for index, names in enumerate(classes):
        table[[number[name] for name in names.split("+")]] = index
    return table


def things(classes: tuple[str, ...]) -> np.ndarray:
    """bool [K]: which classes are things."""
    return np.array([names.split("+")[0] in THINGS for names in classes])


def named(classes: tuple[str, ...], *tags: str) -> np.ndarray:
    """bool [K]: which classes stand for one of ``tags``."""
    return np.array([bool(set(names.split("+")) & set(tags)) for names in classes])


Config = UnifiedEncoderConfig
CONFIGURATIONS = (UnifiedEncoderConfig(size="full"), UnifiedEncoderConfig(size="nano"))
