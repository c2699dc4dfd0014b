"""What a camera sees of the static town: the same first hits as ray by ray."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render.stage import View
from kd_planner_ros.world.render.visible import chunked, first_hits

WIDTH, HEIGHT, FOCAL, EYE = 40, 24, 20.0, np.array([1.0, 2.0, 2.0])


def brute_force(corners: np.ndarray, view: View) -> tuple[np.ndarray, np.ndarray]:
    """Depth and surface [H, W] by Moeller and Trumbore's test of every ray with every triangle."""
    j, i = np.mgrid[0:view.height, 0:view.width]
    local = np.stack([np.ones(j.shape), (0.5 * view.width - i - 0.5) / view.focal, (0.5 * view.height - j - 0.5) / view.focal], -1)
    rays = local @ view.rot.T
    down = np.where(rays[..., 2] < -1e-6, -view.eye[2] / np.minimum(rays[..., 2], -1e-6), np.inf)
    depth, surface = np.minimum(down, 1000.0), np.where(down < 1000.0, -1, -2)
    for row, (a, b, c) in enumerate(corners.astype(float)):
        p, away = np.cross(rays, c - a), view.eye - a
        with np.errstate(divide="ignore", invalid="ignore"):
            inverse = 1.0 / (p @ (b - a))
            q = np.cross(away, b - a)
            u, v, t = (p @ away) * inverse, (rays @ q) * inverse, (c - a) @ q * inverse
        nearer = (u >= 0.0) & (v >= 0.0) & (u + v <= 1.0) & (t > 0.0) & (t < depth)
        depth, surface = np.where(nearer, t, depth), np.where(nearer, row, surface)
    return depth, surface


def hits(corners: np.ndarray, yaw: float) -> tuple[np.ndarray, np.ndarray, View]:
    c, s = np.cos(yaw), np.sin(yaw)
    view = View(np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]]), EYE, FOCAL, WIDTH, HEIGHT)
    depth, surface = np.empty((HEIGHT, WIDTH), np.float32), np.empty((HEIGHT, WIDTH), np.int32)
    first_hits(chunked(corners), view, depth, surface)
    return depth, surface, view


def test_first_hits_are_those_of_every_ray_with_every_triangle():
    rng = np.random.default_rng(3)
    middles = np.concatenate([rng.uniform(-30.0, 30.0, (60, 2)), rng.uniform(0.0, 6.0, (60, 1))], axis=1)
    corners = (middles[:, None] + rng.normal(0.0, 4.0, (60, 3, 3))).astype(np.float32)
    for yaw in (0.0, 2.2, -1.3):
        depth, surface, view = hits(corners, yaw)
        wanted_depth, wanted = brute_force(corners, view)
        same = surface == wanted
        assert (wanted >= 0).mean() > 0.1 and same.mean() > 0.998, "only rays along an edge may differ"
        np.testing.assert_allclose(depth[same], wanted_depth[same], rtol=1e-4)


def test_walls_across_the_camera_and_what_they_hide():
    wall = [[[9.0, -99.0, -1.0], [9.0, 99.0, -1.0], [9.0, 0.0, 99.0]]]
    beside = [[[-30.0, 3.0, 0.0], [30.0, 3.0, 0.0], [30.0, 3.0, 30.0]]]  # reaches behind the camera
    crowd = [[[40.0 + k, -1.0, 0.0], [40.0 + k, 5.0, 0.0], [40.0 + k, 2.0, 4.0]] for k in range(8)]
    corners = np.array(wall + beside + crowd, np.float32)
    depth, surface, view = hits(corners, 0.0)
    wanted_depth, wanted = brute_force(corners, view)
    assert set(np.unique(surface)) == {-1, 0, 1} and (surface == wanted).mean() > 0.998
    np.testing.assert_allclose(depth, wanted_depth, rtol=1e-3)


def test_nothing_but_ground_and_sky():
    depth, surface, _ = hits(np.zeros((0, 3, 3), np.float32), 0.5)
    assert set(np.unique(surface)) == {-2, -1} and depth[-1].max() < 10.0 and (depth[0] == 1000.0).all()
