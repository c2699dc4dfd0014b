"""Shapes of vehicles, each modelled once at its nominal size and scaled to an actor's dimensions.

Nominal frame: centre of the footprint at the origin, x forward, y left, z up from the ground, metres.
"""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render import materials as mat
from kd_planner_ros.world.render.meshes import Mesh, box, cylinder, ellipsoid, join, loft, quad

# side profiles: x, lower z, upper z, half width as shares of length, height and width
_SEDAN = [(-.50, .30, .60, .40), (-.485, .19, .66, .46), (-.30, .17, .68, .50), (.15, .17, .66, .50), (.40, .18, .57, .48),
          (.485, .20, .50, .44), (.50, .27, .44, .38)]
_HATCH = [(-.50, .28, .60, .41), (-.485, .19, .66, .47), (-.25, .17, .66, .50), (.20, .17, .62, .50), (.41, .18, .54, .48),
          (.485, .20, .47, .44), (.50, .27, .42, .38)]
_VAN = [(-.50, .22, .50, .45), (-.49, .15, .52, .49), (-.2, .14, .54, .50), (.25, .14, .54, .50), (.43, .15, .48, .48),
        (.49, .17, .42, .45), (.50, .22, .36, .40)]
# cabin: rear and front x at the belt, rear and front x at the roof, belt z, half width at belt and roof
_CABINS = {"sedan": (-.36, .21, -.20, .04, .64, .46, .36), "hatch": (-.49, .25, -.42, .06, .62, .47, .38),
           "van": (-.495, .37, -.47, .18, .51, .48, .42)}
_PROFILES = {"sedan": _SEDAN, "hatch": _HATCH, "van": _VAN}
NOMINAL = {"sedan": (4.7, 1.9, 1.48), "hatch": (4.3, 1.85, 1.6), "van": (5.2, 2.0, 2.1), "truck": (8.2, 2.5, 3.3),
           "bus": (12.0, 2.55, 3.2), "motorcycle": (2.1, 0.8, 1.7), "bicycle": (1.75, 0.6, 1.75), "barrier": (1.0, 1.0, 1.0)}


def _section(x: float, low: float, high: float, half: float) -> np.ndarray:
    """An octagon across the car, counter-clockwise seen from the front."""
    dz, dy = 0.22 * (high - low), 0.12 * half
    y = np.array([half - dy, half, half, half - dy, -half + dy, -half, -half, -half + dy])
    z = np.array([low, low + dz, high - dz, high, high, high - dz, low + dz, low])
    return np.stack([np.full(8, x), y, z], 1)


def _wheels(length: float, width: float, at: tuple[float, ...], radius: float, thick: float = 0.24) -> list[Mesh]:
    parts = []
    for x in at:
        for side in (-1.0, 1.0):
            outer, inner = side * (width / 2 + 0.005), side * (width / 2 - thick)
            low, high = sorted((outer, inner))
            parts.append(cylinder((x * length, low, radius), (x * length, high, radius), radius, mat.M_TYRE, 12))
            face = side * 0.01
            low, high = sorted((outer + face, outer))
            parts.append(cylinder((x * length, low, radius), (x * length, high, radius), radius * 0.62, mat.M_RIM, 8))
    return parts


def _lamps(length: float, width: float, front_z: float, rear_z: float, size: float = 1.0) -> list[Mesh]:
    """Head lamps, brake lamps and indicators at the corners, standing out of the body by a centimetre or two."""
    parts = []
    for side, indicator in ((1.0, mat.M_LEFT_LAMP), (-1.0, mat.M_RIGHT_LAMP)):
        y = side * (0.5 * width - 0.30)
        parts += [box((0.5 * length - 0.03, y, front_z), (0.10, 0.34 * size, 0.13 * size), mat.M_HEADLIGHT),
                  box((0.5 * length - 0.08, y + side * 0.21, front_z - 0.10), (0.12, 0.13, 0.10), indicator),
                  box((-0.5 * length + 0.03, y, rear_z), (0.10, 0.34 * size, 0.16 * size), mat.M_BRAKE),
                  box((-0.5 * length + 0.05, y + side * 0.20, rear_z - 0.13), (0.12, 0.16, 0.11), indicator)]
    return parts


