"""The box of the recorded car."""

from __future__ import annotations

from collections.abc import Mapping

from kd_planner_ros.bags.nuscenes.layout import EGO_BOX
from kd_planner_ros.core.car import Car
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading


def car_of(custom_data: Mapping[str, str]) -> Car:
    """The car of a recording with these notes: ``ego_box`` (length, width, centre before ``base_link``), as data sets' recordings have
    it; recordings of nuScenes from before it was noted have its car; else that of the built-in world.

    Raises:
        BagError: an ``ego_box`` that is none.
    """
    noted = custom_data.get("ego_box", "") or (EGO_BOX if custom_data.get("source", "").startswith("nuScenes") else "")
    with reading(BagError, "three numbers in ego_box of the recording's notes: length, width and centre before base_link",
                 "convert the data set anew"):
        length, width, ahead = map(float, noted.split()) if noted else Car()
        if not (0.0 < length < 100.0 and 0.0 < width < 100.0 and abs(ahead) < 100.0):
            raise ValueError(noted)
    return Car(length, width, ahead)
