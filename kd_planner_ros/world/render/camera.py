"""A pinhole camera: rays, hits of the static world and of actors, then light and labels."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from kd_planner_ros.core.scene import HEAD_LIGHT, LightState, SceneState
from kd_planner_ros.core.sensors import CameraImage, CameraSpec
from kd_planner_ros.world.render.actors import C_INSTANCE, EGO_DIMENSIONS, draw_casters
from kd_planner_ros.world.render.materials import GROUND_TAGS
from kd_planner_ros.world.render.overlay import GLOW_RGB, glow_lamps, glow_vehicles, rain_streaks
from kd_planner_ros.world.render.scene import StaticScene
from kd_planner_ros.world.render.shading import camera_rays, label_image, shade_image
from kd_planner_ros.world.render.shadows import MASK_M, actor_mask
from kd_planner_ros.world.render.sky import Look
from kd_planner_ros.world.render.stage import A_BEAM_SIN, A_MASK_X, View
from kd_planner_ros.world.render.visible import first_hits

STANDING_BYTES = 32_000_000
"""What is kept of the static town as roadside cameras of one size see it: 48 places of 384x216 pixels, the stations of a drive many times
over."""


class Camera:
    """Buffers for one image size; ``take`` gives pictures from any place. A camera that sees the ego stands at the roadside: what it sees
    of the static town is looked for once."""

    def __init__(self, spec: CameraSpec):
        self.width, self.height, self.focal = spec.width, spec.height, spec.focal_px
        pixels = spec.width * spec.height
        self._directions = np.empty((pixels, 3), np.float32)
        self._surface = np.empty((spec.height, spec.width), np.int32)
        self._hit = np.empty((spec.height, spec.width, 2), np.int32)
        self._share = np.empty((spec.height, spec.width, 2), np.float32)
        self._standing: OrderedDict[bytes, tuple[np.ndarray, np.ndarray]] = OrderedDict()

    def take(self, static: StaticScene, scene: SceneState, rows: np.ndarray, rotation: np.ndarray, eye: np.ndarray,
             sees_ego: bool, labels: bool, seed: int) -> CameraImage:
        """One picture. ``rows``: casters with the ego last; ``rotation`` [3, 3] camera to map, ``eye`` [3]."""
        (stage, look), shapes = static.stage(scene.weather), static.library.shapes
        seen = rows if sees_ego else rows[:-1]
        view, depth = self._cast(static, seen, rotation, eye, sees_ego)
        air, mask = self._tick(stage.air, scene, rows, look, view)
        rgb = np.empty((self.height, self.width, 3), np.uint8)
        shade_image(air, stage.tex, stage.classes, stage.soil, stage.levels, stage.prims, stage.baked, stage.tone, mask,
                    _states(scene), seen, shapes.normals, shapes.material, view.eye, view.focal, self._directions, depth,
                    self._surface, self._hit, self._share, rgb)
        lamps, seen_from = static.lamps, (view.rot, view.eye, view.focal, depth, self._surface, self._hit, look.night, look.wet)
        glow_lamps(lamps.centres, lamps.yaws, lamps.rows, _states(scene), *seen_from, GLOW_RGB, rgb)
        if look.night > 0.3:
            glow_vehicles(seen, *seen_from, GLOW_RGB, rgb)
        if look.rain > 0.0:
            noise = int((scene.stamp_ns // 1_000_000 * 2654435761 + seed) & 0x7FFFFFFF)
            rain_streaks(rgb, depth, look.rain, look.fog_r, look.fog_g, look.fog_b, noise)
        if not labels:
            return CameraImage(scene.stamp_ns, rgb)
        semantic = np.empty((self.height, self.width), np.uint8)
        instance = np.empty((self.height, self.width), np.int32)
        label_image(air, stage.classes, stage.prims, GROUND_TAGS, seen, shapes.material, view.eye, self._directions,
                    depth, self._surface, self._hit, semantic, instance)
        return CameraImage(scene.stamp_ns, rgb, depth, semantic, instance)

    def instances(self, static: StaticScene, rows: np.ndarray, rotation: np.ndarray, eye: np.ndarray) -> np.ndarray:
        """The instance picture alone, int32 [H, W]; the ego is seen."""
        self._cast(static, rows, rotation, eye, stands=True)
        caster = self._hit[..., 0]
        return np.where(caster >= 0, rows[caster, C_INSTANCE].astype(np.int32), 0)

    def _cast(self, static: StaticScene, seen: np.ndarray, rotation: np.ndarray, eye: np.ndarray,
              stands: bool) -> tuple[View, np.ndarray]:
        """The first hit of each pixel's ray, in ``_surface``, ``_hit`` and ``_share``; gives the view and the depth [H, W]."""
        view = View(np.ascontiguousarray(rotation), np.ascontiguousarray(eye, np.float64), self.focal, self.width, self.height)
        camera_rays(view.rot, view.focal, view.width, view.height, self._directions)
        depth = self._town(static, view, stands)
        self._hit.fill(-1)
        shapes = static.library.shapes
        draw_casters(seen, shapes.corners, view.rot, view.eye, view.focal, depth, self._hit, self._share,
                     np.empty((3, 3)), np.empty(4))
        return view, depth

    def _town(self, static: StaticScene, view: View, stands: bool) -> np.ndarray:
        """Depth [H, W] of the static town, its surfaces in ``_surface``."""
        place = view.rot.tobytes() + view.eye.tobytes()
        if stands and place in self._standing:
            self._standing.move_to_end(place)
            depth, surface = self._standing[place]
            np.copyto(self._surface, surface)
            return depth.copy()
        depth = np.empty((self.height, self.width), np.float32)
        first_hits(static.chunks, view, depth, self._surface)
        if stands:
            self._standing[place] = depth.copy(), self._surface.copy()
            while len(self._standing) * (depth.nbytes + self._surface.nbytes) > STANDING_BYTES:
                self._standing.popitem(last=False)
        return depth

    @staticmethod
    def _tick(air: np.ndarray, scene: SceneState, rows: np.ndarray, look: Look, view: View) -> tuple[np.ndarray, np.ndarray]:
        """The weather's ``air`` with this instant's numbers, and the mask of moving actors."""
        sizes = np.stack([scene.actors[name] for name in ("length", "width", "height")], 1)
        sizes = np.concatenate([sizes, [EGO_DIMENSIONS]]).astype(np.float64)
        mask, x, y = actor_mask(rows, sizes, look, view.eye, view.rot[:, 0])
        pose = scene.ego.pose
        lights = look.night if look.night > 0.3 or scene.ego_lights & HEAD_LIGHT else 0.0
        c, s = np.cos(pose.yaw), np.sin(pose.yaw)
        air = air.copy()
        air[A_MASK_X:A_BEAM_SIN + 1] = (x, y, MASK_M, lights, pose.x + 2.3 * c, pose.y + 2.3 * s, c, s)
        return air, mask


def _states(scene: SceneState) -> np.ndarray:
    return np.ascontiguousarray(scene.signals["state"]) if len(scene.signals) else np.full(1, LightState.OFF, np.uint8)
