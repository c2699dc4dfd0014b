"""PlanKD: planning-relevant feature distillation and safety-aware waypoint-attentive distillation.

Source: Feng et al., "On the Road to Portability: Compressing End-to-End Motion Planner for Autonomous Driving", CVPR 2024,
equation 9 and algorithm 1; where paper and repository disagree: docs/notes/plankd_paper_and_code.md.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.bags.scenes import scenes
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.distill.maps import channel_mean, stage_of, stage_shapes
from kd_planner_ros.distill.methods.base import Answers, Distiller, MethodContext, Outputs, Truth
from kd_planner_ros.distill.methods.plankd import bottleneck, safety, scene_cache
from kd_planner_ros.distill.methods.plankd.attention import WaypointAttention, measurement
from kd_planner_ros.distill.methods.plankd.bev_frames import map_of
from kd_planner_ros.distill.methods.plankd.bottleneck import InformationBottleneck
from kd_planner_ros.distill.methods.plankd.config import Config
from kd_planner_ros.distill.methods.plankd.pretrain_bottleneck import pretrain_bottleneck
from kd_planner_ros.distill.methods.plankd.scene_cache import SceneCache, SceneKind
from kd_planner_ros.distill.methods.plankd.switches import PlanKDSwitches, switches_of, truth_needed
from kd_planner_ros.networks.blocks.inputs import COMMANDS, command_index
from kd_planner_ros.networks.registry import find_training
from kd_planner_ros.samples.dataset import Batch
from kd_planner_ros.samples.shards import Shard
from kd_planner_ros.wire.topics import TRUTH_STATE


class PlanKD(Distiller):
    """PlanKD's terms. ``losses`` first moves the bottleneck one step of its own Adam on detached features.

    Args:
        inputs: length of the flattened channel means of the student's and the teacher's stage 2.
        average: called with the bottleneck's parameters between backward and step, so that several processes agree.
        from_base: turns points in ``base_link`` into the frame of the network's waypoints.
    """

    name = "plankd"
    reads_features = True

    def __init__(self, inputs: int, switches: PlanKDSwitches = PlanKDSwitches(),
                 average: Callable[[list[nn.Parameter]], None] = lambda _: None, options: Config = Config(),
                 from_base: Callable[[np.ndarray], np.ndarray] = lambda points: points):
        super().__init__()
        self.choice, self._average, self.options, self._from_base = switches, average, options, from_base
        self.bottleneck = InformationBottleneck(inputs) if switches.use_bottleneck else None
        self.attention = WaypointAttention(switches.bev_detail) if switches.weighting == "attention" else None
        self.teacher_fields = ("mean_stage2", "waypoints") if switches.teacher_waypoints else ("mean_stage2",)
        self.needs = switches.needs
        self.replaces = ("waypoints",)
        self._adam = (torch.optim.Adam(self.bottleneck.parameters(), lr=switches.bottleneck_lr, fused=True)
                      if self.bottleneck is not None else None)
        self._report: dict[str, Tensor] = {}
        self._scenes: SceneCache | None = None

    def require(self, bags: Mapping[Shard, Path]) -> None:
        """Refuse samples without planning states where the bottleneck reads them."""
        for shard, bag in bags.items() if "states" in self.needs else ():
            if len(shard.rows) and (shard.rows["states"] < 0).all():
                raise no_states(bag)

    def attach(self, bags: Mapping[Shard, Path], progress: bool) -> None:
        """Draw the scenes that the attention reads."""
        if "bev" in self.needs:
            self._scenes = scene_cache.build(bags, self.options.maps_dir, progress, self._kind)

    @property
    def _kind(self) -> SceneKind:
        return SceneKind(self.options.bev_px_per_m, self.options.obstacle_mps)

    def make_up(self, shard: Shard, random: np.random.Generator) -> None:
        """Scenes of noise."""
        if "bev" in self.needs:
            scene_cache.make_up(self._kind.folder_of(shard), len(shard.rows), random)

    def before_training(self, run: Any) -> bool:
        """Let the bottleneck learn from the teacher alone for ``pretrain_bottleneck`` steps."""
        return pretrain_bottleneck(run, self.options.pretrain_bottleneck)

    def fetch(self, places: Sequence[tuple[Shard, int]]) -> dict[str, np.ndarray]:
        """``bev`` and ``obstacles``."""
        return self._scenes.fetch(places) if self._scenes is not None else {}

    def truth(self, targets: Mapping[str, Tensor], batch: Batch, device: torch.device) -> Truth:
        """Beside the targets, as the switches need them: ``states`` int64 [B, 8] (-1 unknown), ``bev`` uint8 [B, 3, 180, 180],
        ``obstacles`` [B, 15, 2] (metres, the frame of the waypoints, NaN = none), ``measured`` [B, 7]."""
        truth, rows = dict(targets), batch.rows
        if "states" in self.needs:
            truth["states"] = torch.from_numpy(rows["states"].astype(np.int64)).to(device)
        if "bev" in self.needs:
            truth["bev"] = torch.from_numpy(batch.extras["bev"]).to(device).permute(0, 3, 1, 2)
            places = batch.extras["obstacles"]
            places = np.where((places != 0.0).any(-1, keepdims=True), self._from_base(places), np.nan)
            truth["obstacles"] = torch.from_numpy(places.astype(np.float32)).to(device)
        if "measured" in self.needs:
            one_hot = nn.functional.one_hot(torch.from_numpy(command_index(rows["command"])), COMMANDS)
            truth["measured"] = measurement(one_hot, torch.from_numpy(rows["speed"].astype(np.float32))).to(device)
        return truth

    def losses(self, student: Outputs, teachers: Sequence[Answers], truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``feature``, ``attended`` (the weighted waypoints) and, with attention, ``ranking`` and ``entropy``, each times
        its weight."""
        self._report, teacher = {}, teachers[0]
        distance = self._feature(channel_mean(stage_of(student, 2)), teacher["mean_stage2"].float(), truth)
        return {"feature": self.choice.feature * distance} | self._waypoints(student["waypoints"], teacher, truth)

    def learn_alone(self, teachers: Sequence[Answers], truth: Truth) -> dict[str, Tensor]:
        """One step of the bottleneck on the teacher's map."""
        self._report = {}
        if self.bottleneck is not None:
            self._step_bottleneck(truth["states"], teacher=teachers[0]["mean_stage2"].float())
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
        """One step of Adam on the sum of the bottleneck's losses for ``maps`` (teacher, student); none where a gradient is not
        finite."""
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