def _cabin(length: float, width: float, height: float, shape: tuple[float, ...]) -> list[Mesh]:
    """The greenhouse: a painted frustum with panes a centimetre outside it."""
    rear, front, rear_top, front_top, belt, half, half_top = shape
    x = np.array([rear, front, rear_top, front_top]) * length
    y0, y1, z0, z1 = half * width, half_top * width, belt * height, height
    low = np.array([[x[0], -y0, z0], [x[1], -y0, z0], [x[1], y0, z0], [x[0], y0, z0]])
    top = np.array([[x[2], -y1, z1], [x[3], -y1, z1], [x[3], y1, z1], [x[2], y1, z1]])
    parts = [quad(low[i], low[(i + 1) % 4], top[(i + 1) % 4], top[i], mat.M_PAINT) for i in range(4)]
    parts.append(quad(*top, mat.M_PAINT))
    for i, (margin, panes) in enumerate(((0.06, 2), (0.07, 1), (0.06, 2), (0.07, 1))):
        a, b, c, d = low[i], low[(i + 1) % 4], top[(i + 1) % 4], top[i]
        out = np.cross(b - a, d - a)
        out = out / np.linalg.norm(out) * 0.012
        for pane in range(panes):
            s0, s1 = (pane + margin) / panes, (pane + 1 - margin) / panes
            corner = [(a * (1 - s) + b * s) * (1 - t) + (d * (1 - s) + c * s) * t + out
                      for s, t in ((s0, 0.10), (s1, 0.10), (s1, 0.88), (s0, 0.88))]
            parts.append(quad(*corner, mat.M_GLASS))
    return parts


def car(kind: str) -> Mesh:
    """A passenger car: ``kind`` is sedan, hatch or van."""
    length, width, height = NOMINAL[kind]
    rings = np.stack([_section(x * length, low * height, high * height, half * width)
                      for x, low, high, half in _PROFILES[kind]])
    front, rear = _PROFILES[kind][-2][2] * height - 0.06, _PROFILES[kind][1][2] * height - 0.12
    parts = [loft(rings, mat.M_PAINT), *_cabin(length, width, height, _CABINS[kind]),
             *_wheels(length, width, (-0.30, 0.31), 0.33), *_lamps(length, width, front, rear),
             box((0.495 * length, 0, 0.30 * height), (0.08, 0.9, 0.16), mat.M_DARK),
             box((-0.5 * length, 0, 0.36 * height), (0.05, 0.52, 0.12), mat.M_PLATE),
             box((0.5 * length, 0, 0.24 * height), (0.05, 0.52, 0.11), mat.M_PLATE)]
    for side in (-1.0, 1.0):
        parts.append(box((0.14 * length, side * (0.5 * width + 0.02), 0.66 * height), (0.14, 0.20, 0.13), mat.M_PAINT))
    return join(parts)


def truck() -> Mesh:
    """A rigid truck: cab in paint, cargo box behind it."""
    length, width, _ = NOMINAL["truck"]
    cab = [box((0.39 * length, 0, 1.35), (0.22 * length, 0.96 * width, 1.7), mat.M_PAINT),
           quad((0.5005 * length, -1.05, 1.40), (0.5005 * length, 1.05, 1.40), (0.5005 * length, 1.05, 2.05),
                (0.5005 * length, -1.05, 2.05), mat.M_GLASS)]
    for side in (-1.0, 1.0):
        cab.append(box((0.42 * length, side * 0.485 * width, 1.70), (1.0, 0.02, 0.6), mat.M_GLASS))
    return join([*cab, box((-0.115 * length, 0, 2.05), (0.76 * length, width, 2.5), mat.M_CARGO),
                 box((0.0, 0, 0.70), (0.96 * length, 0.8, 0.25), mat.M_DARK),
                 box((-0.49 * length, 0, 0.62), (0.06, 0.9 * width, 0.14), mat.M_DARK),
                 box((-0.498 * length, 0, 1.0), (0.05, 0.52, 0.12), mat.M_PLATE),
                 *_wheels(length, width, (-0.33, -0.18, 0.36), 0.48, 0.30), *_lamps(length, width, 0.80, 0.95, 1.2)])


def bus() -> Mesh:
    """A city bus: a box with a band of windows."""
    length, width, height = NOMINAL["bus"]
    parts = [loft(np.stack([_section(x * length, 0.30, height, half * width)
                            for x, half in ((-.5, .47), (-.49, .5), (.48, .5), (.5, .46))]), mat.M_PAINT)]
    for side in (-1.0, 1.0):
        for pane in range(7):
            parts.append(box(((-0.42 + 0.13 * pane) * length, side * 0.5 * width, 2.0), (1.35, 0.03, 0.95), mat.M_GLASS))
    parts += [box((0.5 * length, 0, 1.85), (0.04, 0.86 * width, 1.35), mat.M_GLASS),
              box((-0.5 * length, 0, 2.2), (0.04, 0.70 * width, 0.7), mat.M_GLASS),
              box((0.5 * length, 0, 2.8), (0.05, 1.5, 0.28), mat.M_DARK)]
    return join([*parts, *_wheels(length, width, (-0.26, 0.28), 0.48, 0.3), *_lamps(length, width, 0.75, 1.1, 1.2)])


