"""A pinhole camera: rays, hits of the static world and of actors, then light and labels."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.scene import HEAD_LIGHT, SceneState
from kd_planner_ros.core.sensors import CameraImage, CameraSpec
from kd_planner_ros.world.render.actors import CASTER_COLUMNS, EGO_DIMENSIONS, draw_casters
from kd_planner_ros.world.render.overlay import glow_lamps, rain_streaks
from kd_planner_ros.world.render.shading import camera_rays, label_image, nearest, shade_image
from kd_planner_ros.world.render.shadows import MASK_M, actor_mask
from kd_planner_ros.world.render.scene import StaticScene
from kd_planner_ros.world.render.sky import Look
from kd_planner_ros.world.render.stage import Tick, View


class Camera:
    """Buffers for one image size; ``take`` gives pictures from any place."""

    def __init__(self, spec: CameraSpec):
        self.width, self.height, self.focal = spec.width, spec.height, spec.focal_px
        pixels = spec.width * spec.height
        self._origins, self._directions = (np.empty((pixels, 3), np.float32) for _ in range(2))
        self._surface = np.empty((spec.height, spec.width), np.int32)
        self._hit = np.empty((spec.height, spec.width, 2), np.int32)
        self._share = np.empty((spec.height, spec.width, 2), np.float32)

    def take(self, static: StaticScene, scene: SceneState, rows: np.ndarray, rotation: np.ndarray, eye: np.ndarray,
             sees_ego: bool, labels: bool, seed: int) -> CameraImage:
        """One picture. ``rows``: casters with the ego last; ``rotation`` [3, 3] camera to map, ``eye`` [3]."""
        stage, look = static.stage(scene.weather)
        view = View(np.ascontiguousarray(rotation), np.ascontiguousarray(eye, np.float64), self.focal, self.width, self.height)
        seen = rows if sees_ego else rows[:-1]
        depth = np.empty((self.height, self.width), np.float32)
        camera_rays(view, self._origins, self._directions)
        prim, far = static.intersect(self._origins, self._directions)
        nearest(view, self._directions, prim, far, depth, self._surface)
        self._hit.fill(-1)
        draw_casters(seen, stage.corners, view.rot, view.eye, view.focal, depth, self._hit, self._share,
                     np.empty((3, 3)), np.empty(4))
        tick = self._tick(scene, seen, rows, look, view, seed)
        rgb = np.empty((self.height, self.width, 3), np.uint8)
        shade_image(stage, look, tick, view, depth, self._surface, self._hit, self._share, rgb)
        glow_lamps(static.heads, scene.signals, view, depth, look.night, rgb)
        if look.rain > 0.0:
            rain_streaks(rgb, depth, look.rain, look.fog_r, look.fog_g, look.fog_b, tick.seed)
        if not labels:
            return CameraImage(scene.stamp_ns, rgb)
        semantic = np.empty((self.height, self.width), np.uint8)
        instance = np.empty((self.height, self.width), np.int32)
        label_image(stage, tick, view, depth, self._surface, self._hit, semantic, instance)
        return CameraImage(scene.stamp_ns, rgb, depth, semantic, instance)

    @staticmethod
    def _tick(scene: SceneState, seen: np.ndarray, rows: np.ndarray, look: Look, view: View, seed: int) -> Tick:
        sizes = np.stack([scene.actors[name] for name in ("length", "width", "height")], 1)
        sizes = np.concatenate([sizes, [EGO_DIMENSIONS]]).astype(np.float64)
        mask, x, y = actor_mask(rows[:-1], rows[-1:], look, view.eye, view.rot[:, 0], sizes[:-1], sizes[-1:])
        states = np.ascontiguousarray(scene.signals["state"]) if len(scene.signals) else np.full(1, 3, np.uint8)
        pose = scene.ego.pose
        lights = 1.0 if look.night > 0.3 or scene.ego_lights & HEAD_LIGHT else 0.0
        noise = int((scene.stamp_ns // 1_000_000 * 2654435761 + seed) & 0x7FFFFFFF)
        casters = seen if len(seen) else np.zeros((1, CASTER_COLUMNS), np.float32)
        return Tick(casters, states, mask, x, y, MASK_M, lights * look.night, pose.x + 2.3 * np.cos(pose.yaw),
                    pose.y + 2.3 * np.sin(pose.yaw), float(np.cos(pose.yaw)), float(np.sin(pose.yaw)), noise)
