"""Triangle meshes from a few solids: box, loft, cylinder, ellipsoid. x forward, y left, z up, metres."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Mesh:
    """Triangles: ``corners`` and ``normals`` float32 [T, 3 corners, 3 axes], ``material`` uint8 [T]."""

    corners: np.ndarray
    normals: np.ndarray
    material: np.ndarray

    def moved(self, xyz: Sequence[float], yaw: float = 0.0, scale: float | Sequence[float] = 1.0) -> Mesh:
        """The mesh scaled, then turned about z by ``yaw`` rad, then shifted by ``xyz``."""
        c, s = np.cos(yaw), np.sin(yaw)
        turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])
        scale = np.broadcast_to(np.asarray(scale, float), 3)
        normals = self.normals / scale
        normals = normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)
        return Mesh(((self.corners * scale) @ turn + np.asarray(xyz)).astype(np.float32),
                    (normals @ turn).astype(np.float32), self.material)


def join(meshes: Iterable[Mesh]) -> Mesh:
    """All triangles in one mesh, in the order given."""
    every = list(meshes)
    return Mesh(np.concatenate([m.corners for m in every]), np.concatenate([m.normals for m in every]),
                np.concatenate([m.material for m in every]))


def flat(corners: np.ndarray, material: int) -> Mesh:
    """Triangles [T, 3, 3] with the normal of each face (right-hand rule) at its corners."""
    corners = np.asarray(corners, np.float32).reshape(-1, 3, 3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
    return Mesh(corners, np.repeat(normal[:, None], 3, axis=1).astype(np.float32),
                np.full(len(corners), material, np.uint8))


def quad(a, b, c, d, material: int) -> Mesh:
    """Two triangles a-b-c and a-c-d, seen from where the corners run counter-clockwise."""
    return flat(np.array([[a, b, c], [a, c, d]], np.float32), material)


def box(centre: Sequence[float], size: Sequence[float], material: int) -> Mesh:
    """An axis-parallel box of full ``size`` about ``centre``: 12 triangles."""
    half = np.asarray(size, float) / 2
    lo, hi = np.asarray(centre, float) - half, np.asarray(centre, float) + half
    return frustum((lo[0], hi[0], lo[1], hi[1]), lo[2], (lo[0], hi[0], lo[1], hi[1]), hi[2], material)


def frustum(base: Sequence[float], z0: float, top: Sequence[float], z1: float, material: int) -> Mesh:
    """Solid between two rectangles (x0, x1, y0, y1) at heights ``z0`` and ``z1``."""
    def ring(rect, z):
        x0, x1, y0, y1 = rect
        return [np.array(p, float) for p in ((x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z))]
    low, up = ring(base, z0), ring(top, z1)
    sides = [quad(low[i], low[(i + 1) % 4], up[(i + 1) % 4], up[i], material) for i in range(4)]
    return join([*sides, quad(*up, material), quad(*low[::-1], material)])


def loft(rings: np.ndarray, material: int, smooth: bool = True) -> Mesh:
    """Skin over ``rings`` [R, K, 3], each counter-clockwise seen from the far end of the row, with both ends closed."""
    rings = np.asarray(rings, np.float64)
    nxt = np.roll(rings, -1, axis=1)
    a, b, c, d = rings[:-1], nxt[:-1], nxt[1:], rings[1:]
    skin = np.stack([np.stack([a, b, c], 2), np.stack([a, c, d], 2)], 2).reshape(-1, 3, 3)  # [R-1, K, 2, 3, 3]
    body = flat(skin, material)
    if smooth:
        body = Mesh(body.corners, _smooth(body), body.material)
    ends = [flat(np.array([[ring[0], ring[i], ring[i + 1]] for i in range(1, len(ring) - 1)]), material)
            for ring in (rings[-1], rings[0][::-1])]
    return outward(join([body, *ends]))


def outward(mesh: Mesh) -> Mesh:
    """The closed ``mesh`` with its faces turned so that normals point out of it."""
    a, b, c = (mesh.corners[:, k].astype(float) for k in range(3))
    if np.einsum("ij,ij->", a - mesh.corners.mean((0, 1)), np.cross(b - a, c - a)) >= 0.0:
        return mesh
    return Mesh(mesh.corners[:, ::-1].copy(), -mesh.normals[:, ::-1], mesh.material)


def _smooth(mesh: Mesh) -> np.ndarray:
    """Corner normals as the mean over faces that share the corner: [T, 3, 3]."""
    keys = np.round(mesh.corners.reshape(-1, 3), 4)
    _, index = np.unique(keys, axis=0, return_inverse=True)
    total = np.zeros((index.max() + 1, 3))
    area = np.cross(mesh.corners[:, 1] - mesh.corners[:, 0], mesh.corners[:, 2] - mesh.corners[:, 0])
    np.add.at(total, index.ravel(), np.repeat(area, 3, axis=0))
    total /= np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return total[index.ravel()].reshape(-1, 3, 3).astype(np.float32)


def cylinder(start, end, radius: float, material: int, sides: int = 8, end_radius: float | None = None) -> Mesh:
    """A closed cylinder or cone stump from ``start`` to ``end`` with smooth sides."""
    start, end = np.asarray(start, float), np.asarray(end, float)
    axis = (end - start) / np.linalg.norm(end - start)
    helper = np.array([0.0, 0.0, 1.0]) if abs(axis[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    u = np.cross(helper, axis)
    u /= np.linalg.norm(u)
    v = np.cross(axis, u)
    angle = np.arange(sides) * 2 * np.pi / sides
    circle = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v
    last = radius if end_radius is None else end_radius
    return loft(np.stack([start + circle * radius, end + circle * last]), material)


def ellipsoid(centre, radii, material: int, rows: int = 5, sides: int = 8, bumps: np.ndarray | None = None) -> Mesh:
    """An ellipsoid; ``bumps`` [rows + 1, sides] multiplies the radius (1 = smooth) and makes a tree crown ragged."""
    polar = np.linspace(0.02, np.pi - 0.02, rows + 1)[::-1]
    angle = np.arange(sides) * 2 * np.pi / sides
    unit = np.stack([np.sin(polar)[:, None] * np.cos(angle), np.sin(polar)[:, None] * np.sin(angle),
                     np.repeat(np.cos(polar)[:, None], sides, 1)], -1)
    if bumps is not None:
        unit = unit * bumps[..., None]
    return loft(unit * np.asarray(radii, float) + np.asarray(centre, float), material)
