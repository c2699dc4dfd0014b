"""What the unified encoder is trained on: two or three pictures of the front camera, and exact labels of what its decoders give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from kd_planner_ros.core.drive import Drive
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.frames import camera_in_map
from kd_planner_ros.imaging.photometric import augment_alike
from kd_planner_ros.networks.blocks.inputs import normalise
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.training import LearningTask, Loss, OptimiserDefaults, Score, Stage
from kd_planner_ros.networks.unified_encoder.config import VOID, UnifiedEncoderConfig, class_of_tag
from kd_planner_ros.networks.unified_encoder.figures import dense_figures, in_metres
from kd_planner_ros.networks.unified_encoder.geometry import pose_of
from kd_planner_ros.networks.unified_encoder.loss import (
    COMPOSED,
    SEGMENTATION,
    SEGMENTATION_SHARE,
    WEIGHTS,
    pose_losses,
    semantic_loss,
    truth_losses,
    weighted,
)
from kd_planner_ros.networks.unified_encoder.match_loss import WEIGHTS as MATCH_WEIGHTS
from kd_planner_ros.networks.unified_encoder.match_loss import match_losses
from kd_planner_ros.networks.unified_encoder.model import BEFORE
from kd_planner_ros.networks.unified_encoder.options import PictureOptions, SectionOptions, TrainOptions
from kd_planner_ros.networks.unified_encoder.processor import UnifiedEncoderProcessor
from kd_planner_ros.networks.unified_encoder.segmentation import TASKS, TextBranch, chosen, matching_loss, segmentation_losses
from kd_planner_ros.networks.unified_encoder.stages import ALL_WEIGHTS, STAGES, WARPED_BY, unread_parts
from kd_planner_ros.networks.unified_encoder.targets import Earlier, dense_motion, motions, places, segments, untold
from kd_planner_ros.networks.unified_encoder.video_loss import FINAL, RAMPED, RECORDED, Comparison, video_losses
from kd_planner_ros.networks.unified_encoder.video_loss import WEIGHTS as VIDEO_WEIGHTS

__all__ = ["BACKBONE", "OPTIMISER", "STAGES", "TrainOptions", "UnifiedEncoderTask", "build_task", "config_fields", "section_fields"]
OPTIMISER = OptimiserDefaults("adamw", 0.05)
BACKBONE = "encoder"
STEP_NS = 100_000_000
"""From one picture to the next: the recordings have 10 a second."""
SHARES = (0.33, 0.66)
"""Limits of the draw between semantic, instance and panoptic segmentation."""
POSE_TOLERANCE_M = 0.05
VIDEO_UNIT_M = 44.0
"""Unit of a network that learns from video: the 0.2 of it that fresh weights say everywhere is the road ahead then. It matters where the
recorded motion of the camera is read, in metres."""
DEEPEST_M = 200.0
"""Depth is stored up to here: the sky has 1000 m, and 16 bits are enough for the rest."""


def recorded_pose(frame: Frame, config: UnifiedEncoderConfig, section: str) -> Pose:
    """Pose of the camera, which must be the one that the card will name; ``section`` holds the training options that say it.

    Raises:
        SensorError: it was recorded elsewhere.
    """
    wanted, found = config.camera.pose, frame.calibrations.get(config.camera_id, config.camera).pose
    if found == Pose():  # the recording does not say
        return wanted
    if abs(found.x - wanted.x) > POSE_TOLERANCE_M or abs(found.z - wanted.z) > POSE_TOLERANCE_M:
        raise SensorError(f"camera '{config.camera_id}' at x {wanted.x:g} m, z {wanted.z:g} m", f"x {found.x:g} m, z {found.z:g} m",
                          f"train with --{section}.camera-x-m {found.x:g} --{section}.camera-z-m {found.z:g}, or "
                          "give recordings of that camera")
    return found


class UnifiedEncoderTask(LearningTask):
    """A sample: the picture, the one before it, depth, classes, road users and their motion."""

    truth = ("objects", "tracks")
    horizon_s = 0.0
    needs_route = False
    def __init__(self, processor: UnifiedEncoderProcessor, options: TrainOptions = TrainOptions()):
        self.processor, self.options = processor, options
        config = processor.config
        self.cameras = (config.camera_id,)
        self.labels = {config.camera_id: ("depth", "semantic", "instance")}
        self._video = options.supervision == "self" or not config.metric  # a teacher's task is made of its config alone
        self.from_pictures = self._video
        self.offsets_ns = (-STEP_NS, 0, STEP_NS) if self._video else (-STEP_NS, 0)
        self.pictures = (MAIN, "before", "after") if self._video else (MAIN, "before")
        used = {**VIDEO_WEIGHTS, **{name: WEIGHTS[name] for name in SEGMENTATION}} if self._video else WEIGHTS
        used = used | (MATCH_WEIGHTS if config.matching and not self._video else {})
        self.weights = dict.fromkeys((*WEIGHTS, *VIDEO_WEIGHTS), 0.0) | used
        self._class_of_tag = class_of_tag(config.classes)
        self._criterion = matching_loss(config.widths)
        self._text: TextBranch | None = None
        self._model: nn.Module | None = None

    @property
    def key(self) -> Mapping[str, Any]:
        """The section of the picture, and the classes."""
        config = self.processor.config
        return {"size": [config.input_height, config.input_width], "classes": list(config.classes),
                "camera": [config.camera_x_m, config.camera_z_m]}

    # --- samples -----------------------------------------------------------------------------------------------------

    def per_tick_targets(self, drive: Drive) -> Mapping[str, Any]:
        """The road users at the picture before."""
        return {"earlier": Earlier(drive, STEP_NS)}

    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
        """Pictures uint8 [H, W, 3], ``depth`` float16 in metres, ``classes`` and ``objects`` uint8 [H, W], ``moves`` float32
        [OBJECTS, 4, 4] (``targets.motions``); None where the road users before are unknown."""
        before, now = frames[:2]
        if tick["earlier"] is None or truth.actors is None:
            return None
        name, prepared = self.cameras[0], self.processor.prepare_labels
        shot = truth.labels[name]
        camera = recorded_pose(now, self.processor.config, self.processor.config.NETWORK)
        objects, rows = places(prepared(shot.instance), len(truth.actors))
        target, source = (camera_in_map(frame.ego.pose, camera) for frame in (now, before))
        return {**self._pictures(frames),
                "depth": np.minimum(prepared(shot.depth), DEEPEST_M).astype(np.float16),
                "classes": self._class_of_tag[prepared(shot.semantic)], "objects": objects,
                "moves": motions(target, source, truth.actors, tick["earlier"], rows)}

    def record_pictures(self, frames: tuple[Frame, ...], tags: np.ndarray | None, single: np.ndarray | None) -> dict[str, np.ndarray]:
        """As ``record``; what is not known has no say in loss and figures."""
        classes = None if tags is None else self._class_of_tag[self.processor.prepare_labels(tags)]
        size = self.processor.config.input_height, self.processor.config.input_width
        return {**self._pictures(frames), **untold(size, classes, None if single is None else self.processor.prepare_labels(single))}

    def _pictures(self, frames: tuple[Frame, ...]) -> dict[str, np.ndarray]:
        return {name: self.processor.picture(frame) for name, frame in zip(("before", MAIN, "after"), frames, strict=False)}

    def augment(self, arrays: Mapping[str, np.ndarray], probability: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """One draw for all pictures."""
        copies = {name: arrays[name].copy() for name in self.pictures}
        augment_alike(copies.values(), probability, rng)
        return copies

    # --- a step ------------------------------------------------------------------------------------------------------

    def begin_stage(self, stage: Stage) -> None:
        """Tell the network what no loss of ``stage`` reads, where it learns from video without a teacher; exact labels teach every part."""
        if self._model is not None and self._video:
            setattr(self._model, "unread", unread_parts(stage, self.weights))  # noqa: B010 - torch's modules type their attributes as tensors

    def useful(self, samples: Any, stage: Stage) -> np.ndarray | None:
        """Learning from video, where the car moves or its speed is not known: nothing is said of depth by pictures that are alike."""
        return ~(np.abs(samples.rows["speed"]) < self.options.moving_mps) if self._video else None

    def _tasks(self, count: int) -> list[str]:
        """The segmentation's task of each sample: drawn in a training step, panoptic in a validation."""
        if not torch.is_grad_enabled():
            return ["panoptic"] * count
        draws = np.random.default_rng(torch.initial_seed()).random(count)  # of the step's seed: the same however often it is asked for
        return [TASKS[int(np.searchsorted(SHARES, draw, side="right"))] for draw in draws]

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """The picture and its sources; the sources' features are left to the network."""
        image, *sources = (normalise(arrays[name]) for name in self.pictures)
        before = torch.cat(sources)
        nothing = {name: image.new_zeros(len(before), 0) for name in BEFORE}
        return {"image": image, "before": before, **nothing, "task": self.processor.tasks(self._tasks(len(image))).to(image.device)}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """``depth``, ``classes``, ``objects``, ``pose`` and ``targets.dense_motion``; for learning from video ``video``, the three
        pictures in time order [B, 3, 3, H, W] in [0, 1]."""
        depth, moves = torch.from_numpy(arrays["depth"]).float(), torch.from_numpy(arrays["moves"])
        classes, objects = (torch.from_numpy(arrays[name]).long() for name in ("classes", "objects"))
        intrinsics = torch.from_numpy(self.processor.config.intrinsics).expand(len(depth), 3, 3)
        video = {"video": _video(arrays)} if self._video else {}
        return {**video, "depth": depth, "classes": classes, "objects": objects, "pose": pose_of(moves[:, 0]),
                **dense_motion(depth, objects, moves, intrinsics)}

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
             stage: Stage | None = None, weights: Mapping[str, float] | None = None) -> Loss:
        """See ``truth_losses`` and ``video_losses``."""
        used = self.weights if weights is None else {name: min(weight, ALL_WEIGHTS[name]) if name in RAMPED else weight
                                                     for name, weight in weights.items()}
        metres = self.processor.config.metres_per_unit

        def segmentation() -> dict[str, Tensor]:
            return self._segmentation(outputs, targets, inputs["task"])

        intrinsics = torch.from_numpy(self.processor.config.intrinsics).to(targets["depth"].device).expand(len(targets["depth"]), 3, 3)
        if self._video:
            by = FINAL if stage is None else WARPED_BY.get(stage.name, FINAL)
            learns = any(used[name] for name in VIDEO_WEIGHTS)
            compared = Comparison(self.options.sizes, self.options.auto_mask, self.options.guarded)
            recorded = known_motion(targets["pose"]) if by == RECORDED else None
            parts = video_losses(outputs, targets["video"], intrinsics, metres, by, compared, recorded) if learns else {}
            parts |= {} if recorded is None else pose_losses({"pose": outputs["pose"][:len(recorded)]}, targets)
            parts |= segmentation() if any(used[name] for name in SEGMENTATION) else {}
        else:
            parts = truth_losses(outputs, targets, intrinsics, metres, used, segmentation)
            pair = inputs["image"], inputs["before"]
            parts |= match_losses(outputs, targets, intrinsics, *pair) if self.processor.config.matching else {}
        return Loss(weighted(parts, used), {name: part.detach() for name, part in parts.items()}, len(targets["depth"]))

    def _segmentation(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], task: Tensor) -> dict[str, Tensor]:
        told = (targets["classes"] != VOID).flatten(1).any(1)  # a picture without labels would be taught to show nothing
        if not told.any():
            return {name: 0.0 * outputs["mask_logits"].sum() for name in SEGMENTATION}
        if not told.all():
            outputs, targets, task = chosen(outputs, told), {name: targets[name][told] for name in ("classes", "objects")}, task[told]
        known = self.processor.tasks(TASKS).to(task.device)
        names = [TASKS[int((known == one).all(1).nonzero()[0])] for one in task]
        taught = [segments(classes, objects, name, self.processor.things)
                  for classes, objects, name in zip(targets["classes"], targets["objects"], names, strict=True)]
        self._criterion.to(task.device)
        parts = segmentation_losses(self._criterion, outputs, [masks for masks, _ in taught], [kinds for _, kinds in taught])
        if self._video:
            return {name: part * self.options.segmentation_share for name, part in parts.items()}
        whole = torch.tensor([name != "instance" for name in names], device=task.device)
        return {**{name: part * SEGMENTATION_SHARE for name, part in parts.items()},
                COMPOSED: semantic_loss(outputs, targets["classes"], whole)}

    def modules(self, model: nn.Module) -> nn.Module | None:
        """The text branch; it is not shipped. Exact labels teach the encoder through the target picture alone."""
        self._model = model
        setattr(model, "learns_from_sources", self._video)  # noqa: B010 - torch's modules type their attributes as tensors
        self._text = TextBranch(self.processor.config.widths, self.processor.things.tolist()) if self.options.contrast_weight else None
        return self._text

    def auxiliary_losses(self, outputs: Mapping[str, Tensor], batch: Any) -> dict[str, tuple[float, Tensor]]:
        """``contrast``, in stages that train the segmentation."""
        if self._text is None or "object_queries" not in outputs or not outputs["object_queries"].requires_grad:
            return {}
        present = [np.setdiff1d(one, [VOID]).tolist() for one in batch.arrays["classes"]]
        told, tasks = [number for number, one in enumerate(present) if one], self._tasks(len(present))
        if not told:
            return {}
        queries = outputs["object_queries"] if len(told) == len(present) else outputs["object_queries"][told]
        texts = [present[one] for one in told], [tasks[one] for one in told]
        share = self.options.segmentation_share if self._video else 1.0
        return {"contrast": (self.options.contrast_weight * share, self._text(queries, *texts))}

    # --- figures -----------------------------------------------------------------------------------------------------

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """See ``dense_figures``; lengths that were learnt from video are scaled by the medians of true and found depth, and ``depth_known``
        is the share of pixels whose depth is known."""
        if not self._video:
            return dense_figures(outputs, targets, self.processor.config.classes)
        known = targets["depth"].isfinite()
        return dense_figures(in_metres(outputs, targets), targets, self.processor.config.classes) | {
            "depth_known": (float(known.sum()), float(known.numel()))}

    def selection_score(self, figures: Mapping[str, float]) -> float:
        """Relative depth error, mean IoU missed, and half of the flow's errors in metres; the loss where no depth is known."""
        if not figures.get("depth_known", 1.0):
            return figures["loss"]
        ious = [value for name, value in figures.items() if name.startswith("iou_")]
        return (figures["abs_rel"] + 1.0 - sum(ious) / len(ious) + 0.5 * figures["flow_static_m"] + 0.5 * figures["flow_moving_m"]
                + 1.0 - figures["motion_iou"])


