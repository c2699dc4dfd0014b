"""The cost of distillation over plain imitation: alternating steps of both, on made-up samples."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.methods.registry import IMITATION
from kd_planner_ros.distill.parallel import join
from kd_planner_ros.evaluation.bench_samples import made_up_samples
from kd_planner_ros.evaluation.bench_train import smallest_size
from kd_planner_ros.networks.registry import find_network, find_training
from kd_planner_ros.runtime.store import save_model
from kd_planner_ros.samples.dataset import Samples

TEACHER = "teacher"


def bench_distill(config: TrainConfig, steps: int = 5) -> dict[str, Any]:
    """Cost of a step of ``config``'s method over a step of imitation of the same student, the teacher's answers cached.

    ``cost_ratio`` is the median over pairs of steps taken one after the other, so that other load on the machine falls on
    both; on a CPU it compares processor time, on CUDA wall time. A step is the trainer's: fetch, augment, forward, losses,
    backward, Adam. One pair before them is not measured. ``config``'s teacher is replaced by one of the smallest size with random
    weights: its size does not matter, because its answers are cached.

    Raises:
        ConfigError: no steps, method imitation, or values the trainer refuses.
    """
    method, batch = config.method, config.batch
    if steps < 1 or method == IMITATION:
        raise ConfigError("at least one step of a method that has a teacher", f"{steps} of {method}", "correct --steps or --method")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = replace(config, teacher=TEACHER, models_dir=folder)
        group = join(config.device)
        own = {section: given for section, given in config.sections.items() if section != method}
        plain = Learner(replace(config, method=IMITATION, teacher="", sections=own), group)
        samples = _prepare(folder, config, plain)
        taught = Learner(config, group)
        taught.distillation.method.make_up(samples.shards[0], np.random.default_rng(1))
        taught.distillation.attach(dict.fromkeys(samples.shards, folder))
        clock = _clock(group.device)
        pairs = []
        for step in range(steps + 1):
            index = np.arange(batch) + batch * (step % 2)
            pairs.append([_cost(learner, samples, index, step, clock) for learner in (plain, taught)])
        detail = taught.distillation.method.switches().get("bev_detail")
    first, second = ([pair[side] for pair in pairs[1:]] for side in (0, 1))
    return {"method": method, "network": config.network, "size": config.size, "input": list(samples.shards[0].images.shape[1:3]),
            "batch": batch, "steps": steps, "device": str(group.device), "threads": torch.get_num_threads(), "bev_detail": detail,
            "imitation_s": round(statistics.median(first), 3), "method_s": round(statistics.median(second), 3),
            "cost_ratio": round(statistics.median(b / a for a, b in zip(first, second, strict=True)), 3)}


def _prepare(folder: Path, config: TrainConfig, student: Learner) -> Samples:
    """Samples with planning states in ``folder``, and the teacher beside them."""
    shard = folder / "shard"
    shard.mkdir()
    samples = made_up_samples(shard, 2 * config.batch, student)
    samples.rows["states"] = 0
    samples.shards[0].rows["states"] = 0
    network, training = find_network(config.network), find_training(config.network)
    given = network.config(training.config_fields(smallest_size(config.network), config.options(config.network), None, {}))
    with torch.random.fork_rng(devices=()):
        save_model(folder / TEACHER, config.network, given, network.build_model(given).state_dict())
    return samples


def _cost(learner: Learner, samples: Samples, index: np.ndarray, step: int, clock: Callable[[], float]) -> float:
    began = clock()
    learner.step(learner.prepare(samples, index, step), step, 1e-4)
    return clock() - began


def _clock(device: torch.device) -> Callable[[], float]:
    if device.type != "cuda":
        return time.process_time

    def settled() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    return settled
