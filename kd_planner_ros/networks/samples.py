"""What a network declares about its training samples. ``samples/`` makes them from recordings and knows no network by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.route import Route

MAIN = "images"
"""Name of the array that holds a sample's main picture, uint8 [H, W, 3]."""


class SampleMaker(ABC):
    """What one sample of a network's training data holds.

    ``cameras`` and ``clouds`` are the sensors a sample needs (the first camera triggers), ``truth`` the tables of truth
    beside them (``objects``, ``signals``), ``pictures`` the arrays that are augmented, and ``semantic`` says whether the
    semantic labels of the main camera, scaled, fit the main picture.
    """

    cameras: tuple[str, ...]
    clouds: tuple[str, ...] = ()
    truth: tuple[str, ...] = ()
    pictures: tuple[str, ...] = (MAIN,)
    semantic = False
    format = 1
    """Raise when the meaning of an array changes."""

    @property
    @abstractmethod
    def key(self) -> Mapping[str, Any]:
        """What the arrays depend on beside the recording, as JSON values."""

    def begin(self) -> None:
        """Forget what was seen: the next frame is of another recording."""

    def along(self, route: Route, poses: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays [M, ...] that belong to the ticks of a drive with ``poses`` [M, 3] (x, y, yaw in ``map``); a sample gets its
        tick's row of each."""
        return {}

    @abstractmethod
    def record(self, frame: Frame, truth: Any, tick: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of one sample, always of the same names, shapes and types; ``MAIN`` among them.

        Args:
            truth: a ``Truth`` of ``bags/reader.py``.
            tick: this instant's rows of ``along``.

        Raises:
            SensorError: a sensor gives something unfit.
        """
