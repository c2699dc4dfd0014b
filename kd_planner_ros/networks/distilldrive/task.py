"""What student and teacher learn alike: samples of the scene, their memory, the planner's losses, its vocabulary and its figures."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.drive import Drive
from kd_planner_ros.core.timeline import POSE_COLUMNS, Timeline
from kd_planner_ros.networks.distilldrive.config import COMMANDS, MEASURED, STEP_NS, STEP_S, SceneConfig
from kd_planner_ros.networks.distilldrive.decode import command_rows, preference
from kd_planner_ros.networks.distilldrive.kmeans import MOST, fitted
from kd_planner_ros.networks.distilldrive.loss import Pairs
from kd_planner_ros.networks.distilldrive.memory import Slots
from kd_planner_ros.networks.distilldrive.plan_loss import motion_losses, of_command, offsets_of, plan_losses, status_of
from kd_planner_ros.networks.distilldrive.reinforcement import Reinforcement
from kd_planner_ros.networks.training import LearningTask, Loss, Score, Sequences, Stage

PLANNING = {"motion_score": 0.2, "motion": 0.2, "plan_score": 0.5, "plan": 2.0, "status": 2.0, "reinforcement": 1.0}
"""Weights of the planner's losses."""
SEQUENCE = Sequences(12, STEP_S)
"""A slot of the batch walks 6 s through a drive in steps of 0.5 s, as memory entries are apart: ten samples a second would show a slot the
same scene in many steps on end. The samples between belong to other sequences."""
SCENE_ARRAYS = ("boxes", "kinds", "ids", "past", "future", "lines", "line_kinds")


def statuses(timeline: Timeline, stamps: np.ndarray, full_lock_deg: float) -> np.ndarray:
    """The ego's status float32 [M, 10] (``config.STATUS``) at ``stamps`` [M]; NaN where the ego or the executed steering is unknown. The
    vertical and the rolling motions are 0."""
    ego = timeline.ego.take(stamps)
    steer = timeline.control.take(stamps)[:, 1] * np.radians(full_lock_deg)
    names = ("speed_mps", "yaw_rate_rps", "acceleration_mps2", "lateral_mps")
    speed, rate, gain, across = (ego[:, POSE_COLUMNS.index(name)] for name in names)
    nothing = np.zeros(len(stamps))
    return np.stack([gain, speed * rate, nothing, nothing, nothing, rate, speed, across, nothing, steer], 1).astype(np.float32)


