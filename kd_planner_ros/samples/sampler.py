"""Which samples each step of a training reads: at random, or in order. Pure functions of (seed, step), so a resumed run reads
the samples that it would have read."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.networks.samples import Random, Sequences
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.rows import begins


class Sampler(Protocol):
    """Draws the samples of every step."""

    batch: int
    steps_per_epoch: int

    def step(self, step: int) -> np.ndarray:
        """Sample numbers [batch] of global step ``step``."""

    def resets(self, step: int) -> np.ndarray:
        """bool [batch]: the slots in which a sequence begins at ``step``."""


def build_sampler(sampling: Random | Sequences, samples: Samples, weights: np.ndarray, batch: int, seed: int,
                  usable: np.ndarray | None = None) -> Sampler:
    """The sampler that a network's ``sampling`` asks for; ``weights`` [N] (``samples/dataset.py``) balance random sampling alone,
    sequences leave out and end at the samples that ``usable`` bool [N] does not name (default: all).

    Raises:
        BagError: sequences are asked for and there is no sample.
    """
    if isinstance(sampling, Sequences):
        return SequenceSampler(pieces(samples, sampling, usable), batch, seed)
    return EpochSampler(weights, batch, seed)


class EpochSampler:
    """Which samples each step reads: a pure function of (seed, step), so a resumed run draws what it would have drawn.

    ``weights`` [N]: each whole weight is a draw an epoch, its fraction the chance of one more.
    """

    def __init__(self, weights: np.ndarray, batch: int, seed: int):
        self.weights, self.batch, self.seed = np.asarray(weights, float), batch, seed
        self.steps_per_epoch = max(1, round(float(self.weights.sum()) / batch))
        self._epoch, self._order = -1, np.zeros(0, int)

    def step(self, step: int) -> np.ndarray:
        """Sample numbers [batch] of global step ``step``. Epochs differ a little in their number of draws: the last few
        are left out, or missing ones taken from the epoch's beginning."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, self.order(epoch)
        return np.take(self._order, np.arange(self.batch) + position * self.batch, mode="wrap")

    def resets(self, step: int) -> np.ndarray:
        """All True: every sample stands alone."""
        return np.ones(self.batch, bool)

    def order(self, epoch: int) -> np.ndarray:
        """All draws of one epoch in random order."""
        rng = np.random.default_rng([self.seed, epoch, 0x65706F63])
        times = np.floor(self.weights + rng.random(len(self.weights))).astype(int)
        order = np.repeat(np.arange(len(times)), times)
        if not len(order):
            order = np.arange(len(times))
        rng.shuffle(order)
        return order


def pieces(samples: Samples, sampling: Sequences = Sequences(), usable: np.ndarray | None = None) -> list[np.ndarray]:
    """Sample numbers in order of time, one array for each sequence: a stretch of a recording without a gap gives as many interleaved ones
    as samples come within ``sampling.period_s``, each cut to at most ``sampling.length`` (0: not cut). Samples that were left out, or that
    ``usable`` bool [N] does not name, make a gap."""
    found: list[np.ndarray] = []
    first = 0
    for shard in samples.shards:
        stamps = shard.rows["stamp"]
        apart = _apart(stamps, sampling.period_s)
        for stretch in _usable(np.split(first + np.arange(len(stamps)), np.flatnonzero(begins(stamps))[1:]), usable):
            for chain in (stretch[offset::apart] for offset in range(min(apart, len(stretch)))):
                found += np.split(chain, np.arange(sampling.length, len(chain), sampling.length)) if sampling.length else [chain]
        first += len(stamps)
    return found


def _apart(stamps: np.ndarray, period_s: float) -> int:
    """Samples from one of a sequence to the next one, for ``stamps`` [N] in ns."""
    return max(1, round(period_s * 1e9 / float(np.median(np.diff(stamps))))) if len(stamps) > 1 else 1


def _usable(stretches: list[np.ndarray], usable: np.ndarray | None) -> list[np.ndarray]:
    """``stretches`` split at the samples that are not usable, without them."""
    if usable is None:
        return stretches
    parts = [part for one in stretches for part in np.split(one, np.flatnonzero(~usable[one]))]
    return [part for part in (part[usable[part]] for part in parts) if len(part)]


class SequenceSampler:
    """Each slot of the batch walks through ``pieces`` (sample numbers in order) one after the other, one sample a step.

    In every epoch the pieces are laid end to end in a new random order, and the line is cut into one part of equal length for
    each slot. So every sample is read once an epoch (the last slot is filled up from the line's beginning), and a piece that
    lies across a cut goes on in the next slot, where it begins anew.

    Raises:
        BagError: there is no piece.
    """

    def __init__(self, pieces: list[np.ndarray], batch: int, seed: int):
        self.pieces, self.batch, self.seed = [one for one in pieces if len(one)], batch, seed
        if not self.pieces:
            raise BagError("samples to train on", "none in the recordings", "record routes longer than the network's horizon")
        self.steps_per_epoch = -(-sum(map(len, self.pieces)) // batch)
        self._epoch = -1
        self._index, self._reset = np.zeros((0, batch), int), np.zeros((0, batch), bool)

    def step(self, step: int) -> np.ndarray:
        """Sample numbers [batch] of global step ``step``."""
        position = self._position(step)  # deals the epoch that the arrays are of
        return self._index[position]

    def resets(self, step: int) -> np.ndarray:
        """bool [batch]: the slots in which a sequence begins at ``step``; at an epoch's first step every slot."""
        position = self._position(step)
        return self._reset[position]

    def _position(self, step: int) -> int:
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            self._deal(epoch)
        return position

    def _deal(self, epoch: int) -> None:
        order = np.random.default_rng([self.seed, epoch, 0x736571]).permutation(len(self.pieces)).tolist()
        line = np.concatenate([self.pieces[number] for number in order])
        begins = np.concatenate([np.arange(len(self.pieces[number])) == 0 for number in order])
        shape = self.batch, self.steps_per_epoch
        self._index = np.resize(line, shape).T
        self._reset = np.resize(begins, shape).T.copy()
        self._reset[0] = True
        self._epoch = epoch
