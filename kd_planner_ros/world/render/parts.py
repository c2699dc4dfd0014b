"""Pieces of the static world: a mesh and what the shader must know of its triangles, one row each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from kd_planner_ros.world.render import materials as mat
from kd_planner_ros.world.render.meshes import Mesh, cylinder, ellipsoid, frustum, join
from kd_planner_ros.world.render.town import Town

# columns of a triangle's row
(P_NORMAL, P_TANGENT, P_U0, P_CELL, P_SEED, P_RGB, P_MATERIAL, P_TAG, P_SIGNAL, P_EXTRA) = (0, 3, 5, 6, 8, 9, 12, 13, 14, 15)
PART_COLUMNS = 16
STOREY_M, BAY_M = 3.2, 2.9
LAMP_HEIGHT_M, LAMP_ARM_M = 6.4, 2.2
TREE_SHAPES = 16


@dataclass(frozen=True)
class Part:
    """``rgb`` sRGB; ``anchor`` [3] origin of texture coordinates; ``bay_m`` width of a window bay; ``signal`` row and
    ``lamp`` state of a lens."""

    mesh: Mesh
    tag: int
    rgb: tuple[int, ...]
    anchor: tuple[float, float, float] = (0.0, 0.0, 0.0)
    seed: float = 0.0
    bay_m: float = BAY_M
    signal: int = -1
    lamp: int = 0

    def rows(self) -> np.ndarray:
        """One row [T, PART_COLUMNS] a triangle: normal, horizontal tangent, texture origin, bay, colour, tags."""
        normal = self.mesh.normals.mean(1)
        normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        flat = np.hypot(normal[:, 0], normal[:, 1])
        rows = np.zeros((len(normal), PART_COLUMNS), np.float32)
        rows[:, 0:3] = normal
        rows[:, 3] = np.where(flat > 1e-3, -normal[:, 1] / np.maximum(flat, 1e-3), 1.0)
        rows[:, 4] = np.where(flat > 1e-3, normal[:, 0] / np.maximum(flat, 1e-3), 0.0)
        rows[:, P_U0] = rows[:, 3] * self.anchor[0] + rows[:, 4] * self.anchor[1]
        rows[:, P_CELL], rows[:, P_CELL + 1], rows[:, P_SEED] = self.bay_m, STOREY_M, self.seed
        rows[:, P_RGB:P_RGB + 3] = mat.linear(self.rgb)
        rows[:, P_MATERIAL], rows[:, P_TAG] = self.mesh.material, self.tag
        rows[:, P_SIGNAL], rows[:, P_EXTRA] = self.signal, self.lamp if self.signal >= 0 else self.anchor[2]
        return rows


def town_parts(town: Town) -> list[Part]:
    """Meshes of all buildings, trees and street lamps."""
    parts: list[Part] = []
    for row in town.buildings:
        parts += _building(row)
    for row in town.trees:
        parts += _tree(row)
    for x, y, yaw in town.lamps:
        where = (x, y, 0.0)
        post, light = _street_lamp()
        parts += [Part(post.moved(where, yaw), mat.TAG_POLE, (88, 92, 94)),
                  Part(light.moved(where, yaw), mat.TAG_POLE, (200, 198, 190))]
    return parts


@cache
def _block(material: int, roof: int) -> Mesh:
    """A unit block, centre of its foot at the origin, whose top and bottom are of ``roof``."""
    rect = (-0.5, 0.5, -0.5, 0.5)
    block = frustum(rect, 0.0, rect, 1.0, material)
    return Mesh(block.corners, block.normals, np.where(np.abs(block.normals[:, 0, 2]) > 0.5, roof, material).astype(np.uint8))


def _building(row: np.ndarray) -> list[Part]:
    x, y, yaw, length, width, height, colour, seed = row
    rgb = tuple(int(v) for v in mat.FACADE_RGB[int(colour)])
    c, s = np.cos(yaw), np.sin(yaw)
    anchor = (x - (c * length - s * width) / 2, y - (s * length + c * width) / 2, height)
    parts = [Part(_block(mat.M_FACADE, mat.M_ROOF).moved((x, y, 0.0), yaw, (length, width, height)), mat.TAG_BUILDING, rgb,
                  anchor, seed),
             Part(_block(mat.M_PLAIN, mat.M_ROOF).moved((x, y, height - 0.45), yaw, (length + 0.3, width + 0.3, 0.7)),
                  mat.TAG_BUILDING, tuple(int(0.8 * v) for v in rgb), anchor, seed)]
    if int(seed) % 3 == 0:
        parts.append(Part(_block(mat.M_PLAIN, mat.M_ROOF).moved((x - 0.1 * c * length, y - 0.1 * s * length, height), yaw,
                                                                (0.5 * length, 0.6 * width, 2.4)),
                          mat.TAG_BUILDING, (120, 118, 114), anchor, seed))
    return parts


@cache
def _crown(variant: int) -> Mesh:
    """A crown of three ragged balls; 1 m high and about 1 m in radius, its top at z = 0."""
    rng = np.random.default_rng([variant, 77])
    blobs = []
    for k in range(3):
        angle, size = 2.1 * k + float(rng.uniform(0, 2)), float(rng.uniform(0.72, 0.95))
        at = (0.38 * np.cos(angle), 0.38 * np.sin(angle), -0.75 - 0.28 * k)
        blobs.append(ellipsoid(at, (size, size, 0.9 * size), mat.M_LEAF, 4, 7, rng.uniform(0.78, 1.2, (5, 7))))
    return join(blobs)


@cache
def _trunk() -> Mesh:
    return cylinder((0, 0, 0), (0, 0, 1), 1.0, mat.M_BARK, 6, 0.6)


def _tree(row: np.ndarray) -> list[Part]:
    x, y, height, radius, colour, seed = row
    rgb = tuple(int(v) for v in mat.LEAF_RGB[int(colour)])
    thick = 0.05 + 0.018 * height
    return [Part(_trunk().moved((x, y, 0.0), 0.0, (thick, thick, 0.6 * height)), mat.TAG_VEGETATION, (92, 74, 58), seed=seed),
            Part(_crown(int(seed) % TREE_SHAPES).moved((x, y, height), seed, radius), mat.TAG_VEGETATION, rgb,
                 (x, y, height - radius), seed)]


@cache
def _street_lamp() -> tuple[Mesh, Mesh]:
    """Post with its arm, and the luminaire."""
    post = join([cylinder((0, 0, 0), (0, 0, LAMP_HEIGHT_M), 0.09, mat.M_METAL, 7, 0.06),
                 cylinder((0, 0, LAMP_HEIGHT_M - 0.1), (LAMP_ARM_M, 0, LAMP_HEIGHT_M + 0.15), 0.05, mat.M_METAL, 6)])
    return post, cylinder((LAMP_ARM_M - 0.35, 0, LAMP_HEIGHT_M + 0.1), (LAMP_ARM_M + 0.35, 0, LAMP_HEIGHT_M + 0.1), 0.13,
                          mat.M_STREET_LAMP, 6)
