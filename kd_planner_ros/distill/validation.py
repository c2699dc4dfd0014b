"""One validation: the loss, its parts and the task's figures over held-out samples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.networks.training import LearningTask, is_recurrent
from kd_planner_ros.samples.dataset import Batch, Samples
from kd_planner_ros.samples.rows import begins


@torch.no_grad()
def validate(model: nn.Module, task: LearningTask, samples: Samples, batch: int,
             tensors: Callable[[Batch], tuple[Mapping[str, Tensor], Mapping[str, Tensor]]],
             context: Callable[[], AbstractContextManager[Any]], most: int = 0) -> dict[str, float]:
    """The mean of every figure over what is known, and ``samples``, their number.

    ``most``: at most so many samples, evenly spaced; 0: all. A recurrent task reads all of them.

    ``tensors`` gives a batch's inputs and targets, ``context`` is the forward pass's precision. A recurrent task sees one recording
    after the other, in order, one sample a step, and forgets at each gap, as in training; its memory is put back afterwards.
    """
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}
    memory = task.memory()
    task.use(model)
    if is_recurrent(task):
        task.restore_memory(None)
    read = 0
    for index, first in _batches(samples, 1 if is_recurrent(task) else batch, is_recurrent(task), most):
        read += len(index)
        chunk = samples.fetch(index, np.full(len(index), first or not is_recurrent(task)))
        if first:
            task.restore_memory(None)
        inputs, targets = tensors(chunk)
        with context():
            outputs = model(**inputs)
        task.end_step(outputs)
        for name, (total, count) in _scores(task, outputs, targets, inputs).items():
            sums[name] = sums.get(name, 0.0) + float(total)
            counts[name] = counts.get(name, 0.0) + float(count)
    task.restore_memory(memory)
    return {**{name: sums[name] / max(counts[name], 1.0) for name in sums}, "samples": float(read)}


def _batches(samples: Samples, batch: int, whole: bool, most: int) -> Iterator[tuple[np.ndarray, bool]]:
    """Numbers of the samples of each batch, and whether a stretch without a gap begins with it, where they are taken one by one."""
    firsts = np.concatenate([begins(shard.rows["stamp"]) for shard in samples.shards]) if whole and samples.shards else None
    chosen = np.arange(len(samples))
    if most and not whole and most < len(samples):
        chosen = np.linspace(0, len(samples) - 1, most).round().astype(int)
    for first in range(0, len(chosen), batch):
        yield chosen[first:first + batch], firsts is not None and bool(firsts[first])


def _scores(task: LearningTask, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor],
            inputs: Mapping[str, Tensor]) -> dict[str, tuple[float, float]]:
    loss = task.loss(outputs, targets, inputs)
    scores = {name: (float(value) * loss.count, float(loss.count)) for name, value in {"loss": loss.total, **loss.parts}.items()}
    return scores | task.figures(outputs, targets)
