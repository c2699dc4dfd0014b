"""What a DistillDrive student is trained on: the pictures of its cameras, the scene that they show, and the way that was driven."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.imaging.photometric import WITHOUT_PATTERN, augment
from kd_planner_ros.networks.distilldrive.auxiliary import AuxiliaryTasks
from kd_planner_ros.networks.distilldrive.config import DistillDriveConfig
from kd_planner_ros.networks.distilldrive.decode import SHOWN
from kd_planner_ros.networks.distilldrive.dense import cell_labels, move_of
from kd_planner_ros.networks.distilldrive.frozen_perception import TOKEN, FrozenPerception, frozen_modules
from kd_planner_ros.networks.distilldrive.generative import Gaussian, posterior
from kd_planner_ros.networks.distilldrive.lights import WEIGHT as LIGHT
from kd_planner_ros.networks.distilldrive.lights import before_a_light
from kd_planner_ros.networks.distilldrive.loss import Pairs, box_losses, line_losses
from kd_planner_ros.networks.distilldrive.memory import with_ego
from kd_planner_ros.networks.distilldrive.model import empty_memory
from kd_planner_ros.networks.distilldrive.options import TrainOptions as TrainOptions
from kd_planner_ros.networks.distilldrive.options import config_fields as config_fields
from kd_planner_ros.networks.distilldrive.plan_loss import Taught, misplaced, start_weights, taught_tokens, with_future
from kd_planner_ros.networks.distilldrive.processor import DistillDriveProcessor
from kd_planner_ros.networks.distilldrive.reframe import reframed, still_shown
from kd_planner_ros.networks.distilldrive.rules import rule_figures, rule_loss
from kd_planner_ros.networks.distilldrive.scene import Caps, scene_arrays
from kd_planner_ros.networks.distilldrive.shown import shown_users
from kd_planner_ros.networks.distilldrive.sight import FOUND
from kd_planner_ros.networks.distilldrive.stages import PERCEPTION, taught_by
from kd_planner_ros.networks.distilldrive.stages import STAGES as STAGES
from kd_planner_ros.networks.distilldrive.stages import stages_for as stages_for
from kd_planner_ros.networks.distilldrive.task import PLANNING, SceneTask, single_precision
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.training import Loss, OptimiserDefaults, Score, Stage

WEIGHTS = {**PERCEPTION, **LIGHT, **PLANNING, "plan": 1.0, "status": 1.0, "latent": 1.0}
"""The student's plan and status count half as much as the teacher's, as published."""
OPTIMISER = OptimiserDefaults("adamw", 1e-3, 0.5, ("backbone",))
BACKBONE, PLANNER = "backbone", "planner"
BEHIND = 1000.0
"""Between the selection scores of one stage and of the next."""
KEPT = "found_"
"""Before the names of what a frozen perception found."""
RULES_WEIGHT = 1.0
MOST_AGENTS = 150
COLOURS = 0.3
"""Chance of each operation; the usual ramp would have reached 0.1 at the end of a run of 30,000 samples. Patterns are left out: an
encoder that is not trained along never saw them."""
DROPPED = 0.05
"""Share of the pictures of each camera that may be missing that is missing in training."""
NEAR_M = 2.0
"""A road user is found where a box's middle is so near."""