def known_motion(pose: Tensor) -> Tensor:
    """The recorded motions [B, 6].

    Raises:
        SensorError: one is not known: public pictures have none.
    """
    if not pose.isfinite().all():
        raise SensorError("the recorded motion of the camera in every sample of a stage 'recorded motion'", "pictures without it",
                          "leave the stage out of the recipe")
    return pose


def _video(arrays: Mapping[str, np.ndarray]) -> Tensor:
    pictures = np.stack([arrays[name] for name in ("before", MAIN, "after")], 1)
    return torch.from_numpy(pictures).permute(0, 1, 4, 2, 3).float() / 255.0


def section_fields(size: str, options: SectionOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """Size, input and the camera that the recordings were made with; its pose is an option, for specs of recordings have none."""
    fields: dict[str, Any] = {"size": size, "input_height": options.input_height, "input_width": options.input_width,
                              "camera_x_m": options.camera_x_m, "camera_z_m": options.camera_z_m}
    camera = others.get("front", camera)
    if camera is not None:
        fields |= {"camera_width": camera.width, "camera_height": camera.height, "camera_fov_deg": camera.fov_deg}
    return fields


def config_fields(size: str, options: PictureOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """The fields of the section, whether depth is in metres, and whether pictures are compared."""
    metric = options.supervision == "truth"
    own = {"metric": metric, **{name: getattr(options, name) for name in ("matching", "aligned_pose", "ordered_pose")}}
    video = {"rotation_scale": options.rotation_scale, "logit_bound": options.logit_bound, "metres_per_unit": VIDEO_UNIT_M}
    return section_fields(size, options, camera, others) | own | ({} if metric else video)


def build_task(processor: UnifiedEncoderProcessor, options: TrainOptions = TrainOptions()) -> UnifiedEncoderTask:
    """The task for ``processor``."""
    return UnifiedEncoderTask(processor, options)
