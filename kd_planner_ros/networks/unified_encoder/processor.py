"""Records to the network's tensors and back; remembers the frame before, so that a frame costs one encoder pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.outputs import DenseOutput, InstanceMasks, Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.imaging.resize import resize_labels, resize_rows
from kd_planner_ros.imaging.road_masks import road_masks
from kd_planner_ros.networks.blocks.inputs import normalise, unfit_picture
from kd_planner_ros.networks.planner import Processor
from kd_planner_ros.networks.unified_encoder.config import GAP_S, VOID, UnifiedEncoderConfig, things
from kd_planner_ros.networks.unified_encoder.geometry import points, rigid_flow, rotation, sight, transform
from kd_planner_ros.networks.unified_encoder.model import BEFORE, FEATURES, feature_shapes
from kd_planner_ros.networks.unified_encoder.panoptic import instance_masks, instances_of, segments, semantic, upsampled
from kd_planner_ros.networks.unified_encoder.segmentation import task_ids
from kd_planner_ros.networks.unified_encoder.selfsup import ground_plane

FOV_TOLERANCE_DEG = 1.0
"""A camera whose field of view differs by more is another one: depth and motion would be wrong by that ratio."""
MOVING = 0.5
"""Probability of motion from which on a pixel is in the mask of moving pixels."""
PLANE_SHARE = 0.5
"""A ground plane must hold this share of the points of the lower rows."""
MOTION_FRAME = "camera optical axes (x right, y down, z forward)"


@dataclass(frozen=True)
class Seen:
    """What is remembered of a frame: its stamp, its normalised picture [1, 3, H, W], and its features."""

    stamp_ns: int
    picture: Tensor
    features: tuple[Tensor, ...]


class UnifiedEncoderProcessor(Processor[Perception]):
    """Encodes frames of the front camera and decodes what the network sees.

    Outputs lie over the camera's whole picture, scaled to the network's width; rows that the network does not see are unknown:
    NaN, class 255, id 0. Flow, motion and the ego's motion need the frame before: without one within ``GAP_S`` they are NaN,
    and the number ``motion_ready`` is 0. Of a network that has learnt no metres they are NaN until it sees a flat ground; ``scale``
    is the factor, ``plane_inliers`` the share of the lower rows' points that lie on the ground's plane.
    """

    made_of = {"independent_flow": ("flow", "motion", "pose", "depth"), "moving": ("motion", "segmentation")}
    cut_by = {"depth": ("segmentation", "the sky")}

    def __init__(self, config: UnifiedEncoderConfig):
        self.config = config
        self.things = things(config.classes)
        self._road_user = np.pad(self.things, (0, 256 - len(self.things)))
        self._sight = sight(config.input_height, config.input_width, torch.from_numpy(config.intrinsics)[None])
        self._task = task_ids("panoptic", config.widths.segmentation.task_length)
        self._unknown = tuple(torch.zeros(1, *shape) for shape in feature_shapes(config))
        self.reset()

    def reset(self) -> None:
        """Forget the frame before."""
        self._seen: Seen | None = None
        self._given: tuple[int, Tensor, float] | None = None

    # --- in ----------------------------------------------------------------------------------------------------------

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """A picture of the camera as the network sees it: RGB uint8 [H, W, 3]. Trainers may store its result.

        Raises:
            SensorError: not RGB uint8, or of another size than the camera's.
        """
        config = self.config
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise SensorError(f"RGB uint8 [H, W, 3] from camera '{config.camera_id}'", f"{image.dtype} {list(image.shape)}",
                              "check the camera's encoding")
        if image.shape[:2] != (config.camera_height, config.camera_width):
            size = config.camera_width, config.camera_height
            raise unfit_picture("unified_encoder", config.camera_id, f"a {size[0]}x{size[1]} picture", image, size)
        return resize_rows(image, config.scaled_height, config.input_width, config.cut_top, config.input_height)

    def prepare_labels(self, labels: np.ndarray) -> np.ndarray:
        """Depth, class ids or instance ids [camera's H, W] in the network's picture, by nearest neighbour."""
        config = self.config
        whole = resize_labels(labels, config.scaled_height, config.input_width)
        return whole[config.cut_top:config.cut_top + config.input_height]

    def tasks(self, names: Sequence[str]) -> Tensor:
        """The network's ``task`` [B, L] for segmentation tasks by name."""
        return torch.stack([task_ids(name, self.config.widths.segmentation.task_length) for name in names])

    def picture(self, frame: Frame) -> np.ndarray:
        """``prepare`` of the frame's picture.

        Raises:
            SensorError: as ``prepare``; no such camera, or its calibration belongs to another one.
        """
        config = self.config
        if config.camera_id not in frame.images:
            raise SensorError(f"a picture from camera '{config.camera_id}'", f"pictures from {sorted(frame.images) or 'no camera'}",
                              "mount or remap the camera")
        spec = frame.calibrations.get(config.camera_id)
        if spec is not None and abs(spec.fov_deg - config.camera_fov_deg) > FOV_TOLERANCE_DEG:
            raise SensorError(f"a field of view of {config.camera_fov_deg:g} degrees of camera '{config.camera_id}'",
                              f"{spec.fov_deg:.1f} in its camera_info", "mount the camera that the perceiver declares")
        return self.prepare(frame.images[config.camera_id])

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """The network's inputs. Only a single frame has a frame before it: the one that was decoded last.

        Raises:
            SensorError: as ``picture``.
        """
        pictures = normalise(np.stack([self.picture(frame) for frame in frames])).contiguous()  # once: several parts read it
        before = self._before(frames[0]) if len(frames) == 1 else None
        self._given = None
        if len(frames) == 1:
            stamp = frames[0].stamp_ns
            self._given = stamp, pictures, (stamp - before.stamp_ns) / 1e9 if before else float("nan")
        known = before.features if before else tuple(one.repeat(len(frames), 1, 1, 1) for one in self._unknown)
        earlier = before.picture if before else torch.zeros_like(pictures)
        return {"image": pictures, "before": earlier, **dict(zip(BEFORE, known, strict=True)), "task": self._task.repeat(len(frames), 1)}

    def _before(self, frame: Frame) -> Seen | None:
        """What was seen before ``frame``; None for the first frame, after a gap, and where time went backwards or stood still."""
        near = self._seen is not None and 0 < frame.stamp_ns - self._seen.stamp_ns <= GAP_S * 1e9
        return self._seen if near else None

    # --- out ---------------------------------------------------------------------------------------------------------

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Perception:
        """Depth, classes, panoptic ids and instances, drivable and lane masks, flow, independent flow, probability of motion, moving
        pixels, and the ego's motion; those of which ``outputs`` has the tensors. Moving pixels are those of road users, so they need
        this frame's classes."""
        after_s = self._remember(outputs, frame)
        known = {name: one[:1].float().cpu() for name, one in outputs.items() if name not in FEATURES}
        scale, share = (1.0, 1.0) if self.config.metric else self._metres(known.get("depth"))
        dense = {"depth": self._depth(_array(known["depth"][0]), scale)} if "depth" in known else {}
        if "class_logits" in known:
            dense |= self._segments(known)
        dense |= self._motions(known, after_s, scale)
        if {"motion", "classes"} <= set(dense):
            road_users = self._road_user[dense["classes"].array]
            dense["moving"] = DenseOutput("mask", (dense["motion"].array > MOVING) & road_users)
        scalars = {} if self.config.metric or "depth" not in known else {"scale": scale, "plane_inliers": share}
        if "pose" in known:
            scalars |= _ego_motion(known["pose"][0], after_s, scale)
        spec = self.config.camera
        scaled = CameraSpec(spec.id, spec.pose, self.config.input_width, self.config.scaled_height, spec.fov_deg, spec.period_s)
        return Perception(frame.stamp_ns, self.config.camera_id, dense, scaled, scalars, unknown=_unknown(dense, scalars, after_s, scale))

    def _depth(self, found: np.ndarray, scale: float) -> DenseOutput:
        if np.isfinite(scale):
            return DenseOutput("depth", self._padded(scale * found, np.nan))
        return DenseOutput("depth", self._padded(scale * found, np.nan), meta={"raw": "unscaled"}, raw=self._padded(found, np.nan))

    def _motions(self, known: Mapping[str, Tensor], after_s: float, scale: float) -> dict[str, DenseOutput]:
        """Fields of motion between the frame before and this one, NaN where there is no frame before."""
        scale = scale if np.isfinite(after_s) else float("nan")
        meta = {"frame": MOTION_FRAME, "over_s": f"{after_s:.3f}"}
        fields: dict[str, Tensor] = {}
        moves = known["motion"].sigmoid() if "motion" in known else None
        if "flow" in known:
            fields["flow"] = known["flow"][0]
        if moves is not None and {"flow", "pose", "depth"} <= set(known):
            rigid = rigid_flow(transform(known["pose"]), self._sight * known["depth"][:, None])[0]
            fields["independent_flow"] = moves * (known["flow"][0] - rigid)
        parts: dict[str, dict[str, str]] = {"independent_flow": {"part": "independent"}}
        found = {name: DenseOutput("flow", self._padded(scale * _array(one.permute(1, 2, 0)), np.nan), meta=meta | parts.get(name, {}))
                 for name, one in fields.items()}
        if moves is not None:
            chance = _array(moves[0])
            if not np.isfinite(after_s):
                chance = np.full_like(chance, np.nan)
            found["motion"] = DenseOutput("probability", self._padded(chance, np.nan))
        return found

    def _metres(self, depth: Tensor | None) -> tuple[float, float]:
        """What a depth [1, H, W] of arbitrary unit is multiplied by to be metres: the camera's height over the height over the plane
        of the lower rows; and the share of their points that it holds. The factor is NaN where no plane is there: depth, flow and velocity
        are unknown then."""
        if depth is None:
            return float("nan"), float("nan")
        own = depth.float().cpu() / self.config.metres_per_unit
        plane, share = ground_plane(points(own, torch.from_numpy(self.config.intrinsics)[None]), torch.Generator().manual_seed(0))
        height = float(plane[0, 2]) * self.config.metres_per_unit
        found = float(share) >= PLANE_SHARE and height > 0.0
        return self.config.camera_z_m / height if found else float("nan"), float(share)

    def _remember(self, outputs: Mapping[str, Tensor], frame: Frame) -> float:
        """Keep what belongs to ``frame``; seconds since the frame before, NaN where there is none. A frame that was not encoded is no
        frame before."""
        given, self._given = self._given, None
        if given is None or given[0] != frame.stamp_ns:
            self._seen = None
            return float("nan")
        if FEATURES[0] not in outputs:
            return given[2]
        self._seen = Seen(frame.stamp_ns, given[1], tuple(outputs[name][:1].float() for name in FEATURES))
        return given[2]

    def _segments(self, outputs: Mapping[str, Tensor]) -> dict[str, DenseOutput]:
        classes, names = outputs["class_logits"][:1].float(), self.config.classes
        masks = outputs["mask_logits"][:1].float()
        size = self.config.input_height, self.config.input_width
        scored = upsampled(semantic(classes, masks), *size)[0]
        best = scored.max(0).indices.cpu().numpy().astype(np.uint8)  # argmax takes four times as long, 10 ms at the small student's size
        ids, scores = segments(classes[0], masks[0], self.things, size=size)

        def overlapping() -> InstanceMasks:
            found = instance_masks(classes[0], upsampled(masks, *size)[0], self.things)
            return replace(found, masks=np.stack([self._padded(one, False) for one in found.masks]))

        seen = DenseOutput("classes", self._padded(best, VOID), names)
        return {"classes": seen,
                "panoptic": DenseOutput("ids", self._padded(ids, 0), (), {"segments": "panoptic"}, scores),
                "instances": DenseOutput("ids", self._padded(instances_of(ids, self.things), 0), (), {"segments": "instances"}, scores,
                                         overlapping),
                **road_masks(seen)}

    def _padded(self, array: np.ndarray, unknown: float) -> np.ndarray:
        """``array`` [H, W, ...] over the camera's whole picture at the network's width."""
        top, end = self.config.cut_top, self.config.cut_top + self.config.input_height
        whole = np.empty((self.config.scaled_height, *array.shape[1:]), array.dtype)
        whole[:top], whole[top:end], whole[end:] = unknown, array, unknown
        return whole


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


def _unknown(dense: Mapping[str, DenseOutput], scalars: Mapping[str, float], after_s: float, scale: float) -> dict[str, str]:
    """Why nothing is known of an output or a number."""
    moving = [name for name in ("flow", "independent_flow", "motion", "moving") if name in dense]
    moving += [name for name in scalars if name.endswith(("_mps", "_rps"))]
    why = {} if np.isfinite(after_s) else dict.fromkeys(moving, f"not ready: no frame within {GAP_S:g} s before this one")
    if not np.isfinite(scale):
        metres = [name for name in ("depth", "flow", "independent_flow") if name in dense]
        metres += [name for name in scalars if name.endswith("_mps")]
        why |= dict.fromkeys(metres, "scale unknown: no flat ground in the lower rows of the picture")
    return why


def _ego_motion(pose: Tensor, over_s: float, scale: float) -> dict[str, float]:
    """Velocity of the camera along its axes then and turn rate (``Perception.scalars``)."""
    pose = pose.detach().float().cpu()
    shift = -scale * (rotation(pose[None, :3])[0].T @ pose[3:])  # place of the target's camera in the source's
    motion = {"forward_mps": float(shift[2]), "left_mps": -float(shift[0]), "up_mps": -float(shift[1]),
              "roll_rate_rps": -float(pose[2]), "pitch_rate_rps": float(pose[0]), "yaw_rate_rps": float(pose[1])}
    return {"motion_ready": float(np.isfinite(over_s)), **{name: value / over_s for name, value in motion.items()}}


def build_processor(config: UnifiedEncoderConfig) -> UnifiedEncoderProcessor:
    """The processor for ``config``."""
    return UnifiedEncoderProcessor(config)
