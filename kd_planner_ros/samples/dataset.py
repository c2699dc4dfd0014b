"""All samples of a training run: split by route, balanced by what the car does, fetched as batches of arrays."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Command
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.files import whole_file
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.samples.rows import STATES
from kd_planner_ros.samples.shards import Shard

STANDING_MPS = 0.1
HAZARD_MPS = 1.0
STANDING_SHARE = 0.12
"""Frames in which the car stands and will stand for 2 s are at most this share of an epoch: they are many (red lights)
and all alike, and a student that sees too many of them learns not to start."""
TURN_WEIGHT = 2.0
"""How often a frame of a turn (command LEFT or RIGHT, or steering beyond 0.1) is drawn in one epoch; straight ahead is 1."""
START_WEIGHT = 2.0
"""The same, unless the recipe says otherwise, for frames in which the car stands but is about to move: they are few."""


@dataclass(frozen=True)
class Batch:
    """The samples of one step.

    Attributes:
        arrays: the network's arrays by name, [B, ...] each, as recorded; the main picture ``MAIN`` among them.
        student_arrays: the same names as the student sees them: augmented copies of some, the others shared with ``arrays``.
        grids: uint8 [B, rows, columns], the coarse semantic grid of the main picture (``imaging/class_grid.py``).
        rows: ``sample_dtype`` [B] (``samples/rows.py``), as recorded.
        student_rows: the same as the student gets them; target points may lie elsewhere.
        index: [B], which samples they are.
        hidden_speed: bool [B], the samples whose speed the student does not get.
        reset: bool [B], the slots in which a sequence begins; with random sampling every slot.
        extras: further arrays [B, ...] by name that a distillation method fetched.
    """

    arrays: dict[str, np.ndarray]
    student_arrays: dict[str, np.ndarray]
    grids: np.ndarray
    rows: np.ndarray
    student_rows: np.ndarray
    index: np.ndarray
    hidden_speed: np.ndarray
    reset: np.ndarray
    extras: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def images(self) -> np.ndarray:
        """The main picture, RGB uint8 [B, H, W, 3], as recorded."""
        return self.arrays[MAIN]

    def save(self, path: Path) -> None:
        """Write the whole batch to ``path`` (.npz), to find out later what went wrong with it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        seen = {f"student_{name}": array for name, array in self.student_arrays.items() if array is not self.arrays[name]}
        everything: dict[str, Any] = {
            "rows": self.rows, "student_rows": self.student_rows, "index": self.index, "hidden_speed": self.hidden_speed,
            "reset": self.reset, "grids": self.grids, **self.arrays, **seen, **self.extras}
        with whole_file(path) as part:
            np.savez_compressed(part, **everything)


class Samples:
    """The samples of ``shards`` one after the other; ``rows`` is one array, pictures stay on disk."""

    def __init__(self, shards: list[Shard]):
        self.shards = [shard for shard in shards if len(shard.rows)]
        counts = [len(shard.rows) for shard in self.shards]
        self._starts = np.concatenate([[0], np.cumsum(counts)]).astype(int)
        self.rows = np.concatenate([shard.rows for shard in self.shards]) if self.shards else np.zeros(0)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def fetch(self, index: np.ndarray, reset: np.ndarray | None = None) -> Batch:
        """The samples ``index`` [B], not augmented; the arrays are copied out of the memory maps. ``reset`` bool [B] says which
        slots begin a sequence; by default every one."""
        places = self.places(index)
        arrays = {name: np.stack([shard.array(name, row) for shard, row in places]) for name in (MAIN, *self.shards[0].fields)}
        grids = np.stack([shard.grids[row] for shard, row in places])
        rows = self.rows[index]
        return Batch(arrays, dict(arrays), grids, rows, rows.copy(), np.asarray(index), np.zeros(len(index), bool),
                     np.ones(len(index), bool) if reset is None else np.asarray(reset, bool))

    def places(self, index: np.ndarray) -> list[tuple[Shard, int]]:
        """Where the samples ``index`` [B] lie: (shard, row in it)."""
        homes = np.searchsorted(self._starts, index, side="right") - 1
        return [(self.shards[home], int(i - self._starts[home])) for home, i in zip(homes, index, strict=True)]

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
    train = Samples(_share([s for s, out in zip(full, held, strict=True) if not out], train_share))
    if not len(train):
        raise BagError("samples to train on", f"none in {len(shards)} recordings",
                       "record routes longer than 2 s, at least two of them, or lower --validation-share")
    return train, Samples([s for s, out in zip(full, held, strict=True) if out])


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
