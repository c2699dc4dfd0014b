"""Means over scenes with their intervals, by bootstrap over blocks of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from kd_planner_ros.evaluation.pdm.measure import Key

TOTALS = ("PDMS", "EPDMS", "EPDMS_unfiltered")
CONFIDENCE = 0.95


class Blocks:
    """Scenes by blocks of time of their drive: what lies near in time is alike, so whole blocks are drawn.

    ``keys``: the scenes; ``draws`` [R, B] how often each of B blocks is in each of R resamples. The same seed gives the same draws.
    """

    def __init__(self, keys: Sequence[Key], block_s: float, resamples: int, seed: int):
        self.keys = list(keys)
        names = sorted({(name, int(stamp / 1e9 // block_s)) for name, stamp in self.keys})
        rows = {name: row for row, name in enumerate(names)}
        self._block = np.array([rows[name, int(stamp / 1e9 // block_s)] for name, stamp in self.keys], int)
        rng, count = np.random.default_rng([seed, 0x626F6F74]), len(names)
        self.draws = rng.multinomial(count, np.full(count, 1.0 / count), resamples) if count else np.zeros((resamples, 0), int)

    def mean(self, values: Sequence[float]) -> dict[str, float]:
        """Mean of ``values``, one a scene, with the ends of its 95 % interval (percentiles of the resamples)."""
        return {"mean": float(np.mean(values)), **ends(self.resampled(values))}

    def resampled(self, values: Sequence[float]) -> np.ndarray:
        """Mean of ``values``, one a scene, in each resample [R]."""
        count = self.draws.shape[1]
        sums, sizes = np.bincount(self._block, np.asarray(values, float), count), np.bincount(self._block, minlength=count)
        return np.asarray((self.draws @ sums) / (self.draws @ sizes))


def ends(resampled: np.ndarray) -> dict[str, float]:
    """The ends of the 95 % interval of ``resampled`` [R]: percentiles."""
    low, high = np.quantile(resampled, [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    return {"low": float(low), "high": float(high)}


def interval(one: Mapping[str, float], sign: str = "") -> str:
    """A mean with its interval, in per cent."""
    return f"{100.0 * one['mean']:{sign}.1f} ({100.0 * one['low']:{sign}.1f} to {100.0 * one['high']:{sign}.1f})"
