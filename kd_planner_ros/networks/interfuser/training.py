"""What InterFuser is trained on: four views, the LiDAR histogram, the dense plan ahead, the traffic map, the rules.

Targets are made by ``targets.py``. Two of the original's augmentations are left out: the plan is
not shifted aside once a drive, and pictures are not scaled by 0.9 to 1.1, for the views are stored cropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.drive import Drive
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.frames import base_to_planner
from kd_planner_ros.networks.interfuser.loss import OCCUPIED, WEIGHTS, imitation_loss
from kd_planner_ros.networks.interfuser.processor import PICTURES, InterFuserProcessor
from kd_planner_ros.networks.interfuser.targets import path_targets, sample_targets
from kd_planner_ros.networks.samples import MAIN
from kd_planner_ros.networks.training import LearningTask, Loss, OptimiserDefaults, Score, Stage

BACKBONE = "rgb_backbone"
OPTIMISER = OptimiserDefaults("adamw", 0.05, 0.4, ("rgb_backbone",))
"""Source: InterFuser's learning rates, 5e-4 and 2e-4 for the camera backbone."""
RULES = ("junction", "light", "stop")
_TOKEN_PX = 32
_SIDE_SHARE = 128 / 224
METHOD_DEFAULTS = {"plankd": {"feature_weight": 0.1, "entropy_weight": 0.005, "waypoint_scale": "mean",
                              "attention_pull": 1.0, "plain_weighting": "decay"}}
"""PlanKD's section 3.4, and InterFuser's own weighting of its waypoints where PlanKD's attention is left out."""


@dataclass(frozen=True)
class TrainOptions:
    """InterFuser's own training options."""

    front_px: int = field(default=224, metadata={
        "help": "side of the square front view in pixels; the other views and the LiDAR histogram follow: 128 needs a third of the "
        "time", "input": True})


class InterFuserTask(LearningTask):
    """Arrays of a sample: ``images`` (the front view), ``left``, ``right``, ``focus`` uint8 [P, P, 3]; ``lidar`` uint8
    [2, P, P]; ``path`` float32 [10, 2] in ``base_link``, NaN past the plan's end; ``traffic`` float32 [400, 7]; ``rules``
    int8 [3] classes of junction, light and stop, -1 = unknown."""

    reads = ("speed", "target")
    truth = ("objects",)
    own_shards = False
    pictures = (MAIN, *PICTURES[1:])
    weights = WEIGHTS

    def __init__(self, processor: InterFuserProcessor):
        self.processor = processor
        config = processor.config
        self.cameras = (config.front_id, config.left_id, config.right_id)
        self.clouds = (config.lidar_id,)

    @property
    def key(self) -> Mapping[str, Any]:
        """Sizes of the views and extent of the histogram."""
        config = self.processor.config
        names = ("lidar_left_from_m", "lidar_left_to_m", "lidar_ahead_m", "lidar_split_m", "lidar_cap", "lidar_flip")
        return {"views": config.view_px, **{name: getattr(config, name) for name in names}}

    def begin(self) -> None:
        """Forget the last front half of a LiDAR turn."""
        self.processor.reset()

    def per_tick_targets(self, drive: Drive) -> dict[str, np.ndarray]:
        """``path``: the next ten points of the plan."""
        return {"path": path_targets(drive.route, drive.poses)} if drive.route is not None else {}

    def record(self, frames: tuple[Frame, ...], truth: Any, tick: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Views, histogram and targets."""
        (frame,) = frames
        views = self.processor.views(frame.images)
        wanted = sample_targets(tick["path"], frame.ego.pose, truth.actors, truth.signals, truth.states)
        return {MAIN: views.pop("front"), **views, "lidar": self.processor.frame_counts(frame),
                "path": wanted.path.astype(np.float32), "traffic": wanted.traffic, "rules": wanted.rules.astype(np.int8)}

    def inputs(self, rows: np.ndarray, arrays: Mapping[str, Tensor], hidden_speed: np.ndarray) -> dict[str, Tensor]:
        """The seven inputs; a hidden speed is 0."""
        device = arrays[MAIN].device
        state = self.processor.measurement_tensor(rows["speed"], rows["command"])
        state[torch.from_numpy(hidden_speed), -1] = 0.0
        views = {name: self.processor.image_tensor(arrays[MAIN if name == "front" else name]) for name in PICTURES}
        return {**views, "lidar": self.processor.lidar_tensor(arrays["lidar"]), "measurements": state.to(device),
                "target_point": self.processor.target_tensor(rows["target"]).to(device)}

    def targets(self, rows: np.ndarray, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        """See ``InterFuserProcessor.targets``."""
        return self.processor.targets(arrays["path"], arrays["traffic"], arrays["rules"])

    def loss(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor], inputs: Mapping[str, Tensor],
             stage: Stage | None = None, weights: Mapping[str, float] | None = None) -> Loss:
        """See ``imitation_loss``."""
        return Loss(*imitation_loss(outputs, targets, self.weights if weights is None else weights), len(targets["waypoints"]))

    def figures(self, outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> dict[str, Score]:
        """path_m (mean distance of the ten points), map_recall and map_false (share of the filled cells that get a
        probability above 0.5, and of the empty ones), and the share of right classes of each rule, over what is known."""
        error = (outputs["waypoints"].float() - targets["waypoints"]).norm(dim=-1)
        known = targets["waypoints_mask"].float()
        seen = outputs["traffic_map"][..., 0].float() > 0.5
        filled = targets["traffic_map"][..., 0] >= OCCUPIED
        scores = {"path_m": (float((error * known).sum()), float(known.sum())),
                  "map_recall": (float((seen & filled).sum()), float(filled.sum())),
                  "map_false": (float((seen & ~filled).sum()), float((~filled).sum()))}
        for name in RULES:
            named = targets[name] >= 0
            right = (outputs[name].argmax(-1) == targets[name]) & named
            scores[f"{name}_right"] = float(right.sum()), float(named.sum())
        return scores

    def selection_score(self, figures: Mapping[str, float]) -> float:
        """The sum of path error in metres, map loss and the rules' cross entropies: not the training loss, in which the path
        has the least weight."""
        return sum(figures[name] for name in ("path_m", "traffic", *RULES))

    def from_base(self, points: np.ndarray) -> np.ndarray:
        """In InterFuser's planner frame."""
        return base_to_planner(points)


def config_fields(size: str, options: TrainOptions, camera: CameraSpec | None, others: Mapping[str, CameraSpec]) -> dict[str, Any]:
    """Size, views of the sides that belong to ``front_px`` (64 pixels to 128, 128 to 224), and the recorded cameras.

    The side and focus views are 4/7 of the front view, to whole tokens of 32 pixels; the histogram is as large as the
    front view.
    """
    front = options.front_px
    side = max(_TOKEN_PX, round(front * _SIDE_SHARE / _TOKEN_PX) * _TOKEN_PX)
    fields = {"size": size, "front_px": front, "side_px": side, "focus_px": side, "lidar_px": front}
    if camera is not None:
        fields |= {"camera_width": camera.width, "camera_height": camera.height, "camera_fov_deg": camera.fov_deg}
    if "left" in others:
        fields |= {"side_width": others["left"].width, "side_height": others["left"].height}
    return fields


def build_task(processor: InterFuserProcessor, options: TrainOptions = TrainOptions()) -> InterFuserTask:
    """The task for ``processor``; ``options`` shape the config alone."""
    return InterFuserTask(processor)
