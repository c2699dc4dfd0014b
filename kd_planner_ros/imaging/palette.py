"""CARLA's semantic colours: class ids (CARLA >= 0.9.14) to the palette its ROS bridge publishes, and back.

Inside the package the newer numbering holds alone; pictures and ids of CARLA before 0.9.14 are brought over here.
Source: CARLA documentation of 0.9.13 and 0.9.15, "Semantic segmentation camera".
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from kd_planner_ros.core.errors import SensorError

TAGS = (
    ("Unlabeled", (0, 0, 0)), ("Road", (128, 64, 128)), ("Sidewalk", (244, 35, 232)), ("Building", (70, 70, 70)),
    ("Wall", (102, 102, 156)), ("Fence", (190, 153, 153)), ("Pole", (153, 153, 153)), ("TrafficLight", (250, 170, 30)),
    ("Sign", (220, 220, 0)), ("Vegetation", (107, 142, 35)), ("Terrain", (152, 251, 152)), ("Sky", (70, 130, 180)),
    ("Pedestrian", (220, 20, 60)), ("Rider", (255, 0, 0)), ("Car", (0, 0, 142)), ("Truck", (0, 0, 70)),
    ("Bus", (0, 60, 100)), ("Train", (0, 80, 100)), ("Motorcycle", (0, 0, 230)), ("Bicycle", (119, 11, 32)),
    ("Static", (110, 190, 160)), ("Dynamic", (170, 120, 50)), ("Other", (55, 90, 80)), ("Water", (45, 60, 150)),
    ("RoadLine", (157, 234, 50)), ("Ground", (81, 0, 81)), ("Bridge", (150, 100, 100)), ("RailTrack", (230, 150, 140)),
    ("GuardRail", (180, 165, 180)),
)
"""(name, RGB) by id, CARLA 0.9.14 and later."""

LEGACY_TAGS = (
    ("Unlabeled", (0, 0, 0)), ("Building", (70, 70, 70)), ("Fence", (100, 40, 40)), ("Other", (55, 90, 80)),
    ("Pedestrian", (220, 20, 60)), ("Pole", (153, 153, 153)), ("RoadLine", (157, 234, 50)), ("Road", (128, 64, 128)),
    ("Sidewalk", (244, 35, 232)), ("Vegetation", (107, 142, 35)), ("Car", (0, 0, 142)), ("Wall", (102, 102, 156)),
    ("Sign", (220, 220, 0)), ("Sky", (70, 130, 180)), ("Ground", (81, 0, 81)), ("Bridge", (150, 100, 100)),
    ("RailTrack", (230, 150, 140)), ("GuardRail", (180, 165, 180)), ("TrafficLight", (250, 170, 30)),
    ("Static", (110, 190, 160)), ("Dynamic", (170, 120, 50)), ("Water", (45, 60, 150)), ("Terrain", (145, 170, 100)),
)
"""(name of TAGS, RGB) by id, CARLA before 0.9.14. Its class Vehicles, riders included, is called Car here."""


@lru_cache
def _colours() -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    table[: len(TAGS)] = [colour for _, colour in TAGS]
    return table


@lru_cache
def _upgrade() -> np.ndarray:
    """Today's id [256] of each id before 0.9.14."""
    ids = {name: number for number, (name, _) in enumerate(TAGS)}
    table = np.zeros(256, np.uint8)
    table[: len(LEGACY_TAGS)] = [ids[name] for name, _ in LEGACY_TAGS]
    return table


@lru_cache
def _packed_ids(legacy: bool) -> tuple[np.ndarray, np.ndarray]:
    """Packed colours, sorted, and today's id of each."""
    tags = LEGACY_TAGS if legacy else TAGS
    packed = _pack(np.array([colour for _, colour in tags], np.uint8))
    order = np.argsort(packed)
    ids = order.astype(np.uint8)
    return packed[order], _upgrade()[ids] if legacy else ids


def _pack(rgb: np.ndarray) -> np.ndarray:
    return (rgb[..., 0].astype(np.uint32) << 16) | (rgb[..., 1].astype(np.uint32) << 8) | rgb[..., 2]


def colour_ids(ids: np.ndarray) -> np.ndarray:
    """Class ids uint8 [H, W] as palette colours RGB uint8 [H, W, 3]; unknown ids are black. Road (1): 128, 64, 128."""
    return _colours()[ids]


def upgrade_ids(legacy_ids: np.ndarray) -> np.ndarray:
    """Ids uint8 [H, W] of CARLA before 0.9.14 in today's numbering: road 7 -> 1, vehicles 10 -> 14, unknown -> 0."""
    return _upgrade()[legacy_ids]


def bgra_of_ids(ids: np.ndarray) -> np.ndarray:
    """Class ids uint8 [H, W] as the bridge's picture: palette colours B, G, R, 255 uint8 [H, W, 4]. One gather of words."""
    return _bgra_words()[ids].view(np.uint8).reshape(*ids.shape, 4)


@lru_cache
def _bgra_words() -> np.ndarray:
    table = np.full((256, 4), 255, np.uint8)
    table[:, :3] = _colours()[:, ::-1]
    return table.view(np.uint32).reshape(256)


def ids_of_colours(rgb: np.ndarray, legacy: bool = False) -> np.ndarray:
    """Class ids uint8 [H, W], in today's numbering, of palette colours RGB uint8 [H, W, 3].

    Args:
        legacy: the colours are those of CARLA before 0.9.14.

    Raises:
        SensorError: a colour that is not in the palette (a lossy copy, or the other CARLA's tags).
    """
    colours, ids = _packed_ids(legacy)
    packed = _pack(rgb)
    index = np.minimum(np.searchsorted(colours, packed), len(colours) - 1)
    if (colours[index] != packed).any():
        strange = rgb[colours[index] != packed][0]
        raise SensorError("CARLA's semantic palette", f"the colour {strange.tolist()}",
                          "record the semantic camera without compression, and give the right carla_version")
    return ids[index]
