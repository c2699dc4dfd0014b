"""Shapes of people on foot: one mesh a phase of the stride, and one that stands."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.world.render import materials as mat
from kd_planner_ros.world.render.meshes import Mesh, cylinder, ellipsoid, join

NOMINAL = (0.45, 0.55, 1.75)
PHASES = 6
STRIDE_M = 1.4  # two steps


def walker(phase: int | None) -> Mesh:
    """A person facing +x at ``phase`` 0 .. PHASES - 1 of the stride, or standing where it is None."""
    swing = 0.0 if phase is None else float(np.sin(2 * np.pi * phase / PHASES))
    hip_z, shoulder_z = 0.92, 1.42
    parts = [cylinder((0, 0, hip_z - 0.04), (0.02, 0, shoulder_z), 0.15, mat.M_SHIRT, 8, 0.19),
             ellipsoid((0.02, 0, shoulder_z), (0.14, 0.21, 0.08), mat.M_SHIRT, 3, 8),
             ellipsoid((0.03, 0, 1.61), (0.11, 0.09, 0.135), mat.M_SKIN, 5, 8),
             ellipsoid((0.01, 0, 1.66), (0.12, 0.105, 0.10), mat.M_HAIR, 3, 8),
             cylinder((0.02, 0, shoulder_z), (0.02, 0, 1.53), 0.06, mat.M_SKIN, 6)]
    for side in (-1.0, 1.0):
        reach = 0.55 * swing * side
        knee = np.array([np.sin(reach) * 0.45 + 0.03, side * 0.10, hip_z - 0.44 * np.cos(reach)])
        bend = reach - 0.5 * max(0.0, -reach)
        foot = knee + [np.sin(bend) * 0.42, 0.0, -np.cos(bend) * 0.42]
        parts += [cylinder((0, side * 0.09, hip_z), knee, 0.085, mat.M_TROUSERS, 6, 0.07),
                  cylinder(knee, foot, 0.065, mat.M_TROUSERS, 6, 0.05),
                  ellipsoid(foot + [0.06, 0, -0.02], (0.13, 0.05, 0.05), mat.M_DARK, 3, 6)]
        elbow = np.array([-np.sin(0.7 * reach) * 0.28, side * 0.24, shoulder_z - 0.29])
        hand = elbow + [-np.sin(0.9 * reach) * 0.24 + 0.05, 0.0, -0.24]
        parts += [cylinder((0.0, side * 0.20, shoulder_z - 0.02), elbow, 0.055, mat.M_SHIRT, 6),
                  cylinder(elbow, hand, 0.045, mat.M_SHIRT, 6), ellipsoid(hand, (0.05, 0.04, 0.06), mat.M_SKIN, 3, 5)]
    return join(parts)
