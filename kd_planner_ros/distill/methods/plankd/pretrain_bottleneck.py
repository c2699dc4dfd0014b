"""Training of PlanKD's bottleneck before the student's first step.

The bottleneck begins with fresh weights and learns beside the student. Over the paper's million steps that costs nothing. In a run
of some hundred steps the bottleneck never gets further (Adam, 1e-4) than naming the commonest states, and its latent means
nothing to the student. The bottleneck does not depend on the student and is small: thousands of its steps take a minute.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tqdm import tqdm

from kd_planner_ros.core.errors import ConfigError, TrainingError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.log import PRETRAIN
from kd_planner_ros.samples.sampler import EpochSampler

if TYPE_CHECKING:
    from kd_planner_ros.distill.run import Run

LOG_STEPS = 100
_SEED = 0x68656164
"""Turns the run's seed into another one, so that these steps read other draws than the first epoch."""


def pretrain_bottleneck(run: Run, steps: int) -> bool:
    """Let the method of ``run`` learn alone for ``steps`` steps; whether it came to the end.

    Raises:
        TrainingError: a loss is not finite.
        ConfigError: the network reads its samples in sequences.
    """
    from kd_planner_ros.distill.learner import NotFinite

    if not steps:
        return True
    learner, sampler = run.learner, run.sampler
    if not isinstance(sampler, EpochSampler):
        raise ConfigError("--plankd.pretrain-bottleneck with a network whose samples are drawn at random", "sequences in order",
                          "leave it out")
    if learner.group.leads:
        checkpoint.remove(run.folder)  # a run that is stopped here begins anew the next time
    draws = EpochSampler(sampler.weights, sampler.batch, sampler.seed ^ _SEED)
    for step in tqdm(range(steps), desc="bottleneck", unit="step", dynamic_ncols=True, file=sys.stderr,
                     disable=not (learner.config.progress and learner.group.leads)):
        try:
            values = learner.learn_alone(run.samples, draws.step(step)[run.rows], step)
        except NotFinite as error:
            path = run.folder / f"bad_batch_pretrain_{learner.group.rank}.npz"
            error.batch.save(path)
            raise TrainingError(f"a finite loss at step {step} of the bottleneck's pretraining", str(error),
                                f"see {path}, or leave --plankd.pretrain-bottleneck out") from None
        if run.log is not None and ((step + 1) % LOG_STEPS == 0 or step == 0):
            run.log.write(step + 1, PRETRAIN, values)
        if run.asked_to_stop():
            return False
    return True
