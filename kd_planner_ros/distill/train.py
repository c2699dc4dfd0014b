"""Imitation training from recordings: the loop around a Learner, with checkpoints, validation and a log.

Everything random is a function of (seed, step): an interrupted and resumed run is bit-identical to an uninterrupted
one (single process, CPU, same number of threads; with ``max_minutes`` the schedule follows the clock instead).
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from kd_planner_ros.bags.find import find_bags
from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError, TrainingError
from kd_planner_ros.core.towns import town_of
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.config import EVALUATION_MAPS, TrainConfig, TrainReport, plain
from kd_planner_ros.distill.head_start import head_start
from kd_planner_ros.distill.interrupts import interrupts
from kd_planner_ros.distill.learner import Learner, NotFinite
from kd_planner_ros.distill.log import Log
from kd_planner_ros.distill.observer import Observer
from kd_planner_ros.distill.parallel import Group, join
from kd_planner_ros.distill.recorded import cameras, require_sensors
from kd_planner_ros.distill.schedule import learning_rate
from kd_planner_ros.runtime.paths import models_folder
from kd_planner_ros.runtime.store import CARD, WEIGHTS, add_training, save_model
from kd_planner_ros.samples.arrays import allow_open_files
from kd_planner_ros.samples.dataset import EpochSampler, split, weights
from kd_planner_ros.samples.shards import Shard, build_shards

LOG_STEPS = 20

__all__ = ["TrainConfig", "TrainReport", "train"]


def train(config: TrainConfig, observer: Observer = Observer()) -> TrainReport:
    """Train as ``config`` says; go on from the run's last checkpoint if there is one.

    Ctrl-C saves a checkpoint and ends early with ``finished`` False, on the card too; the best weights so far are in the
    models folder.
    ``observer`` is told how it goes, and may pause or end it.

    Raises:
        BagError: no recordings, a broken one, one without a topic that is needed, or no samples in them.
        ConfigError: recordings of an evaluation map without ``allow_leak``, an unknown size, no such device.
        TrainingError: the loss is not finite (the batch is saved), or the checkpoint belongs to another recipe.
    """
    allow_open_files()
    group = join(config.device)
    try:
        if config.threads:
            torch.set_num_threads(config.threads)
        require_sensors(config)
        bags = find_bags(config.bags)
        learner = Learner(config, group, *cameras(bags[0]))
        shards = _shards(config, bags, learner, group)
        return _Run(config, group, learner, dict(zip(shards, bags)), observer).go()
    finally:
        group.close()


def _shards(config: TrainConfig, bags: list[Path], learner: Learner, group: Group) -> list[Shard]:
    """Every recording's samples; the leader builds the cache, the others wait and then find it built."""
    shards = group.leader_first(
        lambda: build_shards(bags, config.cache, learner.lessons, config.progress and group.leads))
    leaks = [s.facts["map"] for s in shards if town_of(s.facts["map"]) in EVALUATION_MAPS]
    if leaks and not config.allow_leak:
        raise ConfigError(f"no recordings of the evaluation map {', '.join(EVALUATION_MAPS)}", f"{len(leaks)} of {leaks[0]}",
                          "leave them out, or give --allow-leak if no score is to be reported on it")
    if group.leads and (nameless := sum(not s.facts["map"] for s in shards)):
        print(f"{nameless} of {len(shards)} recordings do not say on which map they were made: the benchmark will not take the model",
              file=sys.stderr)
    return shards


