"""Records to InterFuser's tensors and back. The only place where its frame is turned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.outputs import Detections
from kd_planner_ros.core.records import Frame, Plan, Trajectory
from kd_planner_ros.driving.safety.peaks import find_objects
from kd_planner_ros.driving.safety.road_users import detections_from
from kd_planner_ros.geometry.frames import base_to_planner, planner_to_base
from kd_planner_ros.imaging.resize import resize_rgb
from kd_planner_ros.networks.blocks.inputs import COMMANDS, command_index, navigation, normalise, unfit_picture
from kd_planner_ros.networks.interfuser import bev
from kd_planner_ros.networks.interfuser.config import MAP_CELLS, InterFuserConfig
from kd_planner_ros.networks.interfuser.targets import SCALES, cell_centres
from kd_planner_ros.networks.planner import Processor

PICTURES = ("front", "left", "right", "focus")
FOLLOW_MPS = (2.0, 5.0)
"""The waypoints are a path, not a motion: their times are those of driving on at the present speed, within this."""
_MIN_STEP_S = 1e-3
_HALF_TURN_NS = 150_000_000


class InterFuserProcessor(Processor):
    """Encodes frames for the network and decodes its outputs, for node, trainer and evaluator alike.

    A LiDAR message that holds only the rear half of a turn (CARLA's, on every other tick) does not show what the
    network looks at: the last front half, if it is not older than 0.15 s, is used in its place.
    """

    def __init__(self, config: InterFuserConfig):
        self.config = config
        self._centres = cell_centres()
        self.reset()

    def reset(self) -> None:
        """Forget the last front half of a LiDAR turn."""
        self._front_ns = 0
        self._front: np.ndarray | None = None

    def views(self, images: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the network sees of the three cameras: ``front``, ``left``, ``right``, ``focus`` RGB uint8 [P, P, 3].

        Pictures are scaled, then cropped in their middle; the focus view is the middle of the front picture as it is.
        Trainers may store the result.

        Raises:
            SensorError: a camera is missing, or its picture is not RGB uint8 of 4 to 3 or is too small to crop from.
        """
        config = self.config
        front = self._picture(images, config.front_id)
        focus = max(1, round(config.focus_share * front.shape[1]))
        return {"front": _crop(_scale(front, config.front_scaled), config.front_px),
                "left": _crop(_scale(self._picture(images, config.left_id), config.side_scaled), config.side_px),
                "right": _crop(_scale(self._picture(images, config.right_id), config.side_scaled), config.side_px),
                "focus": resize_rgb(_crop(front, focus), config.focus_px, config.focus_px)}

    def _picture(self, images: Mapping[str, np.ndarray], camera: str) -> np.ndarray:
        if camera not in images:
            raise SensorError(f"a picture from camera '{camera}'", f"pictures from {sorted(images) or 'no camera'}",
                              "mount or remap the camera")
        image = images[camera]
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise SensorError(f"RGB uint8 [H, W, 3] from camera '{camera}'", f"{image.dtype} {list(image.shape)}",
                              "check the camera's encoding")
        height, width = image.shape[:2]
        if min(height, width) < 32 or abs(width / height - 4.0 / 3.0) > 0.02:
            raise unfit_picture("interfuser", camera, "a picture with the aspect ratio 4:3", image,
                                (self.config.camera_width, self.config.camera_height))
        return image

    def lidar_counts(self, cloud: np.ndarray) -> np.ndarray:
        """The histogram uint8 [2, rows, columns] of one cloud [N, >= 3] in the sensor's frame. Trainers may store it.

        Raises:
            SensorError: not a table of at least x, y, z.
        """
        return bev.counts(self._points(cloud), self.config)

    def _points(self, cloud: np.ndarray) -> np.ndarray:
        if cloud.ndim != 2 or cloud.shape[1] < 3:
            raise SensorError(f"points [N, 4] from LiDAR '{self.config.lidar_id}'", f"shape {list(cloud.shape)}",
                              "check the cloud's fields")
        return bev.along_vehicle(cloud, self.config.lidar_spec)

    def image_tensor(self, images: np.ndarray | Tensor) -> Tensor:
        """Views uint8 [B, P, P, 3] as normalised float32 [B, 3, P, P] in channels-last memory."""
        return normalise(images)

    def lidar_tensor(self, counts: np.ndarray | Tensor) -> Tensor:
        """Histograms uint8 [B, 2, P, P] as float32 [B, 3, P, P]: below, above and their sum, each over the cap."""
        shares = torch.as_tensor(counts).to(torch.float32) / self.config.lidar_cap
        return torch.cat([shares, shares.sum(1, keepdim=True)], 1)

    def measurement_tensor(self, speed_mps: np.ndarray, commands: np.ndarray) -> Tensor:
        """The measured state [B, 7] from speed [B] and command [B]; VOID counts as LANE_FOLLOW."""
        index = command_index(commands)
        state = np.zeros((len(index), COMMANDS + 1), np.float32)
        state[np.arange(len(index)), index] = 1.0
        state[:, COMMANDS] = speed_mps
        return torch.from_numpy(state)

    def target_tensor(self, target_base: np.ndarray) -> Tensor:
        """Target points [B, 2] of ``base_link`` in the planner frame, metres."""
        return torch.from_numpy(base_to_planner(np.asarray(target_base, np.float32)).copy())

    def encode(self, frames: Sequence[Frame]) -> dict[str, Tensor]:
        """The network's seven inputs.

        Raises:
            SensorError: a sensor is missing from a frame or gives something unfit, or the ego state or the target point
                is not finite.
        """
        views = [self.views(frame.images) for frame in frames]
        counts = np.stack([self.frame_counts(frame) for frame in frames])
        speed, target, commands = navigation(frames)
        pictures = {name: self.image_tensor(np.stack([view[name] for view in views])) for name in PICTURES}
        return {**pictures, "lidar": self.lidar_tensor(counts), "measurements": self.measurement_tensor(speed, commands),
                "target_point": self.target_tensor(target)}

    def frame_counts(self, frame: Frame) -> np.ndarray:
        """The histogram uint8 [2, rows, columns] for ``frame``; frames must come in time order.

        Raises:
            SensorError: no cloud, or one that is no table of at least x, y, z.
        """
        name = self.config.lidar_id
        if name not in frame.clouds:
            raise SensorError(f"a cloud from LiDAR '{name}'", f"clouds from {sorted(frame.clouds) or 'no LiDAR'}",
                              "mount or remap the LiDAR")
        points = self._points(frame.clouds[name])
        if bev.shows_front(points):
            self._front_ns, self._front = frame.stamp_ns, points
        elif self._front is not None and 0 <= frame.stamp_ns - self._front_ns <= _HALF_TURN_NS:
            points = self._front
        return bev.counts(points, self.config)

    def targets(self, path_base: np.ndarray, traffic: np.ndarray, rules: np.ndarray) -> dict[str, Tensor]:
        """What the loss compares with, from what ``targets.py`` gives.

        Args:
            path_base: [B, 10, 2] the next points of the plan, metres, ``base_link``; NaN = past its end.
            traffic: [B, 400, 7] traffic maps.
            rules: [B, 3] classes of junction, light and stop; -1 = unknown.

        Returns:
            ``waypoints`` [B, 10, 2] planner frame with ``waypoints_mask`` [B, 10]; ``traffic_map`` [B, 400, 7];
            ``junction``, ``light``, ``stop`` int64 [B].
        """
        path = base_to_planner(np.asarray(path_base, np.float32))
        known = np.isfinite(path).all(-1)
        classes = torch.from_numpy(np.array(rules, np.int64))
        return {"waypoints": torch.from_numpy(np.where(known[..., None], path, 0.0).astype(np.float32)),
                "waypoints_mask": torch.from_numpy(known),
                "traffic_map": torch.from_numpy(np.array(traffic, np.float32)),
                **{name: classes[:, index] for index, name in enumerate(("junction", "light", "stop"))}}

    def decode(self, outputs: Mapping[str, Tensor], frame: Frame) -> Plan:
        """The plan: waypoints and road users in ``base_link``, for the safety controller; ``notes`` hold the
        probabilities of a junction, a red light and a stop sign.

        Values that are not finite are passed on; the supervisor answers them with a safe stop.
        """
        arrays = {name: outputs[name][0].detach().float().cpu().numpy().astype(float)
                  for name in ("waypoints", "traffic_map", "junction", "light", "stop")}
        points = planner_to_base(arrays["waypoints"])
        free, red, no_stop = (float(_softmax(arrays[name])[0]) for name in ("junction", "light", "stop"))
        grid = arrays["traffic_map"].reshape(MAP_CELLS, MAP_CELLS, -1)
        users = find_objects(grid * SCALES, self._centres, self.config.legacy_peaks)
        notes = {"p_junction": 1.0 - free, "p_red": red, "p_stop": 1.0 - no_stop}
        trajectory = Trajectory(frame.stamp_ns, points, path_times(points, frame.ego.speed_mps))
        return Plan(frame.stamp_ns, trajectory, frame.route_goal, notes=notes, follow="safety",
                    detections=Detections(detections_from(users)))


def path_times(points: np.ndarray, speed_mps: float) -> np.ndarray:
    """When a car that drives on at ``speed_mps`` (kept within 2 ... 5 m/s) is at each of ``points`` [T, 2]: seconds [T],
    increasing."""
    steps = np.diff(np.concatenate([np.zeros((1, 2)), points]), axis=0)
    speed = min(max(speed_mps, FOLLOW_MPS[0]), FOLLOW_MPS[1])
    return np.cumsum(np.maximum(np.hypot(steps[:, 0], steps[:, 1]) / speed, _MIN_STEP_S))


def _scale(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    width, height = size
    return resize_rgb(image, height, width)


def _crop(image: np.ndarray, pixels: int) -> np.ndarray:
    """The square in the middle."""
    top, left = ((side - pixels) // 2 for side in image.shape[:2])
    return np.ascontiguousarray(image[top:top + pixels, left:left + pixels])


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max())
    return shifted / shifted.sum()


def build_processor(config: InterFuserConfig) -> InterFuserProcessor:
    """The processor for ``config``."""
    return InterFuserProcessor(config)
