"""Widths of a Swin. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SwinWidths:
    """A Swin of one stage for each of ``depths``. Its maps have ``embed`` times 1, 2, 4 and 8 channels at strides 4, 8, 16 and 32."""

    embed: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    drop_path: float

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the maps."""
        return tuple(self.embed * 2 ** stage for stage in range(len(self.depths)))
