"""NAVSIM's layout as published: one pickle a log, a list of its frames at 2 Hz; pictures beside it.

    navsim_logs/mini/2021.05.12.22.00.38_veh-35_01008_01518.pkl      (or OpenScene's meta_datas/mini/)
    sensor_blobs/mini/2021.05.12.22.00.38_veh-35_01008_01518/CAM_F0/*.jpg

A frame is a dict: token, timestamp (microseconds), map_location, ego2global_translation, ego2global_rotation (w, x, y, z),
lidar2ego_translation, lidar2ego_rotation, ego_dynamic_state (velocity x, y, acceleration x, y in the ego frame), driving_command (one of
left, forward, right, unknown), traffic_lights, cams (data_path, sensor2lidar_rotation, sensor2lidar_translation, cam_intrinsic,
distortion), and where labels were published anns (gt_boxes in the ego frame, gt_names, gt_velocity_3d in the LiDAR's, track_tokens).
Point clouds are never read. Source: ``navsim/common/dataclasses.py`` and OpenScene's
``create_openscene_metadata.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from kd_planner_ros.bags.navsim.unpickle import REMEDY, read_plain
from kd_planner_ros.bags.nuscenes.layout import matrix
from kd_planner_ros.core.errors import BagError

LOGS = ("navsim_logs", "meta_datas")
_FOLDERS = "give the folder that holds navsim_logs and sensor_blobs, as published"
Frame = Mapping[str, Any]
EGO_BOX = "5.176 2.297 1.461"
"""``ego_box`` of a recording's notes: length, width and centre before ``base_link``, metres.
nuPlan's vehicle parameters; ``base_link`` lies on the rear axle."""


class NavsimLogs:
    """The logs of one split of the set at ``folder``; ``split`` names it, the only one unless given.

    Raises:
        BagError: no such folder, several splits and none named, or a split without logs.
    """

    def __init__(self, folder: Path, split: str = ""):
        folder = Path(folder)
        found = {path.parent.name: path.parent for name in reversed(LOGS) for path in sorted(folder.glob(f"{name}/*/*.pkl"))}
        if not found or split and split not in found:
            raise BagError(f"logs of NAVSIM in {folder}/navsim_logs/{split or '<split>'}",
                           f"logs of {', '.join(sorted(found)) or 'no split'}", _FOLDERS)
        if len(found) > 1 and not split:
            raise BagError(f"one split of NAVSIM in {folder}", ", ".join(sorted(found)), "name one with --split")
        self.split = split or next(iter(found))
        self.logs = tuple(sorted(found[self.split].glob("*.pkl")))
        self._blobs = folder / "sensor_blobs" / self.split

    def frames(self, log: Path) -> list[Frame]:
        """The frames of ``log`` (one of ``logs``) in time order.

        Raises:
            BagError: a broken pickle, one with other things than numpy and builtin containers, or no list of dicts.
        """
        found = read_plain(log)
        if not isinstance(found, list):
            raise BagError(f"a list of frames in {log}", type(found).__name__, REMEDY)
        if (odd := next((row for row, one in enumerate(found) if not _is_frame(one)), None)) is not None:
            raise BagError(f"frames with timestamp and map_location in {log}", f"frame {odd} without", REMEDY)
        return sorted(found, key=lambda frame: int(frame["timestamp"]))

    def picture(self, frame: Frame, channel: str) -> Path | None:
        """Where the picture of ``channel`` lies; None where the frame has none or the file is not there.

        Raises:
            BagError: a path out of the folder of pictures.
        """
        camera = frame["cams"].get(channel)
        if camera is None:
            return None
        inside = PurePosixPath(str(camera["data_path"]))
        if inside.is_absolute() or ".." in inside.parts:
            raise BagError(f"a path inside {self._blobs}", str(inside), REMEDY)
        path = self._blobs / inside
        return path if path.is_file() else None


def _is_frame(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("timestamp"), (int, np.integer)) and isinstance(one.get("map_location"), str)


def ego_to_global(frame: Frame) -> np.ndarray:
    """[4, 4] from the ego frame (x ahead, y left, on the rear axle) to the map."""
    return matrix({"translation": frame["ego2global_translation"], "rotation": frame["ego2global_rotation"]})


def lidar_to_ego(frame: Frame) -> np.ndarray:
    """[4, 4] from the LiDAR's frame to the ego's."""
    return matrix({"translation": frame["lidar2ego_translation"], "rotation": frame["lidar2ego_rotation"]})


def camera_to_ego(frame: Frame, channel: str) -> np.ndarray:
    """[4, 4] from the camera's optical frame (z ahead, x right) to the ego's."""
    own = frame["cams"][channel]
    mounted = np.eye(4)
    mounted[:3, :3], mounted[:3, 3] = _array(own["sensor2lidar_rotation"], (3, 3)), _array(own["sensor2lidar_translation"], (3,))
    return lidar_to_ego(frame) @ mounted


def boxes_of(frame: Frame) -> tuple[np.ndarray, Sequence[str], np.ndarray, Sequence[str]]:
    """(boxes [N, 7]: centre, length, width, height, yaw in the ego frame; names [N]; velocities [N, 3] m/s in the LiDAR's frame; track
    tokens [N]); none where the frame has no labels.

    Raises:
        BagError: arrays of other shapes.
    """
    labels = frame.get("anns")
    if labels is None:
        return np.zeros((0, 7)), (), np.zeros((0, 3)), ()
    names, tracks = [str(one) for one in labels["gt_names"]], [str(one) for one in labels["track_tokens"]]
    boxes, velocities = _array(labels["gt_boxes"], (len(names), 7)), _array(labels["gt_velocity_3d"], (len(names), 3))
    if len(tracks) != len(names):
        raise BagError(f"{len(names)} track tokens of frame {frame.get('token')}", str(len(tracks)), REMEDY)
    return boxes, names, velocities, tracks


def _array(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    found = np.asarray(values, float)
    if found.size == int(np.prod(shape)) == 0:
        return np.zeros(shape)
    if found.shape != shape or not np.isfinite(found).all():
        raise BagError(f"finite numbers {list(shape)}", f"{list(found.shape)}" if found.shape != shape else "numbers that are not", REMEDY)
    return found
