"""Which road users of a scene the cameras show: those that a student can learn to find."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.networks.distilldrive.scene import NOBODY

PIXELS = 16
"""A road user is in the labelled picture with at least so many pixels: a walker 40 m away, at 448x336 and 100 degrees."""
SIDE_M = 25.0
"""In a camera without labels a road user counts as shown up to here: what hides it is not known."""


def shown_users(arrays: dict[str, np.ndarray], projections: np.ndarray, seen: np.ndarray, instance: np.ndarray,
                ids: np.ndarray) -> np.ndarray:
    """bool [A]: the rows of ``arrays`` (``scene.agent_arrays``) that a camera shows: the first one by its instance picture, and of the
    others, which have none, those whose middle is between the left and the right border and not in front of the first camera.

    Args:
        projections: [V, 3, 4] (``vision.in_pictures``). seen: [V], 1 where the camera gave a picture.
        instance: integers [H, W] of the first camera: 1 + row of the object list; any other number is nobody.
        ids: [N] of the object list.
    """
    row = instance.astype(np.int64)
    pixels = np.bincount(np.where((row > 0) & (row <= len(ids)), row, 0).ravel(), minlength=len(ids) + 1)[1:]
    labelled = np.isin(arrays["ids"], ids[pixels >= PIXELS])
    places = np.concatenate([arrays["boxes"][:, :3], np.ones_like(arrays["boxes"][:, :1])], 1)
    across, _, ahead = np.moveaxis(places @ np.swapaxes(projections, -1, -2), -1, 0)  # [V, A] each
    inside = (ahead > 0.0) & (across > 0.0) & (across < ahead) & (np.asarray(seen)[:, None] > 0.5)
    aside = inside[1:].any(0) & ~inside[0] & (np.hypot(places[:, 0], places[:, 1]) <= SIDE_M)
    return (arrays["kinds"] != NOBODY) & (labelled & (float(seen[0]) > 0.5) | aside)
