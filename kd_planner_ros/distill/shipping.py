"""The model folder of a run: the best weights so far, and a card that says how they were made and how the run ended."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from kd_planner_ros.bags.contents import SPLIT
from kd_planner_ros.core.card import CARD, read_card
from kd_planner_ros.distill.config import TrainConfig, plain
from kd_planner_ros.distill.learner import Learner
from kd_planner_ros.distill.ownership import model_folder
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.store import WEIGHTS, add_training, save_model
from kd_planner_ros.samples.dataset import Samples


class Shipping:
    """Where the model of ``config`` goes. ``best`` says which weights lie there: score, step, validation, sha256."""

    def __init__(self, config: TrainConfig, samples: Samples, held_out: Samples, steps_per_epoch: int):
        self.config, self.samples, self.held_out, self.steps_per_epoch = config, samples, held_out, steps_per_epoch
        self.folder = model_folder(config)
        self.best: dict[str, Any] = {"score": float("inf"), "step": 0, "validation": {}}

    @property
    def there(self) -> bool:
        """Whether card and weights are there."""
        return all((self.folder / name).is_file() for name in (CARD, WEIGHTS))

    def offer(self, learner: Learner, step: int, score: float, validation: dict[str, float]) -> bool:
        """Ship the weights of ``learner`` if no ``score`` so far is smaller; whether they were. Of equal ones the later weights have learnt
        more: a score that the held-out samples do not touch is the same all along."""
        if math.isnan(score):
            print(f"the selection score of step {step} is not a number: its weights are not shipped", file=sys.stderr)
        if not score <= self.best["score"]:
            return False
        self.best = {"score": score, "step": step, "validation": validation}
        self._ship(learner, step)
        return True

    def _ship(self, learner: Learner, step: int) -> None:
        facts = [shard.facts for shard in self.samples.shards]
        training = {
            "method": self._without_teacher(), **learner.distillation.facts(),
            **(learner.start.facts() if learner.start else {}),
            "recipe": plain(self.config.recipe),
            "data": {"sha256": self.samples.data_hash, "maps": sorted({f["map"] for f in facts}), **_splits(facts),
                     "recordings": len(facts), "samples": len(self.samples), "held_out_samples": len(self.held_out),
                     "held_out_routes": sorted({f"{s.facts['map']}/{s.facts['route']}" for s in self.held_out.shards})},
            "steps": step, "epochs": round(step / self.steps_per_epoch, 3),
            "samples_read": step * self.config.batch, "seed": self.config.seed, "torch": torch.__version__,
            **({"stage": learner.stage.name} if len(learner.plan.stages) > 1 else {}), **self._outcome(False)}
        scores = {"validation": {k: round(v, 5) for k, v in self.best["validation"].items()}}
        parts = learner.start.parts(self.folder.parent) if learner.start else {}
        card = save_model(self.folder, self.config.network, learner.model_config, learner.shipped.state_dict(), training, scores, parts)
        self.best["sha256"] = card.weights_sha256

    def _without_teacher(self) -> str:
        """The card's name for a training without a teacher."""
        planner = find_network(self.config.network).role == "planner"
        return "imitation of the rule-based expert" if planner else "supervised by the recordings' labels"

    def _outcome(self, finished: bool) -> dict[str, Any]:
        """How long the run was to be and whether it came to that, for the card."""
        return {"planned": self.config.length, "finished": finished, "command": self.config.command}

    def conclude(self, finished: bool) -> None:
        """Write onto the card of the best weights how the run ended. Those weights may come from the middle of the run, or
        from an earlier call of another length. Another run's card is left alone."""
        if self.best["step"] and (self.folder / CARD).is_file():
            there = read_card(self.folder).weights_sha256
            if self.best.get("sha256", there) == there:  # older checkpoints lack it
                add_training(self.folder, self._outcome(finished))


def _splits(facts: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[str]]]:
    """For the card: the parts of a published split that the recordings of each map belong to ("": none); empty where none does to any."""
    found: dict[str, set[str]] = {}
    for one in facts:
        found.setdefault(one["map"], set()).add(str(one.get(SPLIT, "")))
    split = {town: sorted(parts) for town, parts in sorted(found.items()) if parts != {""}}
    return {"splits": split} if split else {}
