"""The coarsest features of the last pictures, so that a frame costs one encoder pass."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from kd_planner_ros.networks.unified_encoder.config import GAP_S
from kd_planner_ros.networks.unified_encoder.model import feature_shapes
from kd_planner_ros.networks.unified_steering.config import UnifiedSteeringConfig
from kd_planner_ros.networks.unified_steering.model import EARLIER


class Window:
    """What a steering head is given beside the present picture.

    At the start, after a gap of more than ``GAP_S`` and where time goes backwards the missing pictures are filled with the oldest known
    one, as if the car had stood there: the steering head learns from windows that begin so.
    """

    def __init__(self, config: UnifiedSteeringConfig):
        self._nothing = torch.zeros(EARLIER, *feature_shapes(config)[-1])
        self.reset()

    def reset(self) -> None:
        """Forget all pictures."""
        self._known: deque[Tensor] = deque(maxlen=EARLIER)
        self._last_ns: int | None = None
        self._given: tuple[int, bool] | None = None

    def inputs(self, stamps_ns: list[int]) -> dict[str, Tensor]:
        """``window`` [B, 15, C, h, w] and ``earlier`` [B] for frames of ``stamps_ns``. Only a single frame has frames before it: those
        that were remembered last."""
        window, earlier, count = self._nothing[None], 0, len(stamps_ns)
        if count == 1:
            follows = self._follows(stamps_ns[0])
            self._given = stamps_ns[0], follows
            if follows:
                known = list(self._known)
                window, earlier = torch.stack([known[0]] * (EARLIER - len(known)) + known)[None], len(known)
        return {"window": window.repeat(count, 1, 1, 1, 1), "earlier": torch.full((count,), float(earlier))}

    def _follows(self, stamp_ns: int) -> bool:
        """Whether the frame of ``stamp_ns`` goes on where the window ends."""
        return bool(self._known) and self._last_ns is not None and 0 < stamp_ns - self._last_ns <= GAP_S * 1e9

    def remember(self, features: Tensor, stamp_ns: int) -> int:
        """Keep the features [B, C, h, w] of the frame of ``stamp_ns``; how many pictures of its window are real, it included."""
        given, self._given = self._given, None
        if given is None or given[0] != stamp_ns or not given[1]:
            self._known.clear()
        pictures = len(self._known) + 1
        self._last_ns = stamp_ns
        self._known.append(features[0].detach().float().cpu())
        return pictures
