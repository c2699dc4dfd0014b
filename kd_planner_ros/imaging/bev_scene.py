"""The bird's-eye picture of PlanKD's waypoint attention: pure drawing in ``base_link``, no maps and no messages.

Row index grows to the ego's RIGHT, column index from FRONT to back (the transpose of a picture with the ego looking
up), the ego's centre lies in the middle. In frame P (x right, y backward) pixel = (row, column) = (x, y) * scale + 90.
Source: PlanKD's collector and BEV input.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SIDE_PX = 180
ROAD_RGB, MARK_RGB, CENTRE_RGB = (105, 105, 105), (255, 255, 255), (233, 185, 110)
VEHICLE_RGB, EGO_RGB, WALKER_RGB = (252, 175, 62), (138, 226, 52), (173, 127, 168)
LIGHT_RGB = {0: (255, 0, 0), 1: (255, 255, 0), 2: (0, 255, 0)}
"""By core.scene.LightState: red, yellow, green; a dark light is not drawn."""
LIGHT_RADIUS_M = 1.2
_SHIFT = 4  # fractional bits of cv2 coordinates


@dataclass(frozen=True)
class BevView:
    """Scale of the picture: 5 px/m shows +-18 m exactly, as the coordinate channels say; PlanKD's shipped collector has
    4 px/m, which is +-22.5 m."""

    px_per_m: float = 5.0

    @property
    def half_m(self) -> float:
        """Distance in metres from the ego to each edge of the picture."""
        return SIDE_PX / 2.0 / self.px_per_m

    def pixels(self, points: np.ndarray) -> np.ndarray:
        """(row, column) [..., 2] of ``points`` [..., 2] in ``base_link``; pixel i covers [i, i + 1).

        Example at 5 px/m: 5 m ahead and 2 m to the right, (5, -2), is row 100, column 65.
        """
        return SIDE_PX / 2.0 - np.asarray(points, float)[..., ::-1] * self.px_per_m

    def points(self, pixels: np.ndarray) -> np.ndarray:
        """Points [..., 2] in ``base_link`` of (row, column) [..., 2]; the inverse of ``pixels``."""
        return (SIDE_PX / 2.0 - np.asarray(pixels, float)[..., ::-1]) / self.px_per_m


@dataclass(frozen=True)
class Raster:
    """A piece of the map: ``image`` uint8 [h, w, 3], row grows with map y, column with map x; ``origin`` [2] is the map
    position of its first corner, metres."""

    image: np.ndarray
    origin: np.ndarray
    px_per_m: float


def cut_out(raster: Raster, x: float, y: float, yaw: float, view: BevView = BevView()) -> np.ndarray:
    """The piece of ``raster`` round a car at (x, y) metres, yaw radians in ``map``: uint8 [180, 180, 3]; black where
    the raster ends."""
    scale, c, s = raster.px_per_m / view.px_per_m, np.cos(yaw), np.sin(yaw)
    middle = SIDE_PX / 2.0 - 0.5
    at = (np.array([x, y]) - raster.origin) * raster.px_per_m - 0.5
    matrix = np.array([[-c * scale, s * scale, at[0] + scale * middle * (c - s)],
                       [-s * scale, -c * scale, at[1] + scale * middle * (s + c)]])
    return cv2.warpAffine(raster.image, matrix, (SIDE_PX, SIDE_PX), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def bev_scene(background: np.ndarray, vehicles: np.ndarray, walkers: np.ndarray, ego: np.ndarray, lights: np.ndarray,
              light_states: np.ndarray, view: BevView = BevView()) -> np.ndarray:
    """The scene uint8 [180, 180, 3] (RGB): ``background`` with vehicles, ego, lights and walkers over it in this order,
    so that what comes later hides what lies below.

    Args:
        background: the road, uint8 [180, 180, 3]; not changed.
        vehicles, walkers: outlines [N, 4, 2] in ``base_link``, metres.
        ego: its outline [4, 2].
        lights: stop-line middles [M, 2]; ``light_states`` [M] as core.scene.LightState.
    """
    picture = np.ascontiguousarray(background).copy()
    _fill(picture, vehicles, VEHICLE_RGB, view)
    _fill(picture, np.asarray(ego, float)[None], EGO_RGB, view)
    for (row, column), state in zip(view.pixels(np.asarray(lights, float).reshape(-1, 2)), light_states, strict=True):
        if int(state) in LIGHT_RGB:
            centre = np.round((np.array([column, row]) - 0.5) * 2 ** _SHIFT).astype(int)
            radius = round(LIGHT_RADIUS_M * view.px_per_m * 2 ** _SHIFT)
            cv2.circle(picture, centre.tolist(), radius, LIGHT_RGB[int(state)], cv2.FILLED, cv2.LINE_8, _SHIFT)
    _fill(picture, walkers, WALKER_RGB, view)
    return picture


def _fill(picture: np.ndarray, outlines: np.ndarray, colour: tuple[int, int, int], view: BevView) -> None:
    outlines = np.asarray(outlines, float).reshape(-1, 4, 2)
    reach = view.half_m + 1.0
    low, high = outlines.min(1), outlines.max(1)
    shown = outlines[((low < reach) & (high > -reach)).all(1)]
    corners = np.round((view.pixels(shown)[..., ::-1] - 0.5) * 2 ** _SHIFT).astype(np.int32)
    for outline in corners:
        cv2.fillConvexPoly(picture, outline, colour, cv2.LINE_8, _SHIFT)
