"""How fast the trainer's own step runs, and how much memory it takes, on made-up samples."""

from __future__ import annotations

import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.imaging.class_grid import CELL_PX, UNKNOWN
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.rows import SAMPLE_DTYPE
from kd_planner_ros.samples.shards import Shard


def bench_train(size: str = "13.9m", input_height: int = 256, input_width: int = 900, batch: int = 24, steps: int = 5,
                device: str = "cpu", warm: int = 1) -> dict[str, Any]:
    """Samples/s and peak memory of ``steps`` training steps after ``warm`` unmeasured ones.

    The step is the trainer's: read from disk, augment (in a thread beside the step), forward, loss, backward, Adam.
    ``memory_gib`` is the largest resident memory of the whole process; on CUDA ``device_memory_gib`` lies beside it.

    Raises:
        ConfigError: no steps, or values the trainer refuses.
    """
    if steps < 1:
        raise ConfigError("at least one step to measure", str(steps), "give a larger --steps")
    config = TrainConfig(bags=(), size=size, batch=batch, device=device,
                         sections={"tcp": {"input_height": input_height, "input_width": input_width}})
    group = join(device)
    learner = Learner(config, group)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as reader:
        samples = made_up_samples(Path(folder), 2 * batch, input_height, input_width)
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
    result = {"size": size, "input": [input_height, input_width], "batch": batch, "steps": steps, "device": str(group.device),
              "threads": torch.get_num_threads(), "samples_per_s": round(steps * batch / lasted, 3),
              "s_per_step": round(lasted / steps, 3),
              "memory_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 3)}
    if group.device.type == "cuda":
        result["device_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 3)
    return result


def _settle(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def made_up_samples(folder: Path, count: int, height: int, width: int) -> Samples:
    """``count`` samples with noise for pictures, on disk like a recording's."""
    random = np.random.default_rng(0)
    rows = np.zeros(count, SAMPLE_DTYPE)
    rows["speed"], rows["target"], rows["command"] = 5.0, (30.0, 0.0), 4
    rows["future"] = np.linspace(2.5, 10.0, rows["future"].shape[1])[:, None] * (1.0, 0.0)
    rows["actions"], rows["ahead_m"] = 0.1, 10.0
    np.save(folder / "rows.npy", rows)
    np.save(folder / "images.npy", random.integers(0, 256, (count, height, width, 3), np.uint8))
    (folder / "facts.json").write_text('{"fields": []}')
    np.save(folder / "grids.npy", np.full((count, height // CELL_PX, width // CELL_PX), UNKNOWN, np.uint8))
    return Samples([Shard(folder)])
