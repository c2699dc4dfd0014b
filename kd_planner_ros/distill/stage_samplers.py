"""What stages read that draw single samples: those of a network without memory, and ``shuffled`` stages of one that reads sequences."""

from __future__ import annotations

import sys

import numpy as np

from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.networks.samples import Random
from kd_planner_ros.networks.training import Stage
from kd_planner_ros.samples.dataset import Samples
from kd_planner_ros.samples.sampler import EpochSampler


def stage_samplers(learner: Learner, samples: Samples, weights: np.ndarray, batch: int, seed: int, tell: bool) -> dict[int, EpochSampler]:
    """Samplers of stages by their index: single samples by ``weights`` [N], of those that teach the stage something
    (``LearningTask.useful``). With ``tell`` the others are counted on stderr. A stage without one reads as the whole run."""
    singly, found = isinstance(learner.task.sampling, Random), {}
    for index, stage in enumerate(learner.plan.stages):
        if singly or stage.shuffled:
            useful = _useful(learner, samples, stage, tell)
            if stage.shuffled or not useful.all():
                found[index] = EpochSampler(weights * useful, batch, seed)
    return found


def _useful(learner: Learner, samples: Samples, stage: Stage, tell: bool) -> np.ndarray:
    """bool [N]; all where no sample teaches the stage anything: then its losses are 0."""
    useful = learner.task.useful(samples, stage)
    if useful is None:
        return np.ones(len(samples), bool)
    if tell and not useful.all():
        rest = "the others teach it nothing" if useful.any() else "it learns nothing, and the stages behind it lack it"
        print(f"stage '{stage.name}': {int(useful.sum())} of {len(useful)} samples are of use, {rest}", file=sys.stderr)
    return useful if useful.any() else np.ones(len(samples), bool)
