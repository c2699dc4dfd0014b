"""Training from recordings: the entry point of command line, trainer node and benchmark.

Everything random is a function of (seed, step): an interrupted and resumed run is bit-identical to an uninterrupted
one (single process, CPU, same number of threads; with ``max_minutes`` the schedule follows the clock instead).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from kd_planner_ros.bags.contents import SPLIT, TRAIN_PART
from kd_planner_ros.bags.source import Source
from kd_planner_ros.bags.triplets import Triplets
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.towns import town_of
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.batches import require_read
from kd_planner_ros.distill.config import EVALUATION_MAPS, TrainConfig, TrainReport
from kd_planner_ros.distill.footage import find_footage, footage_shards, require_footage
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.observer import Observer
from kd_planner_ros.distill.ownership import require_own_folders, require_same_recipe
from kd_planner_ros.distill.parallel import Group, join
from kd_planner_ros.distill.recorded import require_sensors, sources
from kd_planner_ros.distill.run import Run, recipe_of
from kd_planner_ros.samples.arrays import allow_open_files
from kd_planner_ros.samples.report import lines
from kd_planner_ros.samples.shards import Shard, build_shards

__all__ = ["TrainConfig", "TrainReport", "train"]


def train(config: TrainConfig, observer: Observer = Observer()) -> TrainReport:
    """Train as ``config`` says; go on from the run's last checkpoint if there is one.

    Ctrl-C saves a checkpoint and ends early with ``finished`` False, on the card too; the best weights so far are in the
    models folder. ``observer`` receives the run's events, and may pause or end the run.

    Raises:
        BagError: no recordings, a broken one, one without a topic that is needed, or no samples in them.
        ConfigError: recordings beside a data set of pictures, or of an evaluation map without ``allow_leak``, an unknown size, no such
            device, an unfit stage, or a folder that holds another run's model or other files.
        TrainingError: the loss is not finite (the batch is saved), or the checkpoint belongs to another recipe.
    """
    allow_open_files()
    group = join(config.device)
    try:
        if config.threads:
            torch.set_num_threads(config.threads)
        state = None if config.fresh else checkpoint.load(Path(config.runs_dir) / config.name)
        require_own_folders(config, state)
        footage = find_footage(config)
        found = require_sensors(config) if footage is None else require_footage(config, footage)
        bags = sources(config) if footage is None else []
        learner = Learner(config, group, *found)
        require_read(config, learner.task)
        require_same_recipe(state, recipe_of(config, learner), Path(config.runs_dir) / config.name)  # samples may take an hour
        run = Run(config, group, learner, _samples(config, bags, footage, learner, group), observer, state)
        del state  # it is as large as model and optimiser, and the run has taken it over
        return run.go()
    finally:
        group.close()


def _require_for_training(shards: list[Shard], allow_leak: bool) -> None:
    """Refuse recordings of those parts of a published split that figures are reported on."""
    held = [shard for shard in shards if shard.facts.get(SPLIT, "") not in ("", TRAIN_PART)]
    if held and not allow_leak:
        raise ConfigError(f"recordings of the part '{TRAIN_PART}' of their data set's split",
                          f"{len(held)} of '{held[0].facts[SPLIT]}', such as {held[0].facts['bag']}",
                          "leave them out, or give --allow-leak if no score is to be reported on them")


def _samples(config: TrainConfig, bags: list[Source], footage: Triplets | None, learner: Learner, group: Group) -> dict[Shard, Source]:
    """Every shard of the run's samples, with what it was made of."""
    if footage is not None:
        shards = footage_shards(config, footage, learner, group)
        _require_for_training(shards, config.allow_leak)
        return {shard: Source(footage.folder) for shard in shards}
    return dict(zip(_shards(config, bags, learner, group), bags, strict=True))


def _shards(config: TrainConfig, bags: list[Source], learner: Learner, group: Group) -> list[Shard]:
    """Every recording's samples; each process makes those of some recordings, and then finds all of them."""
    def build(some: list[Source]) -> list[Shard]:
        return build_shards(some, config.cache, learner.task, config.progress and group.leads, learner.model_config.rig)

    shards = group.leader_first(lambda: build(bags), lambda: build(group.part_of(bags)))
    if group.leads:
        print("\n".join(lines(shards)), file=sys.stderr)
    leaks = [s.facts["map"] for s in shards if town_of(s.facts["map"]) in EVALUATION_MAPS]
    if leaks and not config.allow_leak:
        raise ConfigError(f"no recordings of the evaluation maps {', '.join(EVALUATION_MAPS)}", f"{len(leaks)} of {leaks[0]}",
                          "leave them out, or give --allow-leak if no score is to be reported on it")
    _require_for_training(shards, config.allow_leak)
    if group.leads and (nameless := sum(not s.facts["map"] for s in shards)):
        print(f"{nameless} of {len(shards)} recordings do not say on which map they were made: the benchmark will not take the model",
              file=sys.stderr)
    return shards