class _Run:
    """One call of ``train``."""

    def __init__(self, config: TrainConfig, group: Group, learner: Learner, bags: dict[Shard, Path], observer: Observer):
        self.config, self.group, self.learner = config, group, learner
        self.observer = observer if group.leads else Observer()
        self.folder = Path(config.runs_dir) / config.name
        self.model_folder = Path(config.models_dir or models_folder()) / config.name
        self.samples, self.held_out = split(list(bags), config.validation_share, config.train_share)
        share = config.batch // group.size
        if share * group.size != config.batch:
            raise ConfigError(f"a batch that {group.size} processes can share equally", str(config.batch), "correct 'batch'")
        self.rows = slice(group.rank * share, (group.rank + 1) * share)
        self.sampler = EpochSampler(weights(self.samples.rows, config.start_weight, config.hazard_weight), config.batch, config.seed)
        learner.steps_per_epoch = self.sampler.steps_per_epoch
        learner.distillation.attach({shard: bags[shard] for shard in self.samples.shards})
        self.total = max(1, round(config.epochs * self.sampler.steps_per_epoch))
        self.step, self.validated_step, self.spent_s, self.stop = 0, 0, 0.0, False
        self.best: dict[str, Any] = {"score": float("inf"), "step": 0, "validation": {}}
        self._resume()

    @property
    def _recipe(self) -> str:
        """What a checkpoint belongs to: the recipe, the samples, and the very weights of teacher and start."""
        return json.dumps({**self.config.recipe, "recordings": self.samples.data_hash, **self.learner.models_used},
                          sort_keys=True, default=str)

    def _resume(self) -> None:
        state = None if self.config.fresh else checkpoint.load(self.folder)
        self.resumed = state is not None
        if state is None:
            return
        if state["recipe"] != self._recipe:
            old, new = json.loads(state["recipe"]), json.loads(self._recipe)
            changed = sorted(k for k in {*old, *new} if old.get(k) != new.get(k))
            raise TrainingError(f"the recipe of the checkpoint in {self.folder}", f"other values of {', '.join(changed)}",
                                "give the same options, another --name, or --fresh to start anew")
        self.learner.restore(state["learner"])
        self.step, self.spent_s = state["step"], state["spent_s"]
        files = (self.model_folder / name for name in (CARD, WEIGHTS))
        (kept,) = self.group.share(float(not state["best"]["step"] or all(path.is_file() for path in files)))
        if kept:
            self.best, self.validated_step = state["best"], state["validated_step"]
        elif self.group.leads:
            print(f"{self.model_folder} is gone, and with it the best weights, of step {state['best']['step']}: the best from "
                  f"step {self.step} on take their place", file=sys.stderr)

    def _save(self) -> None:
        if not self.group.leads:
            return
        checkpoint.save(self.folder, {"recipe": self._recipe, "learner": self.learner.state(), "step": self.step,
                                      "spent_s": self.spent_s, "best": self.best, "validated_step": self.validated_step})
        self.observer.saved(self.step, self.folder)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def go(self) -> TrainReport:
        """Train to the end, to the interrupt or to the first loss that is not finite."""
        log = Log(self.folder, self.step if self.resumed else None) if self.group.leads else None
        with closing(log) if log is not None else nullcontext():
            self.observer.began(self.step, self.total, len(self.samples), len(self.held_out))
            if not (self.resumed or self._head_start(log)):
                return self._report(self.step, 0.0, False)
            began, first = time.perf_counter(), self.step
            with interrupts(self):
                self._loop(log)
                interrupted = self.stop
                if not interrupted and self.validated_step != self.step:
                    self._validate(log)
                self._save()
                self._conclude(not interrupted)
            return self._report(first, time.perf_counter() - began, not interrupted)

    def _loop(self, log: Log | None) -> None:
        """One step after the other until the run is done or stopped; validations and checkpoints when they are due."""
        began, started_s = time.perf_counter(), self.spent_s
        validated = saved = began
        bar = tqdm(total=self.total, initial=self.step, desc="train", unit="step", dynamic_ncols=True,
                   disable=not (self.config.progress and self.group.leads), file=sys.stderr)
        with ThreadPoolExecutor(1) as reader, bar:
            coming = reader.submit(self._read, self.step)
            while True:
                started_s -= self._paused_s()
                self.spent_s = started_s + time.perf_counter() - began
                progress, over = self._progress()
                if over:
                    return
                batch, coming = coming.result(), reader.submit(self._read, self.step + 1)
                values = self._step(batch, learning_rate(self.config.schedule, self.config.lr, progress))
                self.step += 1
                self.observer.stepped(self.step, progress, values)
                bar.update()
                if log is not None and (self.step % LOG_STEPS == 0 or self.step == 1):
                    log.write(self.step, "train", values)
                    bar.set_postfix(loss=f"{values['loss']:.3f}", wp=f"{values.get('waypoints', 0.0):.3f}")
                if len(self.held_out) and self._due(validated, self.config.validate_minutes):
                    self._validate(log)
                    validated = time.perf_counter()
                if self._due(saved, self.config.checkpoint_minutes, epoch=False):
                    self._save()
                    saved = time.perf_counter()

    def _paused_s(self) -> float:
        """Seconds spent waiting, which count for nothing; a pause begins with a checkpoint."""
        if not self.observer.paused:
            return 0.0
        began = time.perf_counter()
        self._save()
        with self.group.hold():
            self.observer.wait()
        return time.perf_counter() - began

    def _progress(self) -> tuple[float, bool]:
        """How much of the run is done in [0, 1], and whether to stop here; the same in every process."""
        progress = self.step / self.total
        if self.config.max_minutes > 0:
            progress = max(progress, self.spent_s / 60.0 / self.config.max_minutes)
        progress, stop = self.group.share(progress, float(self.stop or self.observer.stopped))
        self.stop = bool(stop)
        return progress, progress >= 1.0 or self.stop

    def _head_start(self, log: Log | None) -> bool:
        """Whether it came to its end. What is stopped in it begins anew: older checkpoints of this run go first."""
        if self.group.leads and self.config.head_start:
            checkpoint.remove(self.folder)
        with interrupts(self):
            return head_start(self.learner, self.samples, self.sampler, self.rows, self._stopped, log,
                              self.folder / f"bad_batch_head_start_{self.group.rank}.npz")

    def _stopped(self) -> bool:
        """Asked between two steps of the head start; a pause is waited for."""
        if self.observer.paused:
            with self.group.hold():
                self.observer.wait()
        (stop,) = self.group.share(float(self.stop or self.observer.stopped))
        return bool(stop)

    def _due(self, last: float, minutes: float, epoch: bool = True) -> bool:
        by_clock = minutes > 0 and time.perf_counter() - last > 60.0 * minutes
        at_end = epoch and self.step % self.sampler.steps_per_epoch == 0 and self.step < self.total
        (due,) = self.group.share(float(by_clock or at_end))
        return bool(due)

    def _read(self, step: int) -> Any:
        return self.learner.prepare(self.samples, self.sampler.step(step)[self.rows], step)

    def _step(self, batch: Any, rate: float) -> dict[str, float]:
        try:
            return self.learner.step(batch, self.step, rate)
        except NotFinite as error:
            path = self.folder / f"bad_batch_{self.step}_{self.group.rank}.npz"
            error.batch.save(path)
            raise TrainingError(f"a finite loss at step {self.step}", str(error),
                                f"see {path}; the last checkpoint is kept: lower --lr or --clip and start anew") from None

    def _validate(self, log: Log | None) -> None:
        """Score the held-out routes; ship the weights if they are the best so far, or if nothing is held out."""
        shipped = False
        if self.group.leads:
            scores = self.learner.validate(self.held_out, 2 * self.config.batch)
            score = self.learner.lessons.badness(scores) if scores else -float(self.step)
            if log is not None and scores:
                log.write(self.step, "validation", scores)
            self.observer.validated(self.step, scores)
            if score < self.best["score"]:
                self.best = {"score": score, "step": self.step, "validation": scores}
                self._ship()
                shipped = True
        self.validated_step = self.step
        if shipped:
            self._save()  # a run that is killed now must know at its next call whose weights lie there
        self.group.wait()

    # --- what comes of it --------------------------------------------------------------------------------------------

    def _ship(self) -> None:
        facts = [shard.facts for shard in self.samples.shards]
        training = {
            "method": "imitation of the rule-based expert", **self.learner.distillation.facts(),
            **(self.learner.start.facts() if self.learner.start else {}),
            "recipe": plain(self.config.recipe),
            "data": {"sha256": self.samples.data_hash, "maps": sorted({f["map"] for f in facts}),
                     "recordings": len(facts), "samples": len(self.samples), "held_out_samples": len(self.held_out),
                     "held_out_routes": sorted({f"{s.facts['map']}/{s.facts['route']}" for s in self.held_out.shards})},
            "steps": self.step, "epochs": round(self.step / self.sampler.steps_per_epoch, 3),
            "samples_read": self.step * self.config.batch, "seed": self.config.seed, "torch": torch.__version__,
            **self._outcome(False)}
        scores = {"validation": {k: round(v, 5) for k, v in self.best["validation"].items()}}
        card = save_model(self.model_folder, self.config.network, self.learner.model_config,
                          self.learner.shipped.state_dict(), training, scores)
        self.best["sha256"] = card.weights_sha256

    def _outcome(self, finished: bool) -> dict[str, Any]:
        """How long the run was to be and whether it came to that, for the card."""
        return {"planned": self.config.length, "finished": finished, "command": self.config.command}

    def _conclude(self, finished: bool) -> None:
        """Say on the card of the best weights how the run ended: they may be of its middle, or of an earlier call that was to
        be shorter or longer. Another run's card is left alone."""
        if self.group.leads and self.best["step"] and (self.model_folder / CARD).is_file():
            there = read_card(self.model_folder).weights_sha256
            if self.best.get("sha256", there) == there:  # older checkpoints lack it
                add_training(self.model_folder, self._outcome(finished))

    def _report(self, first: int, seconds: float, finished: bool) -> TrainReport:
        read = (self.step - first) * self.config.batch
        return TrainReport(
            model=str(self.model_folder), steps=self.step,
            epochs=self.step / self.sampler.steps_per_epoch, samples_read=self.step * self.config.batch,
            minutes=self.spent_s / 60.0, samples_per_s=read / max(seconds, 1e-9), train_samples=len(self.samples),
            validation_samples=len(self.held_out), best_step=self.best["step"], finished=finished,
            validation=self.best["validation"])
