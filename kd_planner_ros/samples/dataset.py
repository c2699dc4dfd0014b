"""All samples of a training run: split by route, balanced by what the car does, fetched as batches of arrays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.records import Command
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.samples.shards import STATES, Shard

STANDING_MPS = 0.1
HAZARD_MPS = 1.0
STANDING_SHARE = 0.12
"""Frames in which the car stands and will stand for 2 s are at most this share of an epoch: they are many (red lights)
and all alike, and a student that sees too many of them learns not to start."""
TURN_WEIGHT = 2.0
"""How often a frame of a turn (command LEFT or RIGHT, or steering beyond 0.1) is drawn in one epoch; straight ahead is 1."""
START_WEIGHT = 2.0
"""The same, unless the recipe says otherwise, for frames in which the car stands but is about to move: few, and they teach when to go."""


@dataclass(frozen=True)
class Batch:
    """``images`` uint8 [B, H, W, 3] RGB, the main picture; ``fields`` what the network's lessons hold besides, [B, ...] each;
    ``grids`` uint8 [B, rows, columns] (imaging/class_grid) and ``rows``
    SAMPLE_DTYPE [B]; ``told`` the same as the student is told them (target points may lie elsewhere); ``index`` [B] says
    which samples they are. ``hidden_speed`` bool [B]: the student is not told the speed of these. ``extras``: what a way of distilling fetched besides, [B, ...] each."""

    images: np.ndarray
    grids: np.ndarray
    rows: np.ndarray
    told: np.ndarray
    index: np.ndarray
    hidden_speed: np.ndarray
    extras: dict[str, np.ndarray] = field(default_factory=dict)
    fields: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """The main picture and the fields by name, as ``Lessons`` take them."""
        return {MAIN: self.images, **self.fields}

    def save(self, path: Path) -> None:
        """Write everything in it to ``path`` (.npz), for whoever looks for what went wrong with it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, rows=self.rows, told=self.told, index=self.index, hidden_speed=self.hidden_speed,
                            grids=self.grids, **self.arrays, **self.extras)


class Samples:
    """The samples of ``shards`` one after the other; ``rows`` is one array, pictures stay on disk."""

    def __init__(self, shards: list[Shard]):
        self.shards = [shard for shard in shards if len(shard.rows)]
        counts = [len(shard.rows) for shard in self.shards]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(int)
        self.rows = np.concatenate([shard.rows for shard in self.shards]) if self.shards else np.zeros(0)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def fetch(self, index: np.ndarray) -> Batch:
        """The samples ``index`` [B]; their pictures are copied out of the memory maps."""
        places = self.places(index)
        images = np.stack([shard.images[row] for shard, row in places])
        grids = np.stack([shard.grids[row] for shard, row in places])
        fields = {name: np.stack([shard.fields[name][row] for shard, row in places]) for name in self.shards[0].fields}
        rows = self.rows[index]
        return Batch(images, grids, rows, rows.copy(), np.asarray(index), np.zeros(len(index), bool), fields=fields)

    def places(self, index: np.ndarray) -> list[tuple[Shard, int]]:
        """Where the samples ``index`` [B] lie: (shard, row in it)."""
        homes = np.searchsorted(self._starts, index, side="right") - 1
        return [(self.shards[home], int(i - self._starts[home])) for home, i in zip(homes, index)]

    @property
    def data_hash(self) -> str:
        """One hash over the content of all recordings, whatever their order."""
        contents = sorted(shard.facts["content"] for shard in self.shards)
        return hashlib.sha256("".join(contents).encode()).hexdigest()


def split(shards: list[Shard], validation_share: float, train_share: float = 1.0) -> tuple[Samples, Samples]:
    """(training, validation): whole routes go to one side by a hash of map and route, so neither the order of the
    recordings nor adding one moves another across. Of the routes for training the share ``train_share`` is used, by the
    same hash: the routes of a small share are among those of a larger one.

    Raises:
        BagError: no sample is left for training.
    """
    full = [shard for shard in shards if len(shard.rows)]
    ranks = [_rank(shard) for shard in full]
    held = [rank < validation_share for rank in ranks]
    if ranks and all(held):  # something must be left to train on, and to validate with if there are two routes
        held = [rank != max(ranks) for rank in ranks]
    elif validation_share > 0.0 and len(set(ranks)) > 1 and not any(held):
        held = [rank == min(ranks) for rank in ranks]
    train = Samples(_share([s for s, out in zip(full, held) if not out], train_share))
    if not len(train):
        raise BagError("samples to train on", f"none in {len(shards)} recordings",
                       "record routes longer than 2 s, at least two of them, or lower the validation share")
    return train, Samples([s for s, out in zip(full, held) if out])


def _share(shards: list[Shard], share: float) -> list[Shard]:
    """The shards of the routes that rank highest, at least of one."""
    ranks = sorted({_rank(shard) for shard in shards}, reverse=True)
    kept = set(ranks[:max(1, round(share * len(ranks)))])
    return [shard for shard in shards if _rank(shard) in kept]


def _rank(shard: Shard) -> float:
    facts = shard.facts
    name = f"{facts['map']}/{facts['route'] or facts['bag']}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "little") / 2**32


def weights(rows: np.ndarray, start_weight: float = START_WEIGHT, hazard_weight: float = 1.0) -> np.ndarray:
    """How many times each sample [N] is drawn in one epoch, on average; ``hazard_weight`` is for frames in which the car moves
    and the expert brakes or a walker is in the way, where the states were recorded."""
    standing = np.abs(rows["speed"]) < STANDING_MPS
    waiting = standing & (rows["ahead_m"] < STANDING_MPS)
    turning = np.isin(rows["command"], (Command.LEFT, Command.RIGHT)) & (rows["ahead_m"] > 1.0)
    turning |= np.abs(np.nan_to_num(rows["actions"][:, 0, 1])) > 0.1
    out = np.where(turning, TURN_WEIGHT, 1.0)
    brake, walker = (rows["states"][:, STATES.index(name)] == 1 for name in ("brake", "pedestrian"))
    hazard = (brake | walker) & (rows["speed"] > HAZARD_MPS)
    out[hazard] = np.maximum(out[hazard], hazard_weight)
    out[standing & ~waiting] = start_weight
    out[waiting] = 0.0
    if waiting.any():
        room = STANDING_SHARE / (1.0 - STANDING_SHARE) * max(out.sum(), 1.0)
        out[waiting] = min(1.0, room / waiting.sum())
    return out


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

    def order(self, epoch: int) -> np.ndarray:
        """All draws of one epoch in random order."""
        rng = np.random.default_rng([self.seed, epoch, 0x65706F63])
        times = np.floor(self.weights + rng.random(len(self.weights))).astype(int)
        order = np.repeat(np.arange(len(times)), times)
        if not len(order):
            order = np.arange(len(times))
        rng.shuffle(order)
        return order
