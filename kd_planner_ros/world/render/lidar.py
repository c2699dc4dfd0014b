"""A spinning LiDAR: the rays of one tick, static hits by Embree, actor hits by exact triangle tests, then CARLA's
drop-off, intensity and noise."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.sensors import LidarSpec
from kd_planner_ros.world.render.jit import helper, kernel
from kd_planner_ros.world.render.light import hash01
from kd_planner_ros.world.render.scene import StaticScene

_NEAR_M = 0.05


def tick_angles(spec: LidarSpec, tick: int) -> np.ndarray:
    """Azimuths [K] rad of the shots one channel fires in ``tick``, in the sensor's frame.

    As CARLA does: the beam starts at the sensor's +x and turns clockwise seen from above, ``rotation_hz * period_s``
    of a turn each tick; so with the leaderboard's 10 Hz at 20 Hz an even tick covers [0, -180) degrees.
    """
    shots = max(1, int(spec.points_per_second * spec.period_s / spec.channels))
    turn = 2.0 * math.pi * spec.rotation_hz * spec.period_s
    return -((tick * turn) % (2.0 * math.pi) + turn * np.arange(shots) / shots)


def sweep(static: StaticScene, rows: np.ndarray, spec: LidarSpec, rotation: np.ndarray, eye: np.ndarray, tick: int,
          seed: int) -> np.ndarray:
    """Returns of one tick: x, y, z, intensity float32 [N, 4] in the sensor's frame, channel by channel from the top."""
    azimuth = tick_angles(spec, tick)
    elevation = np.radians(np.linspace(spec.upper_fov_deg, spec.lower_fov_deg, spec.channels))
    local = np.empty((len(elevation) * len(azimuth), 3), np.float32)
    keep = np.empty(len(local), np.bool_)
    noise_seed = (tick * 7919 + seed * 104729 + sum(map(ord, spec.id))) & 0x7FFFFFFF
    _fire(azimuth, elevation, spec.dropoff_general, noise_seed, local, keep)
    shot = np.flatnonzero(keep)
    world = np.ascontiguousarray((local[shot] @ rotation.T).astype(np.float32))
    prim, far = static.intersect(np.tile(eye.astype(np.float32), (len(shot), 1)), world)
    distance = np.full(len(local), np.inf, np.float32)
    with np.errstate(divide="ignore"):
        down = np.where(world[:, 2] < -1e-6, -eye[2] / world[:, 2], np.inf)
    distance[shot] = np.minimum(np.where(prim >= 0, far, np.inf), np.where(down > 0.0, down, np.inf))
    distance = np.minimum(distance, 1e6).reshape(len(elevation), len(azimuth))
    _cast_actors(rows, static.library.shapes.corners, rotation, np.asarray(eye, np.float64), azimuth, elevation, spec.range_m,
                 local, distance, np.empty((3, 3)), np.empty(2, np.int64))
    return _returns(spec, local[shot], distance.ravel()[shot].astype(np.float64), shot, noise_seed)


def _returns(spec: LidarSpec, local: np.ndarray, distance: np.ndarray, shot: np.ndarray, seed: int) -> np.ndarray:
    """Range limit, intensity ``exp(-attenuation * distance)``, drop-off of weak returns, noise along the ray."""
    intensity = np.exp(-spec.attenuation_per_m * distance)
    slope = spec.dropoff_zero_intensity / max(spec.dropoff_intensity_limit, 1e-9)
    chance, gauss = np.empty(len(shot)), np.empty(len(shot))
    _luck(shot, seed, chance, gauss)
    weak = (intensity <= spec.dropoff_intensity_limit) & (chance >= slope * intensity + 1.0 - spec.dropoff_zero_intensity)
    valid = (distance <= spec.range_m) & ~weak
    reach = (distance + spec.noise_m * gauss)[valid, None]
    return np.concatenate([local[valid] * reach, intensity[valid, None]], 1).astype(np.float32)


@kernel
def _fire(azimuth, elevation, dropoff, seed, local, keep):
    """Unit directions of all shots, and which of them the general drop-off leaves."""
    count = len(azimuth)
    for c in range(len(elevation)):
        flat, rise = np.cos(elevation[c]), np.sin(elevation[c])
        for k in range(count):
            p = c * count + k
            local[p, 0], local[p, 1], local[p, 2] = flat * np.cos(azimuth[k]), flat * np.sin(azimuth[k]), rise
            keep[p] = hash01(p, 17, seed) >= dropoff


@kernel
def _luck(shot, seed, chance, gauss):
    for i in range(len(shot)):
        chance[i] = hash01(shot[i], 29, seed)
        radius = np.sqrt(-2.0 * np.log(1.0 - hash01(shot[i], 31, seed)))
        gauss[i] = radius * np.cos(2.0 * np.pi * hash01(shot[i], 37, seed))


@helper
def _segment_distance(ax, ay, bx, by):
    """Distance of the origin from the segment a-b in the plane."""
    dx, dy = bx - ax, by - ay
    length2 = dx * dx + dy * dy
    s = min(1.0, max(0.0, -(ax * dx + ay * dy) / length2)) if length2 > 0.0 else 0.0
    px, py = ax + s * dx, ay + s * dy
    return np.sqrt(px * px + py * py)


