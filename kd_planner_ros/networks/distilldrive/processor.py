"""Records to the student's tensors and back. The memory between frames lives here (``memory.py``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.core.sensors import CameraSpec
from kd_planner_ros.geometry.frames import rotation_3d
from kd_planner_ros.imaging.resize import resize_labels, resize_rows
from kd_planner_ros.networks.blocks.inputs import standardise
from kd_planner_ros.networks.distilldrive.config import COMMANDS, DistillDriveConfig
from kd_planner_ros.networks.distilldrive.decode import Scene, command_of, make_plan, softmax
from kd_planner_ros.networks.distilldrive.memory import Entry, Memory, recalled, targets_of, with_ego
from kd_planner_ros.networks.distilldrive.model import ANSWERS, MEMORY, empty_memory
from kd_planner_ros.networks.planner import Processor

ASPECT = 0.02
"""Share by which a picture's aspect ratio may differ from the declared camera's."""


def projection(spec: CameraSpec, config: DistillDriveConfig) -> np.ndarray:
    """float32 [3, 4]: points of ``base_link`` (x, y, z, 1) to (u, v, 1) times depth, u and v as shares of the network's picture of the
    camera ``spec``, from 0 at its left and top edge to 1."""
    size, turn = config.spec, rotation_3d(spec.pose).T
    shift = -turn @ np.array([spec.pose.x, spec.pose.y, spec.pose.z])
    ahead, left, up = np.concatenate([turn, shift[:, None]], 1)
    scale = size.width_px / spec.width
    u = 0.5 * ahead - spec.focal_px / spec.width * left
    v = ((spec.height / 2.0 * ahead - spec.focal_px * up) * scale - config.cut_top * ahead) / size.height
    return np.stack([u, v, ahead]).astype(np.float32)


class DistillDriveProcessor(Processor[Plan]):
    """Encodes frames and decodes plans, for node, trainer and evaluator alike.

    A camera that may be missing (``rig.optional``) and is missing is masked, named in the plan's ``mode`` and warned of once; a route
    without a command means straight on, with a warning. Only a single frame has a memory: that of the frames that were decoded before.
    """

    def __init__(self, config: DistillDriveConfig):
        self.config = config
        self._memory = Memory(config)
        self._nothing = empty_memory(config)
        self._specs = {spec.id: spec for spec in config.camera_specs}
        self.reset()

    def reset(self) -> None:
        """Forget earlier frames and the names of road users."""
        self._memory.reset()
        self._next_id = 0
        self._given: tuple[int, np.ndarray | None] | None = None

    # --- in ----------------------------------------------------------------------------------------------------------

    def picture(self, camera: str, image: np.ndarray) -> np.ndarray:
        """A picture of ``camera`` as the network sees it: RGB uint8 [H, W, 3]. Trainers may store its result.

        Raises:
            SensorError: not RGB uint8, or of another aspect ratio than the camera's.
        """
        config, size = self.config, self.config.spec
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise SensorError(f"RGB uint8 [H, W, 3] with pixels from camera '{camera}'", f"{image.dtype} {list(image.shape)}",
                              "check the camera's encoding")
        height, width = image.shape[:2]
        if abs(width * config.camera_height / (height * config.camera_width) - 1.0) > ASPECT:
            raise SensorError(f"a picture of {config.camera_width}x{config.camera_height}, or scaled, from camera '{camera}'",
                              f"{width}x{height}", "mount or record the cameras that 'kd-planner models sensors NAME' lists")
        return resize_rows(image, config.scaled_height, size.width_px, config.cut_top, size.height)

    def section(self, labels: np.ndarray) -> np.ndarray:
        """The part of a camera's ``labels`` [H, W] that belongs to ``picture``, [H, W] of the network's picture."""
        config, size = self.config, self.config.spec
        return resize_labels(labels, config.scaled_height, size.width_px)[config.cut_top:config.cut_top + size.height]

    def views(self, frame: Frame) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """(pictures by camera as the network sees them, black where missing; seen float32 [V]; projections float32 [V, 3, 4]).

        Raises:
            SensorError: the front camera or too many others are missing, or one gives something unfit.
        """
        missing = [name for name in self._specs if name not in frame.images]
        self._require_enough(frame, missing)
        if missing:
            report(f"no picture from camera {', '.join(missing)}: the plan is made without")
        size = self.config.spec
        black = np.zeros((size.height, size.width_px, 3), np.uint8)
        pictures = {name: black if name in missing else self.picture(name, frame.images[name]) for name in self._specs}
        projections, seen = self.cameras_of(frame)
        return pictures, seen, projections

    def _require_enough(self, frame: Frame, missing: Sequence[str]) -> None:
        """Refuse a frame without the front camera's picture, or with fewer than ``min_cameras``; those that are ``missing`` are named."""
        least, front = self.config.min_cameras, next(iter(self._specs))
        if front not in missing and len(self._specs) - len(missing) >= least:
            return
        raise SensorError(f"pictures from at least {least} of the cameras {', '.join(self._specs)}, '{front}' among them",
                          f"{', '.join(sorted(frame.images)) or 'no camera'}; {', '.join(missing)} missing",
                          "mount or remap the cameras, or choose a planner that needs fewer cameras")

    def cameras_of(self, frame: Frame) -> tuple[np.ndarray, np.ndarray]:
        """(projections float32 [V, 3, 4], float32 [V]: 1 where the camera gave a picture)."""
        return (np.stack([projection(self._spec(frame, name), self.config) for name in self._specs]),
                np.array([name in frame.images for name in self._specs], np.float32))

    def _spec(self, frame: Frame, name: str) -> CameraSpec:
        """The calibration of camera ``name``: the frame's where it has one, else what the network was made for."""
        declared, told = self._specs[name], frame.calibrations.get(name)
        if told is None:
            if name in frame.images:
                report(f"no calibration of camera {name}: the declared one is used")
            return declared
        if told.pose == Pose():  # whoever made the frame knows no mounting
            return CameraSpec(name, declared.pose, told.width, told.height, told.fov_deg, told.period_s)
        return told

    def image_tensor(self, pictures: Sequence[np.ndarray | Tensor]) -> Tensor:
        """[B, V, 3, H, W] of the pictures [B, H, W, 3] of each camera."""
        return standardise(torch.stack([torch.as_tensor(one).permute(0, 3, 1, 2) for one in pictures], 1))

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """The network's inputs.

        Raises:
            SensorError: as ``views``.
        """
        views = [self.views(frame) for frame in frames]
        images = self.image_tensor([np.stack([view[0][name] for view in views]) for name in self._specs])
        poses = [(frame.ego.pose.x, frame.ego.pose.y, frame.ego.pose.yaw) for frame in frames]
        entries: list[Entry | None] = [None] * len(frames)
        if len(frames) == 1:
            entries = [self._memory.before(frames[0].stamp_ns)]
        past = with_ego(recalled(entries, [frame.stamp_ns for frame in frames], poses, self._nothing),
                        np.array([frame.ego.speed_mps for frame in frames]), targets_of(frames), self.config)
        if len(frames) == 1:
            entry = entries[0]
            self._given = frames[0].stamp_ns, entry.ids if entry is not None and float(past["known"][0]) else None
        return {"images": images, "seen": torch.from_numpy(np.stack([view[1] for view in views])),
                "projection": torch.from_numpy(np.stack([view[2] for view in views])), **past}

    # --- out ---------------------------------------------------------------------------------------------------------

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Plan:
        """The plan, with every candidate, the road users and the map lines.

        Values that are not finite are passed on; the supervisor answers them with a safe stop.
        """
        config = self.config
        found = {name: outputs[name][0].detach().float().cpu().numpy() for name in ANSWERS if name != "kept"}
        kept = outputs["kept"][0].detach().cpu().numpy().astype(int)
        ids, remembered = self._names(kept, len(found["boxes"]), frame.stamp_ns)
        self._remember(outputs, frame, ids[kept])
        forecasts = found["boxes"][:, None, None, :2] + found["agent_offsets"].cumsum(2)
        lines = 1.0 / (1.0 + np.exp(-found["line_logits"].astype(float)))
        scene = Scene(found["boxes"], found["box_logits"].argmax(1), np.minimum(found["box_confidence"], 1.0), ids, forecasts,
                      softmax(found["agent_scores"].astype(float)), found["lines"].reshape(len(lines), -1, 2), lines.argmax(1),
                      lines.max(1))
        missing = [name for name in self._specs if name not in frame.images]
        command, told = command_of(frame)
        if not told:
            report("no command from the route: straight on is taken")
        mode = ", ".join([COMMANDS[command] + ("" if told else " (no command)"), *(f"without {name}" for name in missing)])
        notes = {"memory": float(remembered), "cameras": float(len(self._specs) - len(missing))}
        return make_plan(found["offsets"], found["scores"], found["status"], scene, frame, config,
                         config.rescore_probability if config.rescore else None, notes, mode)

    def _names(self, kept: np.ndarray, count: int, stamp_ns: int) -> tuple[np.ndarray, bool]:
        """(ids int64 [N] of all boxes, whether there was a memory): carried ones keep theirs, the others that go on get new ones."""
        given, self._given = self._given, None
        old = given[1] if given is not None and given[0] == stamp_ns else None
        ids = np.full(count, -1, np.int64)
        if old is not None:
            ids[:len(old)] = old
        for index in kept.tolist():
            if ids[index] < 0:
                ids[index], self._next_id = self._next_id, self._next_id + 1
        return ids, old is not None

    def _remember(self, outputs: Mapping[str, Tensor], frame: Frame, ids: np.ndarray) -> None:
        pose = frame.ego.pose
        state = {name: outputs[f"next_{name}"][:1].detach().float().cpu() for name in MEMORY}
        if all(bool(one.isfinite().all()) for one in state.values()):  # one bad frame must not spoil the next ones
            self._memory.put(Entry(frame.stamp_ns, (pose.x, pose.y, pose.yaw), state, ids))


def build_processor(config: DistillDriveConfig) -> DistillDriveProcessor:
    """The processor for ``config``."""
    return DistillDriveProcessor(config)
