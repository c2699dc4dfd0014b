"""What the unified encoder sees ahead of the car, as rows that the speed rule reads."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.imaging.resize import resize_rgb
from kd_planner_ros.networks.unified_driver.config import UnifiedDriverConfig
from kd_planner_ros.networks.unified_driver.speed import Scene
from kd_planner_ros.networks.unified_encoder.config import VOID, named, things

MOVING = 0.5
"""Probability of motion from which a pixel counts as moving."""
RED, REDDER = 140, 60
"""A lit red lamp: at least so much red (of 255), and so much more than green and blue."""
FARTHEST_M = 80.0
"""Pixels further away are sky, or too far to matter."""


class SceneReader:
    """Turns dense outputs into the places of their pixels. The table of viewing rays is made once."""

    def __init__(self, config: UnifiedDriverConfig):
        self.config = config
        names = config.classes
        self._walkers, self._users = named(names, "Pedestrian"), things(names)
        self._lights, self._ground = named(names, "TrafficLight"), named(names, "Road", "RoadLine", "Sidewalk", "Sky")
        camera, width, height = config.camera, config.input_width, config.scaled_height
        focal = camera.focal_px * width / camera.width
        right = (np.arange(width) - (width - 1) / 2.0) / focal
        down = (np.arange(height) - (height - 1) / 2.0) / focal
        self._right, self._down = np.broadcast_arrays(right[None, :], down[:, None])
        self._place = np.array([camera.pose.x, camera.pose.y, camera.pose.z])

    def read(self, seen: Perception, frame: Frame) -> Scene:
        """The scene of ``seen``, which was made of ``frame``.

        The camera looks straight ahead, as the network's camera does. Red lamps are lit pixels of the class of traffic lights,
        or right beside them; the depth of a lamp is the smallest around it, because the sky shines past its edges.
        """
        outputs = seen.outputs
        depth, classes = outputs["depth"].array, outputs["classes"].array
        seen_at = classes != VOID
        below = seen_at & (self._down > 0.0)
        known = float(np.isfinite(depth[below]).mean()) if below.any() else 0.0
        red = self._red(frame, classes)
        depth = np.where(red, _least_around(depth), depth)
        kept = np.isfinite(depth) & (depth < FARTHEST_M) & (depth > 0.0) & (seen_at | red)
        kind = np.where(classes[kept] == VOID, 0, classes[kept])
        z = depth[kept]
        points = np.stack([z, -self._right[kept] * z, -self._down[kept] * z], axis=1) + self._place
        return Scene(points, self._users[kind], self._walkers[kind], self._forward(seen, frame, kept, kind), red[kept], known)

    def _forward(self, seen: Perception, frame: Frame, kept: np.ndarray, kind: np.ndarray) -> np.ndarray:
        """Velocity away from the car over ground of each kept pixel that moves, NaN of the others. Ground and sky do not move."""
        flow, motion = seen.outputs["flow"], seen.outputs["motion"].array[kept]
        after_s = float(flow.meta.get("over_s", "nan"))
        forward = frame.ego.speed_mps - flow.array[kept][:, 2] / after_s
        return np.where((motion > MOVING) & ~self._ground[kind], forward, np.nan)

    def _red(self, frame: Frame, classes: np.ndarray) -> np.ndarray:
        picture = frame.images[self.config.camera_id]
        light = (classes != VOID) & self._lights[np.where(classes == VOID, 0, classes)]
        if not light.any():
            return np.zeros(classes.shape, bool)
        colours = resize_rgb(picture, *classes.shape).astype(int)
        lit = (colours[..., 0] >= RED) & (colours[..., 0] - colours[..., 1:].max(-1) >= REDDER)
        return lit & _around(light)


def _shifted(array: np.ndarray, fill: float) -> np.ndarray:
    """The nine neighbours [9, H, W] of each pixel of ``array``, itself included."""
    padded: np.ndarray = np.pad(array, 1, constant_values=fill)
    rows, columns = array.shape
    return np.stack([padded[y:y + rows, x:x + columns] for y in range(3) for x in range(3)])


def _around(mask: np.ndarray) -> np.ndarray:
    return np.logical_or.reduce(_shifted(mask, False))


def _least_around(depth: np.ndarray) -> np.ndarray:
    return _shifted(np.where(np.isfinite(depth), depth, np.inf), np.inf).min(0)
