"""The sensors that cast rays: cameras with exact labels, and spinning LiDARs."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import SensorError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, LidarSpec
from kd_planner_ros.geometry.frames import rotation_3d
from kd_planner_ros.world.render.actors import casters
from kd_planner_ros.world.render.camera import Camera
from kd_planner_ros.world.render.lidar import sweep
from kd_planner_ros.world.render.scene import StaticScene


class Renderer:
    """Sensors over one map. Building one takes seconds; keep it over all routes of the map.

    ``seed`` places buildings and trees and drives sensor noise: the same inputs give the same bytes.
    """

    def __init__(self, road: RoadMap, seed: int = 0):
        self.static = StaticScene(road, seed)
        self.seed = seed
        self._cameras: dict[tuple[int, int, float], Camera] = {}
        self._tables: tuple[SceneState | None, np.ndarray | None] = (None, None)

    def cameras(self, scene: SceneState, specs: Iterable[CameraSpec], labels: bool | Collection[str],
                roadside: bool = False) -> dict[str, CameraImage]:
        """One picture a camera, by id; with depth, semantic and instance images where ``labels`` (for all, for none, or for
        the ids in it).

        A ``roadside`` camera, of any station, stands at its pose in ``map`` and sees the ego (instance N + 1 for N actors);
        any other moves with the ego and does not see it.

        Raises:
            SensorError: a camera has no pixels or an impossible field of view.
        """
        rows = self._casters(scene)
        pictures = {}
        for spec in specs:
            if spec.width < 1 or spec.height < 1 or not 0.0 < spec.fov_deg < 180.0:
                raise SensorError(f"a camera '{spec.id}' with pixels and a field of view inside (0, 180) degrees",
                                  f"{spec.width}x{spec.height}, {spec.fov_deg} degrees", "correct the sensor rig")
            camera = self._camera(spec)
            rotation, eye = self._mount(scene, spec.pose, roadside)
            labelled = labels if isinstance(labels, bool) else spec.id in labels
            pictures[spec.id] = camera.take(self.static, scene, rows, rotation, eye, roadside, labelled, self.seed)
        return pictures

    def instances(self, scene: SceneState, spec: CameraSpec) -> np.ndarray:
        """The instance picture int32 [H, W] of a roadside camera, the same as that of ``cameras``, in a part of the time: nothing is
        lit or coloured."""
        return self._camera(spec).instances(self.static, self._casters(scene), *self._mount(scene, spec.pose, True))

    def lidar(self, scene: SceneState, spec: LidarSpec, tick: int, roadside: bool = False) -> np.ndarray:
        """The part of a turn that ``tick`` covers: x, y, z, intensity float32 [N, 4] in the sensor's frame. A ``roadside``
        LiDAR stands at its pose in ``map`` and sees the ego."""
        rotation, eye = self._mount(scene, spec.pose, roadside)
        rows = self._casters(scene)
        return sweep(self.static, rows if roadside else rows[:-1], spec, rotation, eye, tick, self.seed)

    def _camera(self, spec: CameraSpec) -> Camera:
        key = spec.width, spec.height, spec.fov_deg
        if key not in self._cameras:
            self._cameras[key] = Camera(spec)
        return self._cameras[key]

    def _casters(self, scene: SceneState) -> np.ndarray:
        if self._tables[0] is not scene:
            self._tables = (scene, casters(self.static.library, scene))
        return self._tables[1]

    @staticmethod
    def _mount(scene: SceneState, pose: Pose, roadside: bool) -> tuple[np.ndarray, np.ndarray]:
        """Rotation [3, 3] from sensor axes to ``map`` and the sensor's place [3]."""
        rotation, eye = rotation_3d(pose), np.array([pose.x, pose.y, pose.z])
        if roadside:
            return rotation, eye
        ego = scene.ego.pose
        body = rotation_3d(ego)
        return body @ rotation, body @ eye + [ego.x, ego.y, ego.z]
