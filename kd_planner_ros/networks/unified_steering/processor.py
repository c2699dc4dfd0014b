"""Records to the network's tensors and back; remembers the features of the last pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.planner import Processor
from kd_planner_ros.networks.unified_encoder.model import FEATURES
from kd_planner_ros.networks.unified_encoder.processor import UnifiedEncoderProcessor
from kd_planner_ros.networks.unified_encoder.steering import WINDOW
from kd_planner_ros.networks.unified_steering.config import UnifiedSteeringConfig
from kd_planner_ros.networks.unified_steering.window import Window


class UnifiedSteeringProcessor(Processor[Perception]):
    """What the unified encoder sees, and the number ``steer`` in shares of full lock: NaN until the 16 pictures of its window are
    real."""

    made_of, cut_by = UnifiedEncoderProcessor.made_of, UnifiedEncoderProcessor.cut_by

    def __init__(self, config: UnifiedSteeringConfig):
        self.config = config
        self.eyes, self._window = UnifiedEncoderProcessor(config), Window(config)

    def reset(self) -> None:
        """Forget all pictures."""
        self.eyes.reset()
        self._window.reset()

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """See ``UnifiedEncoderProcessor.prepare``."""
        return self.eyes.prepare(image)

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """The network's inputs. Only a single frame has frames before it: those that were decoded last.

        Raises:
            SensorError: as ``UnifiedEncoderProcessor.picture``.
        """
        return {**self.eyes.encode(frames), **self._window.inputs([frame.stamp_ns for frame in frames])}

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Perception:
        """See ``UnifiedEncoderProcessor.decode``; with ``steer``, and ``steering_ready`` 1 where its window is whole, else 0."""
        seen = self.eyes.decode(outputs, frame)
        if FEATURES[-1] not in outputs:
            return seen
        pictures = self._window.remember(outputs[FEATURES[-1]], frame.stamp_ns)
        if "steer" not in outputs:
            return seen
        ready, lock = pictures == WINDOW, self.config.full_lock_deg
        wheel = float(np.clip(float(outputs["steer"][0]), -lock, lock)) if ready else float("nan")
        unknown = {} if ready else {"steer": f"not ready: {pictures} of {WINDOW} pictures"}
        return replace(seen, scalars={**seen.scalars, "steer": wheel / lock, "steering_ready": float(ready)},
                       unknown={**seen.unknown, **unknown})


def build_processor(config: UnifiedSteeringConfig) -> UnifiedSteeringProcessor:
    """The processor for ``config``."""
    return UnifiedSteeringProcessor(config)
