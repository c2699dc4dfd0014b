"""What reaches a car from outside it: views of roadside stations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.records import Pose
from kd_planner_ros.core.sensors import CameraSpec


@dataclass(frozen=True)
class RoadsideView:
    """What one roadside station sent, as old as it is.

    Attributes:
        station: id of the station.
        camera: the camera that took ``image``, its pose in ``map``; of a station without a picture its first camera,
            None for a station without cameras.
        image: RGB uint8 [H, W, 3]; None where the station sent objects alone.
        objects: ACTOR_DTYPE [N] in ``map`` at ``stamp_ns``, whole: neither occlusion nor range cuts it; None where not
            asked for or not received.
        stamp_ns: when the picture (without one: the object list) was taken.
        age_s: seconds from then to the stamp of the frame that holds this view, from 0.
        foot: foot of the station's mast in ``map``; None where the reader knows the station.
    """

    station: str
    camera: CameraSpec | None
    image: np.ndarray | None
    objects: np.ndarray | None
    stamp_ns: int
    age_s: float
    foot: Pose | None = None
