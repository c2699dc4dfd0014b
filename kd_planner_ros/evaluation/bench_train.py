"""How fast the trainer's own step runs, and how much memory it takes, on made-up samples."""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.distill.recipes import train_config
from kd_planner_ros.evaluation.bench_samples import made_up_samples
from kd_planner_ros.networks.describe import describe, size_of
from kd_planner_ros.networks.registry import find_network


def bench_config(network: str = "tcp", size: str = "", batch: int = 24, device: str = "cpu", options: Mapping[str, Any] | None = None,
                 **fixed: Any) -> TrainConfig:
    """The training that is measured. ``options`` are those of network and method by dotted or nested names; without ``size`` the
    network's ``bench_size``, or its smallest one.

    Raises:
        PlannerError: no such network. ConfigError: one that cannot be trained, or values the trainer refuses.
    """
    size = size or describe(network).bench_size or smallest_size(network)
    return train_config({"network": network, "size": size, "batch": batch, "device": device, **(options or {})}, progress=False, **fixed)


def smallest_size(network: str) -> str:
    """The last one of the network's configurations, which stand in the order of their sizes."""
    return size_of(find_network(network).configurations[-1])


def bench_train(config: TrainConfig, steps: int = 5, warm: int = 1) -> dict[str, Any]:
    """Samples/s and peak memory of ``steps`` training steps of ``config`` after ``warm`` unmeasured ones.

    The step is the trainer's: read from disk, augment (in a thread beside the step), forward, loss, backward, Adam.
    ``memory_gib`` is the largest resident memory of the whole process; on CUDA ``device_memory_gib`` lies beside it.

    Raises:
        ConfigError: no steps, or values the trainer refuses.
    """
    if steps < 1:
        raise ConfigError("at least one step to measure", str(steps), "give a larger --steps")
    group, batch = join(config.device), config.batch
    learner = Learner(config, group)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as reader:
        samples = made_up_samples(Path(folder), 2 * batch, learner)
        indices = [np.arange(batch) + batch * (step % 2) for step in range(warm + steps + 1)]
        coming, began = reader.submit(learner.prepare, samples, indices[0], 0), 0.0
        for step in range(warm + steps):
            if step == warm:
                _settle(group.device)
                began = time.perf_counter()
            ready, coming = coming.result(), reader.submit(learner.prepare, samples, indices[step + 1], step + 1)
            learner.step(ready, step, 1e-4)
        _settle(group.device)
        lasted = time.perf_counter() - began
    result = {"network": config.network, "size": config.size, "input": list(samples.shards[0].images.shape[1:3]), "batch": batch,
              "steps": steps, "device": str(group.device), "threads": torch.get_num_threads(),
              "samples_per_s": round(steps * batch / lasted, 3), "s_per_step": round(lasted / steps, 3),
              "memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)}
    if group.device.type == "cuda":
        result["device_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 3)
    return result


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
