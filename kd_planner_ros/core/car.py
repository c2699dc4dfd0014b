"""The box of the car that is driven: CARLA's default car, a Lincoln MKZ 2017, unless somebody says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

LENGTH_M, WIDTH_M = 4.9, 2.12


class Car(NamedTuple):
    """A car's box: its size, and how far its centre lies ahead of the origin of ``base_link``, metres."""

    length_m: float = LENGTH_M
    width_m: float = WIDTH_M
    ahead_m: float = 0.0

    @property
    def front_m(self) -> float:
        """How far the front bumper lies ahead of the origin of ``base_link``, metres."""
        return self.ahead_m + 0.5 * self.length_m

    def boxes(self, poses: np.ndarray) -> np.ndarray:
        """Its box [..., 5] where ``base_link`` has ``poses`` [..., 3]."""
        import numpy as np  # launch files read the sizes, and need no numpy

        ahead = self.ahead_m * np.stack([np.cos(poses[..., 2]), np.sin(poses[..., 2])], axis=-1)
        size = np.broadcast_to((self.length_m, self.width_m), (*poses.shape[:-1], 2))
        return np.concatenate([poses[..., :2] + ahead, poses[..., 2:], size], axis=-1)
