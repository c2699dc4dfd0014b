"""Captions made from the truth about a picture (``core/captions.py``)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kd_planner_ros.core.captions import KIND_WORDS, LIGHTS, PLACES, Caption, SeenUser, station_view
from kd_planner_ros.core.sensors import CameraImage
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.projection import box_corners, pixels

MOST = 4
"""Road users of a caption."""
LEAST_SHARE = 5e-4
"""A road user counts from this share of the picture's pixels on: 8x8 of 448x336."""
DAY, DUSK = 80.0, 35.0
"""Least mean value of a picture by day and at dusk, of 255."""


def light_of(rgb: np.ndarray) -> str:
    """The light in a picture RGB uint8 [H, W, 3], from its mean alone: what the words say can be seen in the picture."""
    mean = float(rgb[::4, ::4].mean())
    return LIGHTS[0] if mean >= DAY else LIGHTS[1] if mean >= DUSK else LIGHTS[2]


def caption_of_labels(view: str, shot: CameraImage, actors: np.ndarray) -> Caption:
    """The caption of ``shot``, which has an instance picture; ``actors`` ACTOR_DTYPE [N] is the table that its numbers point into.

    Raises:
        ValueError: ``shot`` has no instance picture.
    """
    if shot.instance is None:
        raise ValueError(f"a caption of '{view}' without its instance picture")
    height, width = shot.instance.shape
    inside = np.where((shot.instance > 0) & (shot.instance <= len(actors)), shot.instance, 0)
    counts = np.bincount(inside.ravel(), minlength=len(actors) + 1)[1:]
    large = [row for row in np.argsort(-counts, kind="stable") if counts[row] >= LEAST_SHARE * height * width]
    users = []
    for row in (one for one in large if int(actors["kind"][one]) in KIND_WORDS):
        down, across = np.nonzero(inside == row + 1)
        users.append(_seen(actors["kind"][row], across.mean() / width, down.mean() / height))
    return Caption(view, shot.stamp_ns, light_of(shot.rgb), tuple(users[:MOST]))


def caption_of_boxes(station: RoadsideView) -> Caption | None:
    """The caption of a station's picture from its own object list, as far as the list says who is seen; None without both."""
    camera, image, rows = station.camera, station.image, station.objects
    if camera is None or image is None or rows is None:
        return None
    rows = rows[np.isin(rows["kind"], list(KIND_WORDS))]
    corners = pixels(box_corners(rows), camera)
    low, high = corners[..., :2].min(1), corners[..., :2].max(1)
    size = np.array([camera.width, camera.height], float)
    middle, low, high = (low + high) / 2.0, np.clip(low, 0.0, size), np.clip(high, 0.0, size)
    share = np.where(np.isfinite(corners).all((1, 2)), np.prod(high - low, axis=1) / np.prod(size), 0.0)
    share = np.where(((middle >= 0.0) & (middle < size)).all(1), share, 0.0)
    large = [row for row in np.argsort(-share, kind="stable") if share[row] >= LEAST_SHARE][:MOST]
    users = tuple(_seen(rows["kind"][row], *(middle[row] / size)) for row in large)
    return Caption(station_view(station.station, camera.id), station.stamp_ns, light_of(image), users)


def captions_of(shots: Iterable[tuple[str, CameraImage]], stations: Iterable[RoadsideView], actors: np.ndarray) -> tuple[Caption, ...]:
    """The captions of every picture of an instant that can be described: of the car's cameras those with an instance picture, of the
    stations' those with an object list."""
    own = [caption_of_labels(camera, shot, actors) for camera, shot in shots if shot.instance is not None]
    beside = [one for one in map(caption_of_boxes, stations) if one is not None]
    return (*own, *beside)


def _seen(kind: int, column: float, row: float) -> SeenUser:
    across, down = (int(np.clip(share * PLACES, 0, PLACES - 1)) for share in (column, row))
    return SeenUser(int(kind), across, down)
