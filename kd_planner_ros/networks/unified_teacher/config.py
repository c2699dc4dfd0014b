"""Facts of the unified encoder's teacher: the student's, and the widths of its two encoders of picture pairs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from kd_planner_ros.networks.unified_encoder.config import UnifiedEncoderConfig

ROLE = "perceiver"
ENGINES = ("torch",)
BFLOAT16 = False
"""As the student."""


@dataclass(frozen=True)
class PairWidths:
    """A ResNet of BasicBlocks on two pictures.

    Attributes:
        stem: channels at stride 2.
        stages: channels at strides 4, 8, 16 and 32.
        blocks: of each stage.
        head: channels of the pose head.
    """

    stem: int
    stages: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    head: int


PAIRS = {
    "full": PairWidths(64, (64, 128, 256, 512), (2, 2, 2, 2), 256),
    "nano": PairWidths(16, (16, 32, 64, 128), (1, 1, 1, 1), 64),
    "tiny": PairWidths(8, (8, 8, 8, 8), (1, 1, 1, 1), 8),
}
"""By the student's sizes. ``full`` is the paper's: a ResNet-18."""


@dataclass(frozen=True)
class UnifiedTeacherConfig(UnifiedEncoderConfig):
    """One teacher: the fields of its student."""

    NETWORK: ClassVar[str] = "unified_teacher"
    MATCHES: ClassVar[bool] = False

    @property
    def pair(self) -> PairWidths:
        """Widths of the encoders of pairs."""
        return PAIRS[self.size]


Config = UnifiedTeacherConfig
CONFIGURATIONS = (UnifiedTeacherConfig(size="full"), UnifiedTeacherConfig(size="nano"))
