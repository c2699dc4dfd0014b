"""One training run: the loop around a Learner, through its stages, with checkpoints, validation and a log."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from kd_planner_ros.core.errors import ConfigError, TrainingError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.config import TrainConfig, TrainReport, plain
from kd_planner_ros.distill.interrupts import interrupts
from kd_planner_ros.distill.learner import Learner, NotFinite
from kd_planner_ros.distill.log import Log
from kd_planner_ros.distill.observer import Observer
from kd_planner_ros.distill.ownership import require_own_model, require_same_recipe, say_other_length
from kd_planner_ros.distill.parallel import Group
from kd_planner_ros.distill.schedule import learning_rate
from kd_planner_ros.distill.shipping import Shipping
from kd_planner_ros.distill.stage_samplers import stage_samplers
from kd_planner_ros.samples.dataset import Batch, Samples, split, weights
from kd_planner_ros.samples.sampler import build_sampler
from kd_planner_ros.samples.shards import Shard

LOG_STEPS = 20


def recipe_of(config: TrainConfig, learner: Learner, data_sha256: str = "") -> dict[str, Any]:
    """What a checkpoint belongs to: the recipe, the stages of the network where the recipe names none, the very weights of teachers
    and start, and the samples (``data_sha256``) where they are known."""
    recipe = {**config.recipe, **learner.models_used}
    if not config.stages:
        recipe["network stages"] = [asdict(stage) for stage in learner.plan.stages]
    return plain(recipe | ({"recordings": data_sha256} if data_sha256 else {}))


def _steps(config: TrainConfig, an_epoch: int) -> int:
    """Steps of the whole run."""
    return max(1, round(config.epochs * an_epoch))


def _draws(config: TrainConfig, learner: Learner, samples: Samples, new: bool) -> np.ndarray:
    """How often an epoch contains each of ``samples`` [N].

    Raises:
        ConfigError: a stage of a ``new`` run gets no step. That is checked before the teachers' answers are made, which takes minutes,
            and again after it: where teachers lack samples there are fewer steps.
    """
    drawn = weights(samples.rows, config.start_weight, config.hazard_weight)
    if new:
        sampler = build_sampler(learner.task.sampling, samples, drawn, config.batch, config.seed)
        learner.plan.require_steps(_steps(config, sampler.steps_per_epoch))
    return drawn


class Run:
    """One call of ``train``. A method may read ``learner``, ``samples``, ``sampler``, ``rows``, ``folder`` and ``log`` before the
    first step, and ask ``asked_to_stop``. ``state`` is the checkpoint that the run goes on from."""

    def __init__(self, config: TrainConfig, group: Group, learner: Learner, bags: dict[Shard, Path], observer: Observer,
                 state: dict[str, Any] | None = None):
        self.config, self.group, self.learner = config, group, learner
        self.observer = observer if group.leads else Observer()
        self.folder = Path(config.runs_dir) / config.name
        self.log: Log | None = None
        self.samples, self.held_out = split(list(bags), config.validation_share, config.train_share)
        share = config.batch // group.size
        if share * group.size != config.batch:
            raise ConfigError(f"a batch that {group.size} processes can share equally", str(config.batch), "correct --batch")
        self.rows = slice(group.rank * share, (group.rank + 1) * share)
        drawn = _draws(config, learner, self.samples, state is None)
        learner.distillation.attach({shard: bags[shard] for shard in self.samples.shards})
        usable = learner.distillation.usable(self.samples)
        self.sampler = build_sampler(learner.task.sampling, self.samples, drawn * usable, config.batch, config.seed, usable)
        self.by_stage = stage_samplers(learner, self.samples, drawn * usable, config.batch, config.seed, group.leads)
        learner.steps_per_epoch = self.sampler.steps_per_epoch
        self.total = _steps(config, self.sampler.steps_per_epoch)
        self.shipping = Shipping(config, self.samples, self.held_out, self.sampler.steps_per_epoch)
        self.step, self.validated_step, self.spent_s, self.stop = 0, 0, 0.0, False
        self._resume(state)

    def _resume(self, state: dict[str, Any] | None) -> None:
        self.resumed, self._recipe = state is not None, recipe_of(self.config, self.learner, self.samples.data_hash)
        require_own_model(self.config, state["best"] if state else {}, self.samples.data_hash)
        if state is None:
            self.learner.plan.require_steps(self.total)
            self.learner.fit(self.samples)
            return
        require_same_recipe(state, self._recipe, self.folder)
        if self.group.leads:
            say_other_length(self.config, state, self.folder)
        self.learner.restore(state["learner"])
        self.step, self.spent_s = state["step"], state["spent_s"]
        (kept,) = self.group.share(float(not state["best"]["step"] or self.shipping.there))
        if kept:
            self.shipping.best, self.validated_step = state["best"], state["validated_step"]
        elif self.group.leads:
            print(f"{self.shipping.folder} is gone, and with it the best weights, of step {state['best']['step']}: the best from "
                  f"step {self.step} on take their place", file=sys.stderr)

    def _save(self) -> None:
        if not self.group.leads:
            return
        checkpoint.save(self.folder, {"recipe": json.dumps(self._recipe, sort_keys=True), "learner": self.learner.state(),
                                      "length": self.config.length,
                                      "step": self.step, "spent_s": self.spent_s, "best": self.shipping.best,
                                      "validated_step": self.validated_step})
        self.observer.saved(self.step, self.folder)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def go(self) -> TrainReport:
        """Train to the end, to the interrupt or to the first loss that is not finite."""
        self.log = Log(self.folder, self.step if self.resumed else None) if self.group.leads else None
        with closing(self.log) if self.log is not None else nullcontext():
            self.observer.began(self.step, self.total, len(self.samples), len(self.held_out))
            self.observer.stage_began(self.learner.stage, self.learner.stage_index, len(self.learner.plan.stages))
            if not (self.resumed or self._before()):
                return self._report(self.step, 0.0, False)
            began, first = time.perf_counter(), self.step
            with interrupts(self):
                self._loop()
                interrupted = self.stop
                if not interrupted and self.validated_step != self.step:
                    self._validate()
                self._save()
                if self.group.leads:
                    self.shipping.conclude(not interrupted)
            return self._report(first, time.perf_counter() - began, not interrupted)

    def _loop(self) -> None:
        """One step after the other until the run is done or stopped; validations and checkpoints when they are due."""
        began, started_s = time.perf_counter(), self.spent_s
        validated = saved = began
        bar = tqdm(total=self.total, initial=self.step, desc=self._title, unit="step", dynamic_ncols=True,
                   disable=not (self.config.progress and self.group.leads), file=sys.stderr)
        with ThreadPoolExecutor(1) as reader, bar:
            coming = reader.submit(self._read, self.step)
            while True:
                started_s -= self._paused_s()
                self.spent_s = started_s + time.perf_counter() - began
                progress, over = self._progress()
                if over:
                    return
                coming = self._advance(progress, coming, reader)
                batch, coming = coming.result(), reader.submit(self._read, self.step + 1)
                values = self._step(batch, progress)
                bar.update()
                if self.log is not None and (self.step % LOG_STEPS == 0 or self.step == 1):
                    self.log.write(self.step, "train", values)
                    bar.set_description(self._title, refresh=False)
                    bar.set_postfix(loss=f"{values['loss']:.3f}")
                if len(self.held_out) and self._due(validated, self.config.validate_minutes):
                    self._validate()
                    validated = time.perf_counter()
                if self._due(saved, self.config.checkpoint_minutes, epoch=False):
                    self._save()
                    saved = time.perf_counter()

    def _advance(self, progress: float, coming: Future, reader: ThreadPoolExecutor) -> Future:
        """Begin the stage that ``progress`` lies in; the batch ``coming`` is then read again, for a stage's method reads its own."""
        index = self.learner.plan.index(progress, self.learner.stage_index)
        if index != self.learner.stage_index:
            coming.result()
            self.learner.begin_stage(index)
            self._save()
            self.observer.stage_began(self.learner.stage, index, len(self.learner.plan.stages))
            coming = reader.submit(self._read, self.step)
        self.learner.stage_progress = self.learner.plan.within(progress, index)
        return coming

    @property
    def _title(self) -> str:
        stages = self.learner.plan.stages
        return "train" if len(stages) == 1 else f"{self.learner.stage.name} ({self.learner.stage_index + 1}/{len(stages)})"

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

    def _before(self) -> bool:
        """What each stage's method learns before the first step; whether all came to their end."""
        with interrupts(self):
            return self.learner.distillation.before_training(self)

    def asked_to_stop(self) -> bool:
        """Whether the run is to stop; a method asks between two of its own steps. A pause is waited for."""
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

    def _read(self, step: int) -> Batch:
        sampler = self.by_stage.get(self.learner.stage_index, self.sampler)
        return self.learner.prepare(self.samples, sampler.step(step)[self.rows], step, sampler.resets(step)[self.rows])

    def _step(self, batch: Batch, progress: float) -> dict[str, float]:
        rate = self.learner.stage.rate * learning_rate(self.config.schedule, self.config.lr, self.learner.stage_progress)
        try:
            values = self.learner.step(batch, self.step, rate)
        except NotFinite as error:
            path = self.folder / f"bad_batch_{self.step}_{self.group.rank}.npz"
            error.batch.save(path)
            raise TrainingError(f"a finite loss at step {self.step}", str(error),
                                f"see {path}; the last checkpoint is kept: lower --lr or --clip and start anew") from None
        self.step += 1
        self.observer.stepped(self.step, progress, values)
        return values

    def _validate(self) -> None:
        """Score the held-out routes; ship the weights if they are the best so far, or if nothing is held out."""
        shipped = False
        if self.group.leads:
            scores = self.learner.validate(self.held_out, 2 * self.config.batch)
            score = float(self.learner.task.selection_score(scores)) if scores else -float(self.step)
            if self.log is not None and scores:
                self.log.write(self.step, "validation", scores)
            self.observer.validated(self.step, scores)
            shipped = self.shipping.offer(self.learner, self.step, score, scores)
            self.observer.selected(self.step, score, self.shipping.best["step"], self.shipping.best["score"])
        self.validated_step = self.step
        if shipped:
            self._save()  # a run that is killed now must know at its next call whose weights lie there
        self.group.wait()

    def _report(self, first: int, seconds: float, finished: bool) -> TrainReport:
        read, best = (self.step - first) * self.config.batch, self.shipping.best
        return TrainReport(
            model=str(self.shipping.folder), steps=self.step,
            epochs=self.step / self.sampler.steps_per_epoch, samples_read=self.step * self.config.batch,
            minutes=self.spent_s / 60.0, samples_per_s=read / max(seconds, 1e-9), train_samples=len(self.samples),
            validation_samples=len(self.held_out), best_step=best["step"], finished=finished, validation=best["validation"])
