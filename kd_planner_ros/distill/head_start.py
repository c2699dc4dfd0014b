"""What a method learns before the student's first step.

PlanKD's bottleneck begins fresh and learns beside the student: over the paper's million steps that costs nothing, but in a run
of some hundred steps it never gets further (Adam, 1e-4) than naming the commonest states, and what it hands to the student means
nothing. It does not hang on the student and is small: thousands of its steps take a minute.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from tqdm import tqdm

from kd_planner_ros.core.errors import TrainingError
from kd_planner_ros.distill.learner import Learner, NotFinite
from kd_planner_ros.distill.log import HEAD_START, Log
from kd_planner_ros.samples.dataset import EpochSampler, Samples

LOG_STEPS = 100
_SEED = 0x68656164
"""Turns the run's seed into another one, so that the head start reads other draws than the first epoch."""


def head_start(learner: Learner, samples: Samples, sampler: EpochSampler, rows: slice, stopped: Callable[[], bool],
               log: Log | None, bad_batch: Path) -> bool:
    """Let the method of ``learner`` learn alone for as many steps as its config says; whether it came to the end.

    Args:
        sampler: whose weights and batch are used. rows: which rows of a batch are this process's.
        stopped: asked after each step, gives the same in all processes.
        bad_batch: where a batch with a loss that is not finite is saved (.npz).

    Raises:
        TrainingError: a loss is not finite.
    """
    config = learner.config
    draws = EpochSampler(sampler.weights, sampler.batch, sampler.seed ^ _SEED)
    if not config.head_start:
        return True
    for step in tqdm(range(config.head_start), desc="head start", unit="step", dynamic_ncols=True, file=sys.stderr,
                     disable=not (config.progress and learner.group.leads)):
        try:
            values = learner.learn_alone(samples, draws.step(step)[rows], step)
        except NotFinite as error:
            error.batch.save(bad_batch)
            raise TrainingError(f"a finite loss at step {step} of the head start", str(error),
                                f"see {bad_batch}, or leave --head-start out") from None
        if log is not None and ((step + 1) % LOG_STEPS == 0 or step == 0):
            log.write(step + 1, HEAD_START, values)
        if stopped():
            return False
    return True
