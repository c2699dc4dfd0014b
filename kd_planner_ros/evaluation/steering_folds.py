"""Parts of recordings by time: which samples a probe is trained on, and which it is tested on. Never split by frame."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.rows import begins


@dataclass(frozen=True)
class Fold:
    """Sample numbers of one fold: ``test`` is its own part; the rest is ``train``, but for ``stop``, which says when to stop."""

    train: np.ndarray
    stop: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Blocks:
    """Sample numbers [K] of each block of time; how many samples have no whole window in their block, and how many belong to a second
    copy of a recording: a copy in another fold would be tested on what was trained on."""

    samples: list[np.ndarray]
    names: list[str]
    left_out: int
    repeated: int = 0


def time_blocks(samples: Samples, block_s: float, window: int) -> Blocks:
    """Each recording cut into blocks of ``block_s`` seconds. A block keeps the samples whose ``window`` pictures lie within it,
    without a gap: so no picture of one block is seen by a window of another."""
    found, names, left_out, repeated, first = [], list[str](), 0, 0, 0
    seen: set[str] = set()
    for shard in samples.shards:
        stamps = shard.rows["stamp"]
        if not len(stamps) or shard.facts["content"] in seen:
            repeated, first = repeated + len(stamps), first + len(stamps)
            continue
        seen.add(shard.facts["content"])
        number = ((stamps - stamps[0]) // round(block_s * 1e9)).astype(int)
        new = begins(stamps) | np.concatenate([[True], np.diff(number) > 0])
        since = np.arange(len(stamps)) - np.flatnonzero(new)[np.cumsum(new) - 1]
        whole = since >= window - 1
        left_out += int((~whole).sum())
        for one in np.unique(number[whole]):
            found.append(first + np.flatnonzero(whole & (number == one)))
            names.append(f"{shard.facts['content']}/{one}")
        first += len(stamps)
    return Blocks(found, names, left_out, repeated)


def folds(blocks: Blocks, count: int) -> list[Fold]:
    """``count`` folds of about equal size whose test parts are disjoint and together everything.

    The largest block goes to the smallest fold, and so on; equal ones in the order of a hash of their recording's content, so the
    order of the recordings changes nothing. Of a fold's training blocks a tenth, at least one, tells when to stop.

    Raises:
        BagError: fewer blocks than folds and two more.
    """
    if len(blocks.samples) < count + 2 or count < 2:
        raise BagError(f"at least {count + 2} blocks of time for {count} folds (2 or more)", str(len(blocks.samples)),
                       "give more or longer recordings, a smaller --block-s, or fewer --folds")
    ranks = [hashlib.sha256(name.encode()).hexdigest() for name in blocks.names]
    order = sorted(range(len(ranks)), key=lambda one: (-len(blocks.samples[one]), ranks[one]))
    parts: list[list[int]] = [[] for _ in range(count)]
    for block in order:
        min(parts, key=lambda part: sum(len(blocks.samples[one]) for one in part)).append(block)
    found = []
    for part in parts:
        rest = sorted((one for one in range(len(ranks)) if one not in part), key=lambda one: ranks[one])
        held = max(1, round(0.1 * len(rest)))
        found.append(Fold(*(np.sort(np.concatenate([blocks.samples[one] for one in some])) for some in (rest[held:], rest[:held], part))))
    return found