def _rider(seat_z: float, lean: float, hands: tuple[float, float], pedal: tuple[float, float]) -> list[Mesh]:
    """A person astride: torso leaning forward, arms to the bar, legs to the pedals."""
    hip, neck = np.array([-0.22, 0, seat_z]), np.array([-0.22 + lean, 0, seat_z + 0.55])
    parts = [cylinder(hip, neck, 0.17, mat.M_SHIRT, 8, 0.19),
             ellipsoid(neck + [0.06, 0, 0.20], (0.12, 0.10, 0.14), mat.M_SKIN, 4, 6),
             ellipsoid(neck + [0.05, 0, 0.24], (0.14, 0.125, 0.13), mat.M_HAIR, 3, 6)]
    for side in (-1.0, 1.0):
        knee = np.array([0.16, side * 0.15, seat_z - 0.12])
        parts += [cylinder(hip + [0, side * 0.1, 0], knee, 0.085, mat.M_TROUSERS, 6),
                  cylinder(knee, (pedal[0], side * 0.13, pedal[1]), 0.065, mat.M_TROUSERS, 6),
                  cylinder(neck + [0, side * 0.2, -0.06], (hands[0], side * 0.26, hands[1]), 0.055, mat.M_SHIRT, 6)]
    return parts


def two_wheeler(kind: str) -> Mesh:
    """A motorcycle or bicycle with its rider."""
    length, _, _ = NOMINAL[kind]
    heavy = kind == "motorcycle"
    radius, thick = (0.31, 0.12) if heavy else (0.34, 0.05)
    axle = 0.5 * length - radius
    parts = [cylinder((x, -thick / 2, radius), (x, thick / 2, radius), radius, mat.M_TYRE, 12) for x in (-axle, axle)]
    parts += [cylinder((x, -thick / 2 - 0.01, radius), (x, thick / 2 + 0.01, radius), radius * 0.7, mat.M_RIM, 8)
              for x in (-axle, axle)]
    if heavy:
        parts += [ellipsoid((0.05, 0, 0.72), (0.45, 0.17, 0.20), mat.M_PAINT, 4, 8),
                  box((-0.42, 0, 0.74), (0.75, 0.26, 0.12), mat.M_DARK), box((0.0, 0, 0.42), (0.5, 0.3, 0.3), mat.M_DARK),
                  cylinder((axle, 0, radius), (0.42, 0, 0.95), 0.05, mat.M_RIM, 6),
                  box((-0.84, 0, 0.70), (0.06, 0.20, 0.10), mat.M_BRAKE), box((0.62, 0, 0.86), (0.10, 0.2, 0.16), mat.M_HEADLIGHT),
                  box((-0.80, 0.16, 0.66), (0.06, 0.09, 0.08), mat.M_LEFT_LAMP),
                  box((-0.80, -0.16, 0.66), (0.06, 0.09, 0.08), mat.M_RIGHT_LAMP)]
        return join([*parts, *_rider(0.85, 0.16, (0.42, 1.02), (0.05, 0.35))])
    for a, b in (((-axle, radius), (-0.15, 0.85)), ((-0.15, 0.85), (0.05, 0.32)), ((0.05, 0.32), (0.42, 0.88)),
                 ((-0.12, 0.78), (0.42, 0.82)), ((axle, radius), (0.42, 0.98)), ((-axle, radius), (0.05, 0.32))):
        parts.append(cylinder((a[0], 0, a[1]), (b[0], 0, b[1]), 0.028, mat.M_PAINT, 5))
    parts += [box((0.40, 0, 1.0), (0.05, 0.5, 0.04), mat.M_DARK), box((-0.2, 0, 0.88), (0.24, 0.14, 0.06), mat.M_DARK),
              box((-axle - 0.1, 0, 0.62), (0.05, 0.09, 0.07), mat.M_BRAKE)]
    return join([*parts, *_rider(0.93, 0.28, (0.40, 1.02), (0.05, 0.25))])


def barrier() -> Mesh:
    """A striped block, one metre each way: any obstacle that is not a vehicle."""
    return join([box((0, 0, 0.5), (1, 1, 1), mat.M_BARRIER)])
