"""CARLA's semantic colours: class ids (CARLA >= 0.9.14) to the palette its ROS bridge publishes, and back.

Inside the package the newer numbering holds alone. Pictures of every CARLA are read: 0.9.14 gave new numbers to all classes
but new colours to two only, and the old two went to nobody else.
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

THINGS = ("Pedestrian", "Rider", "Car", "Truck", "Bus", "Train", "Motorcycle", "Bicycle")
"""Tags of what is counted one by one; a class of them is a thing."""

OLD_COLOURS = {"Fence": (100, 40, 40), "Terrain": (145, 170, 100)}
"""RGB of the classes that looked otherwise before CARLA 0.9.14."""


@lru_cache
def _colours() -> np.ndarray:
    table = np.zeros((256, 3), np.uint8)
    table[: len(TAGS)] = [colour for _, colour in TAGS]
    return table


@lru_cache
def _packed_ids() -> tuple[np.ndarray, np.ndarray]:
    """Packed colours, sorted, and today's id of each."""
    ids = {name: number for number, (name, _) in enumerate(TAGS)}
    known = [*TAGS, *OLD_COLOURS.items()]
    packed = _pack(np.array([colour for _, colour in known], np.uint8))
    order = np.argsort(packed)
    return packed[order], np.array([ids[name] for name, _ in known], np.uint8)[order]


def _pack(rgb: np.ndarray) -> np.ndarray:
    return (rgb[..., 0].astype(np.uint32) << 16) | (rgb[..., 1].astype(np.uint32) << 8) | rgb[..., 2]


def colour_ids(ids: np.ndarray) -> np.ndarray:
    """Class ids uint8 [H, W] as palette colours RGB uint8 [H, W, 3]; unknown ids are black. Road (1): 128, 64, 128."""
    return _colours()[ids]


def bgra_of_ids(ids: np.ndarray) -> np.ndarray:
    """Class ids uint8 [H, W] as the bridge's picture: palette colours B, G, R, 255 uint8 [H, W, 4]. One gather of words."""
    return _bgra_words()[ids].view(np.uint8).reshape(*ids.shape, 4)


@lru_cache
def _bgra_words() -> np.ndarray:
    table = np.full((256, 4), 255, np.uint8)
    table[:, :3] = _colours()[:, ::-1]
    return table.view(np.uint32).reshape(256)


def ids_of_colours(rgb: np.ndarray) -> np.ndarray:
    """Class ids uint8 [H, W], in today's numbering, of palette colours RGB uint8 [H, W, 3] of any CARLA.

    Raises:
        SensorError: a colour that is not in the palette, as in a lossy copy.
    """
    colours, ids = _packed_ids()
    packed = _pack(rgb)
    index = np.minimum(np.searchsorted(colours, packed), len(colours) - 1)
    if (colours[index] != packed).any():
        strange = rgb[colours[index] != packed][0]
        raise SensorError("CARLA's semantic palette", f"the colour {strange.tolist()}",
                          "record the semantic camera without lossy compression")
    return ids[index]