class SceneTask(LearningTask):
    """The part of the learning task that does not depend on where the scene's tokens come from.

    Args:
        nothing: the network's memory before the first frame, [1, ...] each.
        reinforcement: form of the reinforcement term (``reinforcement.FORMS``).
        score, space: see ``plan_losses``.
    """

    scene = True
    truth = ("objects", "tracks", "lines")
    sampling = SEQUENCE
    step_s = STEP_S

    def __init__(self, config: SceneConfig, nothing: Mapping[str, Tensor], reinforcement: str, score: str, space: str):
        self.scene_config, self.horizon_s = config, config.horizon_s
        self.reads = (*(("speed",) if config.speed == MEASURED else ()), *(("target",) if config.target else ()))
        self.slots = Slots(config, nothing)
        self.truth = (*SceneTask.truth, *(("signals",) if config.signals else ()))
        self._score, self._space = score, space
        self.rl = None if reinforcement == "off" else Reinforcement(reinforcement)
        self._model: Any = None

    # --- samples -----------------------------------------------------------------------------------------------------

    def per_tick_targets(self, drive: Drive) -> Mapping[str, Any]:
        """The status now and 0.5 s later."""
        lock, stamps = self.scene_config.full_lock_deg, drive.stamps_ns
        return {"status": statuses(drive.timeline, stamps, lock), "next_status": statuses(drive.timeline, stamps + STEP_NS, lock)}

    # --- a step ------------------------------------------------------------------------------------------------------

    def modules(self, model: nn.Module) -> nn.Module | None:
        """What is trained beside ``model``: the reinforcement term's networks, and the student's posterior."""
        self._model = model
        beside = nn.ModuleDict(self.beside())
        return beside if len(beside) else None

    def use(self, model: nn.Module) -> None:
        """See ``LearningTask``."""
        self._model = model

    def beside(self) -> dict[str, nn.Module]:
        """Modules beside the network by name."""
        return {} if self.rl is None else {"reinforcement": self.rl}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """The driven way ``plan`` [B, T, 2] and whether it is known, ``command``, ``status``, ``next_status``, and the scene's arrays."""
        plan = torch.from_numpy(np.array(rows["future"], np.float32))
        found = {name: torch.from_numpy(np.array(arrays[name])) for name in ("boxes", "future", "lines", "status", "next_status")}
        kinds = {name: torch.from_numpy(np.array(arrays[name], np.int64)) for name in ("kinds", "line_kinds")}
        if "shown" in arrays:
            found["shown"] = torch.from_numpy(np.array(arrays["shown"], bool))
        return {**found, **kinds, "plan": plan, "plan_known": plan.isfinite().all(-1).all(-1),
                "command": torch.from_numpy(_commands(rows))}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
             stage: Stage | None = None, weights: Mapping[str, float] | None = None) -> Loss:
        """The parts whose weight in this stage is not 0. A ramp may pass a part's own weight; it counts no more than that. A weight that a
        stage gives is taken as it is."""
        own, ramped = self.weights, () if stage is None else stage.ramps
        used = dict(own) if weights is None else {name: min(weight, own[name]) if name in ramped else weight
                                                  for name, weight in weights.items() if name in own}
        parts = self.parts(single_precision(outputs), targets, {name for name, weight in used.items() if weight})
        total = sum((used[name] * part for name, part in parts.items()), outputs["offsets"].new_zeros(()))
        return Loss(total, {name: part.detach() for name, part in parts.items()}, len(targets["plan"]))

    @abstractmethod
    def parts(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
        """The parts ``wanted`` of the loss, unweighted, by name."""

    def planning(self, answers: Mapping[str, Tensor], targets: Mapping[str, Tensor], pairs: Pairs) -> dict[str, Tensor]:
        """The planner's losses; the reinforcement term in training alone."""
        parts = {**plan_losses(answers, targets, self._score, self._space), **motion_losses(answers, targets, pairs)}
        if self.rl is not None and torch.is_grad_enabled():
            parts["reinforcement"] = self._reinforced(self.rl, answers, targets)
        return parts

    def _reinforced(self, rl: Reinforcement, answers: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor:
        command, truth = targets["command"], offsets_of(torch.nan_to_num(targets["plan"]))
        six = of_command(answers["offsets"].float(), command)
        best = (six.detach().cumsum(2) - truth.cumsum(1)[:, None]).norm(dim=-1).mean(-1).argmin(1)
        way = six[torch.arange(len(best), device=best.device), best]
        status = torch.where(targets["plan_known"][:, None], targets["status"], torch.nan)
        return rl(status, targets["next_status"], status_of(answers["status"].float(), command, best), truth, way, command)

    def begin_step(self, reset: np.ndarray) -> None:
        """See ``Slots``."""
        self.slots.begin(reset)

    def end_step(self, outputs: Mapping[str, Tensor]) -> None:
        """Remember; the reinforcement term's slow network follows."""
        self.slots.keep(outputs)
        if self.rl is not None and torch.is_grad_enabled():
            self.rl.follow()

    def memory(self) -> Any:
        """The memory of every slot."""
        return self.slots.plain()

    def restore_memory(self, memory: Any) -> None:
        """See ``Slots.restore``."""
        self.slots.restore(memory)

    # --- vocabulary --------------------------------------------------------------------------------------------------

    def fit(self, samples: Any) -> Mapping[str, Tensor] | None:
        """The vocabularies, and where the network has them the first boxes and lines, by k-means over ``samples``."""
        if self._model is None:
            return None
        index = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), MOST)).round().astype(int))
        places = samples.places(index)
        names = ("boxes", "kinds", "future", "lines", "line_kinds", "shown")
        arrays = {name: np.stack([np.asarray(shard.fields[name][row]) for shard, row in places])
                  for name in names if name in places[0][0].fields}
        own = dict(self._model.named_buffers())
        first = {name: own[name].cpu().numpy() for name in (
            "planner.plan_anchors", "planner.motion_anchors", "agents.kind.anchors", "lines.kind.anchors") if name in own}
        rows = samples.rows[index]
        return {name: torch.from_numpy(one) for name, one in
                fitted(arrays, np.asarray(rows["future"]), _commands(rows), first).items()}

    # --- figures -----------------------------------------------------------------------------------------------------

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """``l2_m``: mean distance of the chosen trajectory over its steps, in all and by each command that there is; ``l2_end_m`` at the
        last step; ``best_m``: of the nearest of the command's six; ``status_mae``."""
        command, known = targets["command"], targets["plan_known"]
        offsets, scores = (of_command(outputs[name].float(), command) for name in ("offsets", "scores"))
        error = (offsets.cumsum(2) - torch.nan_to_num(targets["plan"])[:, None]).norm(dim=-1)
        wanted = preference(offsets.cumsum(2).cpu().numpy(), scores.cpu().numpy(), self.scene_config.choice).argmax(1)
        chosen = error[torch.arange(len(error), device=error.device), torch.from_numpy(wanted).to(error.device)]
        found = {"l2_m": _over(chosen.mean(1), known), "l2_end_m": _over(chosen[:, -1], known),
                 "best_m": _over(error.mean(2).amin(1), known)}
        found |= {f"l2_{name}_m": _over(chosen.mean(1), own) for row, name in enumerate(COMMANDS)
                  if bool((own := known & (command == row)).any())}
        status = status_of(outputs["status"].float(), command, error.mean(2).argmin(1))
        sure = targets["status"].isfinite()
        wrong = (status - torch.nan_to_num(targets["status"])).abs()
        return found | {"status_mae": (float((wrong * sure).sum()), float(sure.sum()))}

    def selection_score(self, figures: Mapping[str, float]) -> float:
        """The chosen trajectory's distance in metres, and where road users are looked for the share that was missed."""
        return figures["l2_m"] + (1.0 - figures["agents_found"] if "agents_found" in figures else 0.0)


def _commands(rows: np.ndarray) -> np.ndarray:
    """Index [B] in ``COMMANDS`` of samples' ``rows``."""
    return command_rows(rows["target"], rows["command"], rows["speed"])


def single_precision(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """``outputs``, which may be half precision, for modules that read them outside of the network."""
    return {name: one.float() if one.is_floating_point() else one for name, one in outputs.items()}


def _over(values: Tensor, known: Tensor) -> Score:
    return float((values * known).sum()), float(known.sum())
