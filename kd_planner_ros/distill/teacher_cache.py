"""The answers of a teacher for every sample, computed once and kept beside the shards that it reads.

A folder beside each shard, named after it and the teacher's weights, holds one .npy file a field; each is written to a
temporary name and renamed, so an interrupted build goes on behind the last whole file. Files are read by memory map.
Each teacher has folders of its own.

The teacher sees the clean picture, the student the augmented one. PlanKD feeds both the same augmented
picture; that needs the teacher's forward pass in every step and is what training without this cache does.
The augmentation is photometric only, so the clean answer belongs to the same scene.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from kd_planner_ros.core.files import whole_file
from kd_planner_ros.distill.teacher import Teacher, is_map
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.samples.arrays import open_array
from kd_planner_ros.samples.shards import Shard

FORMAT = 1
"""Raise when a field's meaning changes: old folders are then left alone and new ones built."""
MOST_BYTES = 2.0
"""A method's fields are kept only if a sample of them takes at most this many times the bytes of the sample's picture.
Channel means, energies, waypoints and DPK's two deep stages are; ReviewKD's stages (five times the picture) are computed in
each step instead, all of them, for keeping some would save no forward pass."""
BATCH = 16
Encode = Callable[[Shard, slice], Mapping[str, Tensor]]
"""The network's inputs for some rows of a shard, unaugmented, on the teacher's device."""


def folder_of(shard: Shard, teacher: Teacher) -> Path:
    """Where the teacher's answers to a shard lie."""
    return shard.folder.with_name(f"{shard.folder.name}.teacher{FORMAT}-{teacher.sha256[:16]}")


def keepable(fields: Mapping[str, Any], picture_bytes: int) -> list[str]:
    """All names in ``fields`` (of a batch of one) if their arrays are worth keeping, else none; maps of several views and answers with
    several rows a sample never are."""
    tensors = {name: value for name, value in fields.items() if isinstance(value, Tensor)}
    size = sum((2 if is_map(name) else 4) * value[0].numel() for name, value in tensors.items())
    single = len(tensors) == len(fields) and all(len(value) == 1 for value in tensors.values())
    return list(fields) if single and size <= MOST_BYTES * picture_bytes else []


def picture_bytes(shard: Shard) -> int:
    """Bytes of a sample's main picture; of all its arrays where it has none, or one without a pixel."""
    if (shard.folder / f"{MAIN}.npy").is_file() and shard.images[0].nbytes:
        return shard.images[0].nbytes
    return sum(array.nbytes for array in shard.arrays(slice(0, 1)).values())


class TeacherCache:
    """The teacher's fields for the samples of ``shards``.

    ``kept`` are the fields it holds; the caller computes the others. Build it with ``build``.
    """

    def __init__(self, folders: Mapping[Shard, Path], kept: Sequence[str]):
        self.folders, self.kept = dict(folders), tuple(kept)
        self._open: dict[tuple[Shard, str], np.ndarray] = {}

    def fetch(self, places: Sequence[tuple[Shard, int]]) -> dict[str, np.ndarray]:
        """Each kept field [B, ...] of the samples at ``places`` (shard, row), as stored."""
        return {name: np.stack([self._array(shard, name)[row] for shard, row in places]) for name in self.kept}

    def _array(self, shard: Shard, name: str) -> np.ndarray:
        if (shard, name) not in self._open:
            self._open[shard, name] = open_array(self.folders[shard] / f"{name}.npy")
        return self._open[shard, name]


def build(shards: Sequence[Shard], teacher: Teacher, names: Iterable[str], encode: Encode,
          progress: bool = True, batch: int = BATCH) -> TeacherCache:
    """The cache of fields ``names``, computed where it is not there yet; fields too large to keep are left out of it. ``batch``
    samples are encoded at once, in the order of the recording; a recurrent teacher takes 1."""
    names, kept = tuple(names), ()
    full = [shard for shard in shards if len(shard.rows)]
    if full and names:
        example = teacher.fields(encode(full[0], slice(0, 1)), names)
        kept = tuple(keepable(example, picture_bytes(full[0])))
    for shard in tqdm(shards, desc=f"teacher {teacher.name}", unit="bag", disable=not progress):
        folder = folder_of(shard, teacher)
        missing = [name for name in kept if not (folder / f"{name}.npy").is_file()]
        if missing and len(shard.rows):
            _compute(shard, folder, teacher, missing, encode, batch)
    return TeacherCache({shard: folder_of(shard, teacher) for shard in shards}, kept)


def _compute(shard: Shard, folder: Path, teacher: Teacher, names: Sequence[str], encode: Encode, batch: int = BATCH) -> None:
    """One pass of the teacher over a shard; outputs are kept in 32 bits, maps and what is made from them in 16."""
    parts: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for first in range(0, len(shard.rows), batch):
        inputs = encode(shard, slice(first, min(first + batch, len(shard.rows))))
        for name, value in teacher.fields(inputs, names).items():
            kind = torch.float16 if is_map(name) else torch.float32
            parts[name].append(value.to(kind).cpu().numpy())
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in parts.items():
        with whole_file(folder / f"{name}.npy") as part:
            np.save(part, np.concatenate(rows))
