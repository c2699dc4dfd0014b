"""The batch of a step, as the student gets it: augmented, speeds hidden, target points moved."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.networks.training import LearningTask
from kd_planner_ros.samples.augment import chance, stretch_targets
from kd_planner_ros.samples.dataset import Batch, Samples


def require_read(config: TrainConfig, task: LearningTask) -> None:
    """Refuse options that change an input which the network does not have.

    Raises:
        ConfigError: such an option.
    """
    for option, what, value in (("--speed-dropout", "speed", config.speed_dropout), ("--target-stretch", "target", config.target_stretch)):
        if value and what not in task.reads:
            raise ConfigError(f"no {option}, for network '{config.network}' reads no {what}", f"{value:g}", f"leave {option} out")


def prepare(config: TrainConfig, task: LearningTask, rank: int, samples: Samples, index: np.ndarray, step: int,
            reset: np.ndarray | None = None) -> Batch:
    """The samples ``index`` [B] of ``step`` for process ``rank``; a pure function of its arguments and the seed."""
    batch = samples.fetch(index, reset)
    if config.augment:
        rng = np.random.default_rng([config.seed, step, rank, 0x617567])
        batch.student_arrays.update(task.augment(batch.arrays, chance(step * config.batch), rng))
    if config.speed_dropout:
        rng = np.random.default_rng([config.seed, step, rank, 0x647370])
        batch.hidden_speed[:] = rng.random(len(index)) < config.speed_dropout
    if config.target_stretch:
        rng = np.random.default_rng([config.seed, step, rank, 0x746774])
        stretch_targets(batch.student_rows["target"], config.target_stretch, rng)
    return batch