def build(context: MethodContext) -> PlanKD:
    """PlanKD for the stage 2 of student and teacher.

    Raises:
        ConfigError: the student's network learns no waypoints.
    """
    if "waypoints" not in context.task.weights:
        raise ConfigError("a network whose loss has a part 'waypoints' for method 'plankd'",
                          f"'{context.network}' with {', '.join(context.task.weights) or 'none'}", "choose another --method")
    switches = switches_of(context.options, context.network, context.student, context.defaults, context.task.weights["waypoints"])
    cells = sum(rows * columns for _, rows, columns in stage_shapes(context.network, context.student)[1])
    return PlanKD(cells, switches, context.average, context.options, context.task.from_base)


def require_recording(recording: Recording, options: Config, network: str) -> None:
    """Refuse a recording that lacks planning states, objects or its map where PlanKD reads them."""
    needed = truth_needed(options, find_training(network).method_defaults.get(PlanKD.name, {}))
    if "states" in needed and recording.lacks(TRUTH_STATE):
        raise no_states(recording.path)
    if "bev" in needed:
        scenes(recording)
        map_of(recording, options.maps_dir)


def no_states(bag: Path) -> BagError:
    """The error for a recording without planning states."""
    return BagError(f"planning states on {TRUTH_STATE} in {bag}", "none", "record them with the expert; without them imitation, AT, "
                    "ReviewKD, DPK and PlanKD with --plankd.no-bottleneck work")
