"""Whether a hidden hazard is one: drawn from the roadside station, which must see it, and from the car, which must not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.route import RouteScenario
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, SceneState
from kd_planner_ros.core.sensors import CameraSpec, Station
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc
from kd_planner_ros.world.ego_body import EGO_LENGTH_M
from kd_planner_ros.world.hidden_hazards import CAR, MEET_M, SEDAN, WALKER, numbers_of, parked_rows, vehicle_row
from kd_planner_ros.world.render import Renderer
from kd_planner_ros.world.roadside_objects import in_range, seen_by
from kd_planner_ros.world.walkers import pedestrian_row

NOMINAL_MPS = 7.0  # of the car, where a place is looked at
LOOKED_AT_S = {WALKER: (1.2, 1.6, 2.0), CAR: (1.7, 2.1, 2.5)}  # before the meeting
EGO_EYE = CameraSpec("eye", Pose(x=0.5, z=2.3), 448, 224, 100.0)
"""A camera as high as those of the shipped planners, and further ahead than most of them."""
UNSEEN_PIXELS = 3


@dataclass(frozen=True)
class Place:
    """A meeting: where the car's lane and the hazard's way cross, and the scenario that plays it."""

    lane: str
    arc_m: float
    scenario: RouteScenario
    station: Station


class Eyes:
    """Looks at a place from its station and from the car."""

    def __init__(self, road: RoadMap):
        self._road = road
        self._renderer: Renderer | None = None

    def fit(self, place: Place) -> bool:
        """Whether the station sees the hazard at all of LOOKED_AT_S before the meeting, and the car at none."""
        if self._renderer is None:
            self._renderer = Renderer(self._road)
        numbers = numbers_of(place.scenario)
        for before_s in LOOKED_AT_S[place.scenario.kind]:
            scene = self._scene(place, numbers, before_s)
            if not self._seen(place.station, scene) or self._pixels_from_car(scene) > UNSEEN_PIXELS:
                return False
        return True

    def _scene(self, place: Place, numbers: dict, before_s: float) -> SceneState:
        """The hazard in row 0, ``before_s`` before the meeting; the car where it is then at NOMINAL_MPS."""
        hazard, speed = np.zeros((), ACTOR_DTYPE), float(numbers["speed"][0])
        yaw = float(numbers["yaw"][0])
        if place.scenario.kind == WALKER:
            hazard = pedestrian_row(1, 1)
            aside = min(float(numbers["from"][0]), MEET_M + speed * before_s)
            hazard["x"], hazard["y"] = numbers["at"] + aside * np.array([math.sin(yaw), -math.cos(yaw)])
        else:
            path = numbers["path"].reshape(-1, 2)
            arc = arc_lengths(path)
            here = max(0.0, float(numbers["meet"][0]) - speed * before_s)
            spot, ahead = at_arc(path, arc, np.array([here, here + 1.0]))
            hazard = vehicle_row(1, 1, np.array([*spot, math.atan2(*(ahead - spot)[::-1]), *SEDAN]))
        back = NOMINAL_MPS * before_s + 0.5 * EGO_LENGTH_M
        x, y = (numbers["at"] - back * np.array([math.cos(yaw), math.sin(yaw)])).tolist()
        signals = np.zeros(len(self._road.signals), SIGNAL_DTYPE)
        return SceneState(0, EgoState(0, Pose(x, y, 0.0, yaw), NOMINAL_MPS), np.array([hazard, *parked_rows(numbers, 2, 2)]), signals)

    def _seen(self, station: Station, scene: SceneState) -> bool:
        assert self._renderer is not None
        return bool(in_range(scene.actors[:1], station)[0]) and any(
            seen_by(scene.actors, camera, self._renderer.instances(scene, camera))[0] for camera in station.cameras)

    def _pixels_from_car(self, scene: SceneState) -> int:
        assert self._renderer is not None
        return int((self._renderer.cameras(scene, (EGO_EYE,), True)[EGO_EYE.id].instance == 1).sum())
