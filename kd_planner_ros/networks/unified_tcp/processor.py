"""Records to the network's tensors and back: the unified encoder's section of the picture, and TCP's state and plan."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.networks.tcp.processor import TCPProcessor
from kd_planner_ros.networks.unified_encoder.processor import UnifiedEncoderProcessor
from kd_planner_ros.networks.unified_tcp.config import UnifiedTCPConfig


class UnifiedTCPProcessor(TCPProcessor):
    """As TCP's, but for the picture."""

    config: UnifiedTCPConfig

    def __init__(self, config: UnifiedTCPConfig):
        super().__init__(config)
        self._section = UnifiedEncoderProcessor(config)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The encoder's section of a camera picture: RGB uint8 [H, W, 3].

        Raises:
            SensorError: not RGB uint8, or not of the camera's size.
        """
        return self._section.prepare(image)


def build_processor(config: UnifiedTCPConfig) -> UnifiedTCPProcessor:
    """The processor for ``config``."""
    return UnifiedTCPProcessor(config)
