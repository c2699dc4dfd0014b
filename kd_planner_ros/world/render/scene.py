"""The static world of one map: ground raster, the triangles of what stands, and what each weather bakes onto them.
What takes long to make is kept in the user's cache folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from embreex import rtcore
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.scene import Weather
from kd_planner_ros.world.render import materials as mat
from kd_planner_ros.world.render import signals
from kd_planner_ros.world.render.actors import Library
from kd_planner_ros.world.render.bake import lamp_raster, sun_raster
from kd_planner_ros.world.render.ground import Ground, paint_ground
from kd_planner_ros.world.render.jit import sources_hash
from kd_planner_ros.world.render.overlay import Lamps
from kd_planner_ros.world.render.parts import LAMP_ARM_M, PART_COLUMNS, town_parts
from kd_planner_ros.world.render.sky import Look, make_dome, make_look
from kd_planner_ros.world.render.stage import A_BAKED, A_ORIGIN_X, AIR_SIZE, Stage, pack_soil, pack_textures
from kd_planner_ros.world.render.town import plan_town
from kd_planner_ros.world.render.visible import chunked
from kd_planner_ros.world.sumo_tools import kept_arrays

BAKED_M = 0.4


class StaticScene:
    """Everything of a map that does not move. Built once; ``stage`` gives the kernels' view of it in a weather."""

    def __init__(self, road: RoadMap, seed: int):
        self.ground = paint_ground(road)
        self._key = _key(road, seed)
        town = kept_arrays(self._key, lambda: _standing(road, self.ground, seed))
        self.corners, self.prims = town["corners"], town["prims"]
        self.chunks = chunked(self.corners)
        self.lamps = Lamps(signals.heads(road, self.ground))
        self.library = Library()
        self._soil, self._levels = pack_soil(self.ground.classes, self.ground.pyramid())
        self._grain = mat.noise_tile(np.random.default_rng(11), slope=0.35)
        self._cloud = mat.noise_tile(np.random.default_rng(12), slope=1.6)
        self._tone = mat.tone_table()
        arm = town["lamps"][:, 2]
        arm = town["lamps"][:, :2] + LAMP_ARM_M * np.stack([np.cos(arm), np.sin(arm)], 1)
        self._glow = lamp_raster(arm, self.ground, BAKED_M)
        self._stages: dict[Weather, tuple[Stage, Look]] = {}
        self._shades: dict[tuple[float, float], np.ndarray] = {}

    @cached_property
    def scene(self) -> EmbreeScene:
        """The triangles behind Embree, for LiDARs and shadows."""
        self._device = rtcore.EmbreeDevice()
        scene = EmbreeScene(self._device)
        if len(self.corners):
            TriangleMesh(scene, np.ascontiguousarray(self.corners, np.float32))
        return scene

    def intersect(self, origins: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """First static triangle along each ray [N] (-1: none) and the ray parameter there [N], float32."""
        if not len(self.prims):
            return np.full(len(origins), -1, np.int32), np.full(len(origins), 1e9, np.float32)
        found = self.scene.run(origins, directions, query="INTERSECT", output=1)
        return found["primID"], found["tfar"]

    def stage(self, weather: Weather) -> tuple[Stage, Look]:
        """The static world in ``weather``; kept, since a route keeps its weather and suns are few."""
        if weather not in self._stages:
            if len(self._stages) > 4:
                self._stages.clear()
            look = make_look(weather)
            self._stages[weather] = self._dress(weather, look), look
        return self._stages[weather]

    def _dress(self, weather: Weather, look: Look) -> Stage:
        sun = (round(look.sun_x, 4), round(look.sun_y, 4))
        if look.night >= 1.0:
            sun = (0.0, 0.0)
        if sun not in self._shades:
            dark = look.night >= 1.0 or not len(self.prims)
            shade = np.full(self._glow.shape, 255, np.uint8) if dark else self._sunlight(look)
            self._shades[sun] = np.dstack([shade, self._glow])
        air = np.zeros(AIR_SIZE)
        air[:len(look)] = look
        air[A_ORIGIN_X:A_BAKED + 1] = (*self.ground.origin, self.ground.cell_m, BAKED_M)
        tex = pack_textures(self._grain, self._cloud, make_dome(look, weather.cloudiness, self._cloud))
        return Stage(air, tex, self.ground.classes, self._soil, self._levels, self.prims, self._shades[sun], self._tone)

    def _sunlight(self, look: Look) -> np.ndarray:
        key = self._key and self._key + repr((look.sun_x, look.sun_y, look.sun_z, BAKED_M)).encode()
        return kept_arrays(key, lambda: {"sun": sun_raster(self.scene, self.ground, look, BAKED_M)})["sun"]


def _key(road: RoadMap, seed: int) -> bytes:
    """Changes with the map's file, the seed and the renderer's sources; empty for a map that comes from no file."""
    if not Path(road.net_file).is_file():
        return b""
    return b"town " + sources_hash().encode() + repr((seed, road.name)).encode() + Path(road.net_file).read_bytes()


def _standing(road: RoadMap, ground: Ground, seed: int) -> dict[str, np.ndarray]:
    """All that stands: ``corners`` float32 [T, 3, 3], ``prims`` float32 [T, PART_COLUMNS], ``lamps`` [L, 3]."""
    town = plan_town(road, ground, np.random.default_rng([seed, 0x70776E]))
    parts = town_parts(town) + signals.signal_parts(road, ground)
    if not parts:
        return {"corners": np.zeros((0, 3, 3), np.float32), "prims": np.zeros((0, PART_COLUMNS), np.float32),
                "lamps": town.lamps}
    return {"corners": np.concatenate([part.mesh.corners for part in parts]),
            "prims": np.concatenate([part.rows() for part in parts]), "lamps": town.lamps}
