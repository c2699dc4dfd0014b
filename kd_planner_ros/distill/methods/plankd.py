"""PlanKD: planning-relevant feature distillation and safety-aware waypoint-attentive distillation.

Source: Feng et al., "On the Road to Portability: Compressing End-to-End Motion Planner for Autonomous Driving", CVPR 2024,
equation 9 and algorithm 1; where paper and repository disagree: docs/notes/plankd_paper_and_code.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.config import choices
from kd_planner_ros.distill.losses import attention, bottleneck, safety
from kd_planner_ros.distill.losses.attention import WaypointAttention
from kd_planner_ros.distill.losses.bottleneck import InformationBottleneck
from kd_planner_ros.distill.losses.maps import channel_mean, stage_of
from kd_planner_ros.distill.methods.base import Answers, Distiller, Outputs, Truth


@dataclass(frozen=True)
class PlanKDSwitches:
    """Weights and choices. Defaults are TCP's; ``DEFAULTS`` has each network's.

    feature, ranking, entropy: alpha_z, alpha_r, alpha_e of equation 9. waypoints: weight of the attention-weighted term,
    as the network's own loss has it. teacher_waypoints: weight of the same term against the teacher's waypoints; the
    paper puts the expert's in their place (A.5), so 0. pull: share of the waypoint term's gradient that reaches the
    attention. The term is smallest when the attention looks at the waypoint that is easiest, the nearest one. The
    repository's InterFuser weights it 0.2 / 10 against 0.1 of the ranking, which is harmless; TCP's plain sum would be
    fifty times that and drown the ranking, so TCP's pull is 0.02: the repository's balance.
    """

    feature: float = 0.5
    ranking: float = 0.1
    entropy: float = 0.05
    waypoints: float = 1.0
    teacher_waypoints: float = 0.0
    scale: str = "sum"
    pull: float = 0.02
    beta: float = bottleneck.BETA
    bottleneck_lr: float = 1e-4
    noise: str = "shared"
    freeze_bottleneck: bool = True
    use_bottleneck: bool = True
    weighting: str = "attention"
    sigma_m: float = safety.SIGMA_M
    rank_loss: str = "margin"
    bev_detail: str = "full"

    def __post_init__(self):
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} out of {', '.join(known)}", repr(getattr(self, name)), f"correct '{name}'")

    @property
    def needs(self) -> tuple[str, ...]:
        """The ground truth that PlanKD reads with these choices, as ``Distiller.needs``."""
        return (*(("states",) if self.use_bottleneck else ()),
                *(("obstacles", "bev", "measured") if self.weighting == "attention" else ()))


CHOICES = {"scale": ("sum", "mean"), "noise": choices("latent_noise"), "weighting": choices("weighting"),
           "rank_loss": choices("rank_loss"), "bev_detail": tuple(attention.DETAILS)}
DEFAULTS = {"tcp": PlanKDSwitches(),
            "interfuser": PlanKDSwitches(feature=0.1, entropy=0.005, waypoints=0.2, scale="mean", pull=1.0)}
"""Section 3.4's columns; another network takes TCP's."""
PLAIN_WEIGHTING = {"tcp": "equal", "interfuser": "decay"}
"""How each network weights its waypoints by itself: what the ablation without safety attention falls back to."""


class PlanKD(Distiller):
    """PlanKD's terms. ``losses`` first moves the bottleneck one step of its own Adam on detached features.

    Args:
        inputs: length of the flattened channel means of the student's and the teacher's stage 2.
        average: called with the bottleneck's parameters between backward and step, so that several processes agree.
    """

    name = "plankd"
    reads_features = True

    def __init__(self, inputs: int, switches: PlanKDSwitches = PlanKDSwitches(),
                 average: Callable[[list[nn.Parameter]], None] = lambda _: None):
        super().__init__()
        self.choice, self._average = switches, average
        self.bottleneck = InformationBottleneck(inputs) if switches.use_bottleneck else None
        self.attention = WaypointAttention(switches.bev_detail) if switches.weighting == "attention" else None
        self.teacher_fields = ("mean_stage2", "waypoints") if switches.teacher_waypoints else ("mean_stage2",)
        self.needs = switches.needs
        self.replaces = ("waypoints",)
        self._adam = (torch.optim.Adam(self.bottleneck.parameters(), lr=switches.bottleneck_lr, fused=True)
                      if self.bottleneck is not None else None)
        self._report: dict[str, Tensor] = {}

    def losses(self, student: Outputs, teacher: Answers, truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``feature``, ``attended`` (the weighted waypoints) and, with attention, ``ranking`` and ``entropy``, each times
        its weight."""
        self._report = {}
        distance = self._feature(channel_mean(stage_of(student, 2)), teacher["mean_stage2"].float(), truth)
        return {"feature": self.choice.feature * distance} | self._waypoints(student["waypoints"], teacher, truth)

    def learn_alone(self, teacher: Answers, truth: Truth) -> dict[str, Tensor]:
        """One step of the bottleneck on the teacher's map."""
        self._report = {}
        if self.bottleneck is not None:
            self._step_bottleneck(truth["states"], teacher=teacher["mean_stage2"].float())
        return self._report

    def _feature(self, ours: Tensor, theirs: Tensor, truth: Truth) -> Tensor:
        if ours.shape[1] != theirs.shape[1]:
            raise ConfigError("teacher and student maps of equal size at stage 2", f"{theirs.shape[1]} and {ours.shape[1]} cells",
                              "give a teacher of the same input size")
        if self.bottleneck is None:
            return bottleneck.whole_map_distance(ours, theirs)
        self._step_bottleneck(truth["states"], teacher=theirs, student=ours)
        return bottleneck.latent_distance(self.bottleneck, ours, theirs, self.choice.noise, self.choice.freeze_bottleneck)

    def _step_bottleneck(self, states: Tensor, **maps: Tensor) -> None:
        """One step of Adam on the sum of the bottleneck losses of ``maps``, by whose they are; nothing moves if it is not finite."""
        found = {whose: self.bottleneck.loss(features, states, self.choice.beta) for whose, features in maps.items()}
        loss = sum(one for one, _ in found.values())
        self._report |= {"bottleneck": loss.detach(), **{f"named_{whose}": right for whose, (_, right) in found.items()}}
        self._adam.zero_grad(set_to_none=True)
        loss.backward()
        self._average(list(self.bottleneck.parameters()))  # also where it is not finite: the others wait for it
        if all(bool(parameter.grad.isfinite().all()) for parameter in self.bottleneck.parameters()):
            self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def _waypoints(self, waypoints: Tensor, teacher: Answers, truth: Truth) -> dict[str, Tensor]:
        choice, target, mask = self.choice, truth["waypoints"], truth["waypoints_mask"]
        terms: dict[str, Tensor] = {}
        if self.attention is None:
            weights = safety.fixed_weights(choice.weighting, mask)
        else:
            weights = self.attention(truth["bev"], truth["measured"], target, mask)
            psi = safety.proximity(target, truth["obstacles"], choice.sigma_m)
            terms["ranking"] = choice.ranking * self._ranking(weights, psi, mask)
            if choice.entropy:
                terms["entropy"] = choice.entropy * safety.negative_entropy(weights, mask)
            weights = weights.detach() + choice.pull * (weights - weights.detach())
        imitated = safety.weighted_waypoint_loss(waypoints, target, weights, mask, choice.scale)
        terms["attended"] = choice.waypoints * imitated
        if choice.teacher_waypoints:
            theirs = teacher["waypoints"].float()
            terms["teacher_waypoints"] = choice.teacher_waypoints * safety.weighted_waypoint_loss(
                waypoints, theirs, weights, mask, choice.scale)
        return terms

    def _ranking(self, weights: Tensor, psi: Tensor, mask: Tensor) -> Tensor:
        if self.choice.rank_loss == "paper":
            return safety.ranking_loss(weights, psi, mask, 0.0, "minus", "sum")
        return safety.ranking_loss(weights, psi, mask)

    def report(self) -> dict[str, Tensor]:
        """``bottleneck`` (bits) and the share of planning states named right from the teacher's and the student's map."""
        return self._report

    def trained(self) -> list[nn.Parameter]:
        """The attention's; the bottleneck's too where it is not frozen (the repository's way)."""
        parts = [self.attention] + ([] if self.choice.freeze_bottleneck else [self.bottleneck])
        return [parameter for part in parts if part is not None for parameter in part.parameters()]

    def own_optimisers(self) -> list[torch.optim.Optimizer]:
        """The bottleneck's Adam."""
        return [self._adam] if self._adam is not None else []

    def switches(self) -> dict[str, Any]:
        """Every weight and choice."""
        return asdict(self.choice)