@helper
def _rows_of(tri, elevation, out):
    """First and one past the last channel whose elevation the triangle may reach: ``elevation`` falls."""
    low, high = min(tri[0, 2], tri[1, 2], tri[2, 2]), max(tri[0, 2], tri[1, 2], tri[2, 2])
    near, far = 1e9, 0.0
    for i in range(3):
        j = (i + 1) % 3
        near = min(near, _segment_distance(tri[i, 0], tri[i, 1], tri[j, 0], tri[j, 1]))
        far = max(far, np.sqrt(tri[i, 0] ** 2 + tri[i, 1] ** 2))
    near = max(near, _NEAR_M)
    top = np.arctan2(high, near if high > 0.0 else far)
    bottom = np.arctan2(low, far if low > 0.0 else near)
    first, last = len(elevation), 0
    for c in range(len(elevation)):
        if elevation[c] <= top + 1e-6 and elevation[c] >= bottom - 1e-6:
            first, last = min(first, c), c + 1
    out[0], out[1] = first, last


@helper
def _meet(tri, dx, dy, dz):
    """Distance along the unit ray d from the origin to the triangle, or 1e9 (Moeller and Trumbore 1997)."""
    e1x, e1y, e1z = tri[1, 0] - tri[0, 0], tri[1, 1] - tri[0, 1], tri[1, 2] - tri[0, 2]
    e2x, e2y, e2z = tri[2, 0] - tri[0, 0], tri[2, 1] - tri[0, 1], tri[2, 2] - tri[0, 2]
    px, py, pz = dy * e2z - dz * e2y, dz * e2x - dx * e2z, dx * e2y - dy * e2x
    det = e1x * px + e1y * py + e1z * pz
    if abs(det) < 1e-12:
        return 1e9
    inv = 1.0 / det
    u = -(tri[0, 0] * px + tri[0, 1] * py + tri[0, 2] * pz) * inv
    if u < 0.0 or u > 1.0:
        return 1e9
    qx, qy, qz = (-tri[0, 1] * e1z + tri[0, 2] * e1y, -tri[0, 2] * e1x + tri[0, 0] * e1z, -tri[0, 0] * e1y + tri[0, 1] * e1x)
    v = (dx * qx + dy * qy + dz * qz) * inv
    if v < 0.0 or u + v > 1.0:
        return 1e9
    t = (e2x * qx + e2y * qy + e2z * qz) * inv
    return t if t > _NEAR_M else 1e9


@kernel
def _cast_actors(rows, corners, rot, eye, azimuth, elevation, reach, local, distance, tri, span):
    """Lowers ``distance`` [C, K] where a triangle of an actor is nearer, testing only the shots that can meet it."""
    shots = len(azimuth)
    step = azimuth[0] - azimuth[1] if shots > 1 else 1.0
    for a in range(len(rows)):
        if np.sqrt((rows[a, 0] - eye[0]) ** 2 + (rows[a, 1] - eye[1]) ** 2) > reach + rows[a, 23]:
            continue
        for index in range(int(rows[a, 8]), int(rows[a, 9])):
            _to_sensor(rows[a], corners[index], rot, eye, tri)
            _rows_of(tri, elevation, span)
            if span[0] >= span[1]:
                continue
            first, count, whole = _shots_across(tri, azimuth[0], step)
            for n in range(count):
                k = (first + n) % whole
                if k >= shots:
                    continue
                for c in range(span[0], span[1]):
                    p = c * shots + k
                    t = _meet(tri, local[p, 0], local[p, 1], local[p, 2])
                    if t < distance[c, k]:
                        distance[c, k] = t


@helper
def _shots_across(tri, azimuth, step):
    """(first shot, number of shots, shots of a whole turn) that can meet the shape ``tri`` [3, 3], for shots ``step`` rad apart from
    ``azimuth`` on."""
    base = np.arctan2(tri[0, 1], tri[0, 0])
    low, high = 0.0, 0.0
    for k in range(1, 3):
        turn = np.arctan2(tri[k, 1], tri[k, 0]) - base
        turn -= 2.0 * np.pi * np.round(turn / (2.0 * np.pi))
        low, high = min(low, turn), max(high, turn)
    if high - low > 3.0:
        low, high = 0.0, 2.0 * np.pi
    start = azimuth - (base + high)
    start -= 2.0 * np.pi * np.floor(start / (2.0 * np.pi))
    whole = int(np.round(2.0 * np.pi / step))
    return int(np.floor(start / step)) - 1, min(int((high - low) / step) + 3, whole), whole


@helper
def _to_sensor(row, corner, rot, eye, tri):
    """Writes a shape's three corners in the sensor's axes to ``tri`` [3, 3]."""
    for i in range(3):
        lx, ly = corner[i, 0] * row[5], corner[i, 1] * row[6]
        wx = row[0] + lx * row[3] - ly * row[4] - eye[0]
        wy = row[1] + lx * row[4] + ly * row[3] - eye[1]
        wz = row[2] + corner[i, 2] * row[7] - eye[2]
        for k in range(3):
            tri[i, k] = rot[0, k] * wx + rot[1, k] * wy + rot[2, k] * wz
