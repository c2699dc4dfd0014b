"""Feature imitation: a planner's last map follows the coarsest features of a frozen unified encoder, where both see the same.

Source: the regressed hints of Romero et al., "FitNets", ICLR 2015, with the cosine of each place in place of the squared difference: the
encoder's features are normalised, the student's are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, grid_sample

from kd_planner_ros.core.errors import CardError
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.distill.maps import Shapes, stage_of, stage_shapes
from kd_planner_ros.distill.methods.base import Answers, Distiller, MethodContext, Outputs, Truth
from kd_planner_ros.distill.methods.feature_imitation.config import Config
from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig
from kd_planner_ros.networks.unified_encoder.model import feature_shapes

LAST = 4
"""Stage of the encoder's coarsest features."""
FOV_TOLERANCE_DEG, PLACE_TOLERANCE_M = 1.0, 0.05


class FeatureImitation(Distiller):
    """Each cell of the encoder's last map against the student's last map at the same place of the camera's picture.

    Args:
        channels: of the student's last map.
        stage: number of it.
        seen: places of the teacher's cells in the student's picture [h, w, 2], x and y; -1 and 1 are its borders.
        width: channels of the encoder's last map.
    """

    name = "feature_imitation"
    reads_features = True
    teacher_fields = (f"stage{LAST}",)
    seen: Tensor

    def __init__(self, options: Config, channels: int, stage: int, seen: Tensor, width: int):
        super().__init__()
        self._options, self._stage = options, stage
        self.adapter = nn.Conv2d(channels, width, 1)
        self.register_buffer("seen", seen, persistent=False)

    def losses(self, student: Outputs, teachers: Sequence[Answers], truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``features``."""
        own, taught = stage_of(student, self._stage), teachers[0][self.teacher_fields[0]]
        assert isinstance(own, Tensor) and isinstance(taught, Tensor)  # of one picture each: ``build`` refuses others
        there = grid_sample(self.adapter(own.float()), self.seen.expand(len(own), -1, -1, -1), padding_mode="border", align_corners=False)
        return {"features": self._options.weight * (1.0 - cosine_similarity(there, taught.detach().float(), dim=1)).mean()}

    def switches(self) -> dict[str, Any]:
        """The weight."""
        return {"weight": self._options.weight}


def seen_by(teacher: UnifiedEncoderConfig) -> Tensor:
    """Middles of the cells of the teacher's last map [h, w, 2] (x, y) in the camera's whole picture; -1 and 1 are its borders."""
    _, rows, columns = feature_shapes(teacher)[-1]
    stride = teacher.input_height // rows
    y = (teacher.cut_top + stride * (torch.arange(float(rows)) + 0.5)) / teacher.scaled_height
    x = stride * (torch.arange(float(columns)) + 0.5) / teacher.input_width
    down, across = torch.meshgrid(2.0 * y - 1.0, 2.0 * x - 1.0, indexing="ij")
    return torch.stack([across, down], -1)


def build(context: MethodContext) -> FeatureImitation:
    """The method for student and teacher.

    Raises:
        CardError: the student has several pictures or another camera than the teacher.
    """
    (teacher,), student = context.teachers, context.student
    shapes: Shapes = stage_shapes(context.network, student)
    if not shapes or len(shapes[-1]) != 1:
        raise CardError("a student whose backbone sees one picture", f"network '{context.network}'",
                        "distil a planner of one camera, as tcp")
    _require_camera(student.rig.cameras, teacher.config.camera, teacher.name)
    width = feature_shapes(teacher.config)[-1][0]
    return FeatureImitation(context.options, shapes[-1][0][0], len(shapes), seen_by(teacher.config), width)


def _require_camera(cameras: Sequence[CameraSpec], wanted: CameraSpec, name: str) -> None:
    """The student's first camera must be the teacher's: the maps are laid over one another."""
    own = cameras[0]
    shape = own.width * wanted.height == own.height * wanted.width
    place = max(abs(own.pose.x - wanted.pose.x), abs(own.pose.z - wanted.pose.z)) <= PLACE_TOLERANCE_M
    if not (shape and place and abs(own.fov_deg - wanted.fov_deg) <= FOV_TOLERANCE_DEG):
        raise CardError(f"a student with the camera of teacher '{name}' ({_told(wanted)})", _told(own),
                        "train on recordings of that camera, that of the rig 'shared'")


def _told(camera: CameraSpec) -> str:
    return (f"{camera.width}x{camera.height}, {camera.fov_deg:g} degrees, x {camera.pose.x:g} m, z {camera.pose.z:g} m")