class DistillDriveTask(SceneTask):
    """A sample: the pictures, how they project, and the scene."""

    def __init__(self, processor: DistillDriveProcessor, options: TrainOptions = TrainOptions()):
        config = processor.config
        super().__init__(config, empty_memory(config), options.reinforcement, "label", options.plan_space)
        self.processor, self.options = processor, options
        self.cameras = tuple(spec.id for spec in config.camera_specs)
        self.pictures = (MAIN, *self.cameras[1:])
        self.auxiliary = AuxiliaryTasks(config, options)
        cells = ("semantic", "depth") if self.auxiliary.dense else ()
        self.labels = {self.cameras[0]: ("instance", *cells)} if options.road_users == "shown" else {}
        self.weights = WEIGHTS | ({} if config.generative else {"latent": 0.0}) | ({} if self.rl is not None else {"reinforcement": 0.0})
        self.weights |= ({"rules": RULES_WEIGHT} if config.rule_scores else {}) | self.auxiliary.weights
        self.taught_by = taught_by(config) if not options.frozen_perception else {}
        spec = config.spec
        self._eyes: FrozenPerception | None = None
        self.frozen = frozen_modules(options)
        if self.frozen:
            self.pictures = ()
            self.weights = self.weights | dict.fromkeys(PERCEPTION, 0.0)
        self._caps = Caps(min(spec.agents, MOST_AGENTS), spec.lines, spec.line_points, 1, spec.agent_steps)
        self._steps = min(config.steps, spec.agent_steps)
        self._posterior: Gaussian | None = None
        self._stage = Stage()

    @property
    def key(self) -> Mapping[str, Any]:
        """The pictures' section, the part of the scene that is looked at, and the counts; the weights of a frozen perception."""
        users = {"road_users": self.options.road_users} | ({"dense": True} if self.auxiliary.dense else {})
        config = self.processor.config
        frozen = {"perception": self.eyes.digest, "proposals": config.proposals, "front": "picture"} if self.frozen else {}
        return scene_key(config) | users | frozen

    @property
    def eyes(self) -> FrozenPerception:
        """The frozen perception that makes the samples.

        Raises:
            ConfigError: the task was not given a model.
        """
        if self._eyes is None:
            raise ConfigError("samples of a student's own perception", "a task without a model", "call modules(model) first")
        return self._eyes

    def begin(self) -> None:
        """A frozen perception forgets earlier frames."""
        if self.frozen:
            self.eyes.begin()

    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """Pictures uint8 [H, W, 3], ``seen`` float32 [V], ``projection`` float32 [V, 3, 4], ``pose`` float64 [3], ``status`` and
        ``next_status`` float32 [10], and the arrays of ``scene.scene_arrays``; None where no object list belongs to the instant. Of a
        frozen perception ``found_NAME`` of ``FrozenPerception.look`` in place of projection and other pictures than the first."""
        frame = frames[0]
        found = self.eyes.look(frame) if self.frozen else {}
        if frame.scene is None:
            return None
        if self.frozen:
            front, own = found.pop("picture"), {KEPT + name: one for name, one in found.items()}
            return {MAIN: front, **own, **ego_arrays(frame, tick), **self._scene(frame, truth)}
        pictures, seen, projections = self.processor.views(frame)
        by_name = dict(zip(self.pictures, pictures.values(), strict=True))
        return {**by_name, "seen": seen, "projection": projections, **ego_arrays(frame, tick), **self._scene(frame, truth)}

    def _scene(self, frame: Frame, truth: Any) -> dict[str, np.ndarray]:
        """The scene's arrays, and ``shown`` bool [A]: whom perception learns to find."""
        scene: Any = frame.scene
        found = scene_arrays(scene, frame.ego.pose, frame.stamp_ns, self.processor.config, self._caps)
        if not self.labels:
            return {**found, "shown": found["kinds"] >= 0}
        instance = truth.labels[self.cameras[0]].instance
        shown = shown_users(found, *self.processor.cameras_of(frame), instance, truth.actors["id"])
        return {**found, "shown": shown, **(self._cells(truth.labels[self.cameras[0]]) if self.auxiliary.dense else {})}

    def _cells(self, shot: Any) -> dict[str, np.ndarray]:
        return cell_labels(*(self.processor.section(labels) for labels in (shot.semantic, shot.depth)))

    def augment(self, arrays: Mapping[str, np.ndarray], probability: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Colours without patterns, each with ``COLOURS`` from the beginning; the pictures' frames (``reframe.py``); and cameras that may
        be missing are, now and then. Nothing of what a frozen perception found."""
        if self.frozen:
            return {}
        changed = {name: augment(arrays[name].copy(), max(probability, COLOURS), rng, WITHOUT_PATTERN) for name in self.pictures}
        if self.options.reframe:
            changed["projection"] = arrays["projection"].copy()
            for camera, name in enumerate(self.pictures):
                changed[name], changed["projection"][:, camera] = reframed(changed[name], arrays["projection"][:, camera], rng)
        seen = arrays["seen"].copy()
        lost = rng.random(seen[:, 1:].shape) < DROPPED
        seen[:, 1:][lost & (lost.cumsum(1) <= seen.shape[1] - self.processor.config.min_cameras)] = 0.0
        return {**changed, "seen": seen}

    # --- a step ------------------------------------------------------------------------------------------------------

    def modules(self, model: nn.Module) -> nn.Module | None:
        """See ``SceneTask``; a frozen perception is that of ``model`` as it is now."""
        if self.frozen:
            self._eyes = FrozenPerception(model, self.processor, empty_memory(self.processor.config), self.frozen)
        return super().modules(model)

    def beside(self) -> dict[str, nn.Module]:
        """The reinforcement term's networks, the latent variable's posterior, and the heads of the auxiliary tasks."""
        config = self.processor.config
        self._posterior = posterior(config.spec, self._steps, config.repo_latent) if config.generative else None
        own = {} if self._posterior is None else {"posterior": self._posterior}
        return super().beside() | own | self.auxiliary.build(self._model)

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """See ``SceneTask``; ``weight`` [B] of each sample's trajectory; of the pictures ``projection`` [B, V, 3, 4], ``seen`` [B, V],
        and where cells are taught ``groups`` and ``depths`` [B, rows, columns]."""
        cameras = () if self.frozen else ("projection", "seen", *(("groups", "depths") if self.auxiliary.dense else ()))
        found = super().targets(rows, arrays)
        found["weight"] = start_weights(torch.from_numpy(np.array(rows["speed"], np.float32)), found["plan"], self.options.start_weight)
        return found | {name: torch.from_numpy(np.array(arrays[name])) for name in cameras}

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Any]:
        """Pictures, projections, what each slot remembers, the speed; ``found`` in place of the pictures of a frozen perception."""
        seen = arrays[KEPT + "seen"] if self.frozen else arrays["seen"]
        past = self.slots.recall(rows["stamp"], arrays["pose"].cpu().numpy(), seen.device)
        past = with_ego(past, np.where(hidden_speed, np.nan, rows["speed"]), rows["target"], self.processor.config)
        if self.frozen:
            found = {name: arrays[KEPT + name] for name in (*FOUND, TOKEN) if KEPT + name in arrays}
            front = self.processor.image_tensor([arrays[MAIN]])
            return {"images": front, "seen": seen, "projection": seen[:, :0], **past, "found": found}
        images = self.processor.image_tensor([arrays[name] for name in self.pictures])
        return {"images": images, "seen": seen, "projection": arrays["projection"], **past}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
             stage: Stage | None = None, weights: Mapping[str, float] | None = None) -> Loss:
        """See ``SceneTask``; of the road users those that the pictures of ``inputs`` show are to be found."""
        if not self.frozen:
            camera = {name: inputs[name] for name in ("projection", "seen")}
            moves = {"move": move_of(targets["projection"][:, 0], camera["projection"][:, 0])} if self.auxiliary.dense else {}
            targets = {**targets, "shown": still_shown(targets, **camera), **camera, **moves}
        return super().loss(outputs, targets, inputs, stage, weights)

    def parts(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
        """See ``box_losses``, ``line_losses``, ``AuxiliaryTasks``, ``plan_losses`` and ``motion_losses``. In training the planner's losses
        judge the answers with a draw of the latent variable, which knows the future; distillation and the rules (``rule_loss``) judge those
        of run time."""
        parts, pairs = box_losses(outputs, targets)
        parts |= self.auxiliary.losses(outputs, targets, wanted, self._model)
        if wanted & {"line_score", "line_place"}:
            parts |= line_losses(outputs, targets, self.processor.config)
        if wanted <= PERCEPTION.keys() | LIGHT.keys():
            return parts
        answers = outputs
        if "rules" in outputs:
            parts["rules"] = rule_loss(outputs, targets, self.processor.config)
            answers = {**outputs, "scores": outputs["imitation"]}
        if self._posterior is not None and torch.is_grad_enabled():
            planner = self._model.planner
            moved, parts["latent"] = with_future(planner.generative, self._posterior, outputs["tokens"],
                                                 *self._taught(outputs, targets, pairs))
            answers = {**answers, **planner.answer(moved, outputs["embeds"], outputs["agent_modes"])}
        return parts | self.planning(answers, targets, pairs)

    def _taught(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], pairs: Pairs) -> tuple[Taught, ...]:
        """Which tokens know their future; with ``repo_latent`` also which ones draw from it."""
        repo = self.processor.config.repo_latent
        every = repo or self.options.posterior == "all"
        return tuple(taught_tokens(outputs, targets, own, self._steps, every) for own in (pairs, *([misplaced(pairs)] if repo else [])))

    # --- figures -----------------------------------------------------------------------------------------------------

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """The planner's, and ``agents_found``: the share of the road users to be found with a box within 2 m; ``agents_false``: the share
        of boxes without any true one there; ``lines_found``: the share of true lines with a shown one whose points lie within 1 m;
        those of the auxiliary tasks; with rule heads ``rule_figures``."""
        found, total, wrong, shown = (0.0, 0.0, 0.0, 0.0)
        for row in range(len(targets["kinds"])):
            there = targets["kinds"][row] >= 0
            boxes = outputs["boxes"][row][outputs["box_confidence"][row] >= SHOWN][:, :2].float()
            near = torch.cdist(targets["boxes"][row][there][:, :2], boxes) < NEAR_M
            asked = targets["shown"][row][there]
            found, total = found + float(near[asked].any(1).sum()), total + float(asked.sum())
            wrong, shown = wrong + float((~near.any(0)).sum()), shown + len(boxes)
        outputs = single_precision(outputs)
        return {**super().figures(outputs, targets), **self.auxiliary.figures(outputs, targets), "agents_found": (found, total),
                "agents_false": (wrong, shown), "lines_found": _lines_found(outputs, targets),
                **(rule_figures(outputs, targets, self.processor.config) if "rules" in outputs else {})}

    def useful(self, samples: Any, stage: Stage) -> np.ndarray | None:
        """See ``before_a_light``."""
        return before_a_light(samples, stage)

    def begin_stage(self, stage: Stage) -> None:
        """See ``selection_score``."""
        self._stage = stage

    def selection_score(self, figures: Mapping[str, float]) -> float:
        """Of a stage that trains the planner see ``SceneTask``. Before it the planner's figures are those of random weights: the token's
        loss counts alone, or the shares of road users and lines that were missed; and every such score is worse than those of later
        stages."""
        if self._stage.trains(PLANNER):
            return super().selection_score(figures)
        if self._stage.trains(TOKEN):
            return BEHIND + figures["light"]
        return 2.0 * BEHIND + 2.0 - figures["agents_found"] - figures["lines_found"]


def _lines_found(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Score:
    found = total = 0.0
    for row in range(len(targets["line_kinds"])):
        truth = targets["lines"][row][targets["line_kinds"][row] >= 0]
        shown = outputs["lines"][row][outputs["line_logits"][row].sigmoid().amax(-1) >= SHOWN].float().unflatten(-1, (-1, 2))
        both = torch.stack([shown, shown.flip(1)])
        apart = (both[None] - truth[:, None, None]).norm(dim=-1).mean(-1).flatten(1)
        found, total = found + float((apart < 1.0).any(1).sum()), total + len(truth)
    return found, total


def ego_arrays(frame: Frame, tick: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """``pose`` float64 [3]: x, y, yaw in ``map``; ``status`` and ``next_status`` float32 [10]."""
    pose = frame.ego.pose
    return {"pose": np.array([pose.x, pose.y, pose.yaw]), "status": np.asarray(tick["status"]),
            "next_status": np.asarray(tick["next_status"])}


def scene_key(config: DistillDriveConfig) -> dict[str, Any]:
    """What shapes the samples of ``config``."""
    camera = [config.camera_width, config.camera_height, config.camera_fov_deg, config.camera_x_m, config.camera_z_m]
    return {"size": config.size, "signals": config.signals, "cameras": config.cameras, "camera": camera,
            "part": [config.range_m, config.ahead_m, config.behind_m, config.side_m]}


def build_task(processor: DistillDriveProcessor, options: TrainOptions = TrainOptions()) -> DistillDriveTask:
    """The task for ``processor``."""
    return DistillDriveTask(processor, options)
