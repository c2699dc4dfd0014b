"""Masks of the road and of the sky, derived from classes by the names of their labels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from kd_planner_ros.core.outputs import DenseOutput

MASKS = ("drivable", "lane_marking")
ROAD = ("road", "drivable", "drivablearea")
SKY = ("sky",)
MARKING = ("roadline", "roadlines", "lanemarking", "lanemarkings", "lane", "marking", "laneline")
"""Names of labels, in lower case and without spaces, - and _. A label may join several by ``+``."""


def road_masks(classes: DenseOutput) -> dict[str, DenseOutput]:
    """``drivable`` (road and its markings) and ``lane_marking`` of an output of kind ``classes``; only those that its labels can tell: a
    label that joins the road with its markings tells no lane marking."""
    road, line = _named(classes.labels, ROAD), _named(classes.labels, MARKING)
    found = {}
    for name, members in zip(MASKS, (road | line if road.any() else np.zeros_like(road), line & ~road), strict=True):
        if members.any():
            found[name] = DenseOutput("mask", _members(np.flatnonzero(members))[classes.array])
    return found


def sky_mask(classes: DenseOutput) -> np.ndarray | None:
    """bool [H, W]: where an output of kind ``classes`` is sky alone; None where no label says so."""
    ids = [number for number, label in enumerate(classes.labels) if label.strip().lower() in SKY]
    return _members(ids)[classes.array] if ids else None


def _members(ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """bool [256]: which class ids are among ``ids``."""
    table = np.zeros(256, bool)
    table[ids] = True
    return table


@cache
def _named(labels: tuple[str, ...], words: tuple[str, ...]) -> np.ndarray:
    """bool [K]: which labels stand for one of ``words``."""
    parts = [{re.sub(r"[\s_-]", "", one).lower() for one in label.split("+")} for label in labels]
    return np.array([bool(one & set(words)) for one in parts], bool)
