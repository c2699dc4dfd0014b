"""Actors of one tick as instances of a small library of shapes, and their exact intersection with a camera's rays.

A hierarchy over moving triangles costs more to build each tick than it saves (24,000 triangles: 40 ms), so actor
triangles are walked once and tested against the rays inside their outline: homogeneous edge functions, the same hits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kd_planner_ros.core.scene import INDICATOR_LEFT, INDICATOR_RIGHT, ActorKind, SceneState
from kd_planner_ros.world.ego_body import EGO_LENGTH_M, EGO_WIDTH_M
from kd_planner_ros.world.render import materials as mat
from kd_planner_ros.world.render import vehicles, walkers
from kd_planner_ros.world.render.jit import helper, kernel
from kd_planner_ros.world.render.meshes import Mesh, join

BLINK_NS = 333_000_000
EGO_DIMENSIONS = (EGO_LENGTH_M, EGO_WIDTH_M, 1.51)
NEAR_M = 0.05
# columns of a caster row
(C_X, C_Y, C_Z, C_COS, C_SIN, C_SX, C_SY, C_SZ, C_FIRST, C_LAST, C_INSTANCE, C_TAG, C_RGB, C_RGB2, C_RGB3, C_LIGHTS,
 C_SEED, C_RADIUS, C_HALF_LENGTH, C_HALF_WIDTH) = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 18, 21, 22, 23, 24, 25)
CASTER_COLUMNS = 26


class Shapes(NamedTuple):
    """All shapes in one soup: ``corners``, ``normals`` float32 [T, 3, 3], ``material`` uint8 [T]."""

    corners: np.ndarray
    normals: np.ndarray
    material: np.ndarray


class Library:
    """The shapes and where each one lies in the soup."""

    def __init__(self):
        self.names: dict[str, tuple[int, int]] = {}
        self.looks: dict[tuple, np.ndarray] = {}
        meshes: list[Mesh] = []
        self._add(meshes, "barrier", vehicles.barrier())
        for kind in ("sedan", "hatch", "van"):
            self._add(meshes, kind, vehicles.car(kind))
        self._add(meshes, "truck", vehicles.truck())
        self._add(meshes, "bus", vehicles.bus())
        for kind in ("motorcycle", "bicycle"):
            self._add(meshes, kind, vehicles.two_wheeler(kind))
        for phase in range(walkers.PHASES):
            self._add(meshes, f"walker{phase}", walkers.walker(phase))
        self._add(meshes, "standing", walkers.walker(None))
        whole = join(meshes)
        self.shapes = Shapes(whole.corners, whole.normals, whole.material)

    def _add(self, meshes: list[Mesh], name: str, mesh: Mesh) -> None:
        first = sum(len(m.material) for m in meshes)
        self.names[name] = (first, first + len(mesh.material))
        meshes.append(mesh)


def _shape_of(kind: int, seed: int, height: float) -> tuple[str, tuple[float, float, float]]:
    """Name and nominal size of the shape of an actor that has no stride."""
    if kind == ActorKind.PEDESTRIAN:
        return "standing", walkers.NOMINAL
    if kind == ActorKind.CAR:
        name = "van" if height > 1.8 else ("sedan", "hatch")[seed // 7 % 2]
    else:
        name = {ActorKind.TRUCK: "truck", ActorKind.BUS: "bus", ActorKind.MOTORCYCLE: "motorcycle",
                ActorKind.BICYCLE: "bicycle"}.get(kind, "barrier")
    return name, vehicles.NOMINAL[name]


def _looks(library: Library, kind: int, seed: int, length: float, width: float, height: float) -> np.ndarray:
    """What never changes of an actor's row: shape, scale, colours."""
    key = (kind, seed, length, width, height)
    if key not in library.looks:
        name, nominal = _shape_of(kind, seed, height)
        row = np.zeros(CASTER_COLUMNS, np.float32)
        row[C_SX:C_SZ + 1] = np.array([length, width, height]) / nominal
        row[C_FIRST], row[C_LAST] = library.names[name]
        row[C_TAG], row[C_SEED] = kind, seed % 4096
        row[C_RGB:C_RGB + 3] = mat.linear(mat.PAINT_RGB[seed % len(mat.PAINT_RGB)])
        row[C_RGB2:C_RGB2 + 3] = mat.linear(mat.CLOTH_RGB[seed // 13 % len(mat.CLOTH_RGB)])
        row[C_RGB3:C_RGB3 + 3] = mat.linear(mat.CLOTH_RGB[(seed // 131 + 2) % len(mat.CLOTH_RGB)])
        row[C_RADIUS] = 0.5 * float(np.linalg.norm((length, width, height))) + 0.4
        row[C_HALF_LENGTH], row[C_HALF_WIDTH] = 0.5 * length, 0.5 * width
        if len(library.looks) > 20_000:
            library.looks.clear()
        library.looks[key] = row
    return library.looks[key]


def casters(library: Library, scene: SceneState) -> np.ndarray:
    """One row [A + 1, CASTER_COLUMNS] an actor (instance 1 + its row in the table); the ego last, as instance A + 1.

    Indicators blink with the scene's clock; walkers stride with the way they go.
    """
    table = np.concatenate([scene.actors, ego_actor(scene)[None]])
    keys = zip(*(table[name].tolist() for name in ("kind", "seed", "length", "width", "height")), strict=True)
    rows = np.array([_looks(library, *key) for key in keys], np.float32).reshape(-1, CASTER_COLUMNS)
    c, s = np.cos(table["yaw"].astype(float)), np.sin(table["yaw"].astype(float))
    rows[:, C_X], rows[:, C_Y], rows[:, C_Z], rows[:, C_COS], rows[:, C_SIN] = table["x"], table["y"], table["z"], c, s
    rows[:, C_INSTANCE] = 1 + np.arange(len(table))
    hidden = 0 if scene.stamp_ns // BLINK_NS % 2 == 0 else INDICATOR_LEFT | INDICATOR_RIGHT
    rows[:, C_LIGHTS] = table["lights"] & ~np.uint8(hidden)
    strides = (table["x"] * c + table["y"] * s) / walkers.STRIDE_M + table["seed"] % 97 / 97.0
    walking = (table["kind"] == ActorKind.PEDESTRIAN) & (np.hypot(table["vx"], table["vy"]) >= 0.15)
    for i in np.flatnonzero(walking):
        phase = int(strides[i] % 1.0 * walkers.PHASES) % walkers.PHASES
        rows[i, C_FIRST], rows[i, C_LAST] = library.names[f"walker{phase}"]
    return rows


def ego_actor(scene: SceneState):
    """The ego as a row of the actor table."""
    row = np.zeros((), scene.actors.dtype)
    pose = scene.ego.pose
    for name, value in (("kind", ActorKind.CAR), ("x", pose.x), ("y", pose.y), ("z", pose.z), ("yaw", pose.yaw),
                        ("length", EGO_DIMENSIONS[0]), ("width", EGO_DIMENSIONS[1]), ("height", EGO_DIMENSIONS[2]),
                        ("seed", 16), ("lights", scene.ego_lights)):
        row[name] = value
    return row


@helper
def corner_to_camera(row, corner, rot, eye, out):
    """Writes a shape's corner [3] in camera axes (x forward, y left, z up) to ``out`` [3]."""
    lx, ly = corner[0] * row[5], corner[1] * row[6]
    wx = row[0] + lx * row[3] - ly * row[4] - eye[0]
    wy = row[1] + lx * row[4] + ly * row[3] - eye[1]
    wz = row[2] + corner[2] * row[7] - eye[2]
    for k in range(3):
        out[k] = rot[0, k] * wx + rot[1, k] * wy + rot[2, k] * wz


@helper
def _outside(row, rot, eye, tan_x, tan_y):
    """Whether the caster's bounding sphere lies outside the view."""
    wx, wy, wz = row[0] - eye[0], row[1] - eye[1], row[2] + 0.4 * row[23] - eye[2]
    x = rot[0, 0] * wx + rot[1, 0] * wy + rot[2, 0] * wz
    y = rot[0, 1] * wx + rot[1, 1] * wy + rot[2, 1] * wz
    z = rot[0, 2] * wx + rot[1, 2] * wy + rot[2, 2] * wz
    r = row[23]
    side = r * np.sqrt(1.0 + tan_x * tan_x)
    rise = r * np.sqrt(1.0 + tan_y * tan_y)
    return x < -r or abs(y) > x * tan_x + side or abs(z) > x * tan_y + rise


@helper
def _outline(tri, focal, cx, cy, box):
    """Pixel bounds of a triangle in camera axes, clipped at the near plane, to ``box`` (x0, x1, y0, y1)."""
    box[0], box[1], box[2], box[3] = 1e9, -1e9, 1e9, -1e9
    for i in range(3):
        j = (i + 1) % 3
        for k in range(2):
            x, y, z = tri[i, 0], tri[i, 1], tri[i, 2]
            if k == 0 and x < NEAR_M:
                continue
            if k == 1:
                if (x < NEAR_M) == (tri[j, 0] < NEAR_M):
                    continue
                s = (NEAR_M - x) / (tri[j, 0] - x)
                x, y, z = NEAR_M, y + s * (tri[j, 1] - y), z + s * (tri[j, 2] - z)
            u, v = cx - focal * y / x, cy - focal * z / x
            box[0], box[1] = min(box[0], u), max(box[1], u)
            box[2], box[3] = min(box[2], v), max(box[3], v)


@helper
def _fill(tri, box, focal, cx, cy, depth, hit, share, caster, index):
    """Tests one triangle against the rays through the pixels of ``box``; nearer hits replace what is there."""
    height, width = depth.shape
    ax, ay, az = tri[0, 0], tri[0, 1], tri[0, 2]
    bx, by, bz = tri[1, 0], tri[1, 1], tri[1, 2]
    qx, qy, qz = tri[2, 0], tri[2, 1], tri[2, 2]
    e0x, e0y, e0z = by * qz - bz * qy, bz * qx - bx * qz, bx * qy - by * qx
    det = ax * e0x + ay * e0y + az * e0z
    if det >= -1e-9:  # seen from behind
        return
    e1x, e1y, e1z = qy * az - qz * ay, qz * ax - qx * az, qx * ay - qy * ax
    e2x, e2y, e2z = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    x0, x1 = max(0, int(np.ceil(box[0] - 0.5))), min(width - 1, int(np.floor(box[1] - 0.5)))
    y0, y1 = max(0, int(np.ceil(box[2] - 0.5))), min(height - 1, int(np.floor(box[3] - 0.5)))
    for j in range(y0, y1 + 1):
        pz = (cy - j - 0.5) / focal
        for i in range(x0, x1 + 1):
            py = (cx - i - 0.5) / focal
            w0, w1, w2 = e0x + e0y * py + e0z * pz, e1x + e1y * py + e1z * pz, e2x + e2y * py + e2z * pz
            if w0 > 0.0 or w1 > 0.0 or w2 > 0.0:
                continue
            total = w0 + w1 + w2
            if total >= 0.0:
                continue
            t = det / total
            if t < depth[j, i]:
                depth[j, i] = t
                hit[j, i, 0], hit[j, i, 1] = caster, index
                share[j, i, 0], share[j, i, 1] = w1 / total, w2 / total


@kernel
def draw_casters(rows, corners, rot, eye, focal, depth, hit, share, tri, box):
    """Intersects every caster with a pinhole camera's rays.

    ``rot`` [3, 3] turns camera axes to ``map``, ``eye`` [3]. ``depth`` float32 [H, W] holds what lies there already and
    is lowered; ``hit`` int32 [H, W, 2] becomes (caster, triangle of the soup), ``share`` float32 [H, W, 2] the
    barycentric weights of the second and third corner. ``tri`` [3, 3] and ``box`` [4] are scratch.
    """
    height, width = depth.shape
    cx, cy = 0.5 * width, 0.5 * height
    for a in range(len(rows)):
        if _outside(rows[a], rot, eye, cx / focal, cy / focal):
            continue
        for index in range(int(rows[a, 8]), int(rows[a, 9])):
            for k in range(3):
                corner_to_camera(rows[a], corners[index, k], rot, eye, tri[k])
            if tri[0, 0] < NEAR_M and tri[1, 0] < NEAR_M and tri[2, 0] < NEAR_M:
                continue
            _outline(tri, focal, cx, cy, box)
            _fill(tri, box, focal, cx, cy, depth, hit, share, a, index)
