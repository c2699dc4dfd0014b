"""Roadside stations: where they stand in a map, which are nearest to the car, and what they see."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.core.sensors import CameraSpec, RoadsideWish, Station
from kd_planner_ros.core.stations import STATION_CAMERA_PERIOD_S, read_stations_file
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.frames import wrap_angle
from kd_planner_ros.world.roadside_objects import in_range, seen_by

if TYPE_CHECKING:
    from kd_planner_ros.world.render import Renderer

TICKS_PER_S = 20
APPROACHES = 3  # a junction with fewer streets leading into it, and no signal, gets no station
APART_M = 40.0
KERB_M = 1.5  # from the edge of a lane to the mast
OUTSIDE_M = 30.0  # a station may stand this far outside the lanes' bounding box
CAMERA_WIDTH, CAMERA_HEIGHT, CAMERA_FOV_DEG = 384, 216, 90.0
MAST_M = (6.0, 8.0)


def place_stations(road: RoadMap, seed: int = 0) -> tuple[Station, ...]:
    """One station a junction with three or more approaches or with signals: a mast at a free corner, its camera looks across the junction.

    The same map and seed give the same stations; ids are ``station_<number>`` in the order of the junctions' ids.
    """
    rng = np.random.default_rng([seed, 0x726F6164])
    edges = _lane_samples(road)
    stations: list[Station] = []
    for junction in _busy_junctions(road):
        outline = road.junctions[junction]
        centre = outline.mean(0)
        turn, mast_m = rng.uniform(0.0, 2.0 * math.pi), float(rng.uniform(*MAST_M))
        if any(math.hypot(*(centre - (one.pose.x, one.pose.y))) < APART_M for one in stations):
            continue
        spot = _free_corner(outline, centre, turn, edges)
        if spot is not None:
            stations.append(_station(f"station_{len(stations)}", spot, centre, mast_m))
    return tuple(stations)


def read_stations(path: Path | str, road: RoadMap) -> tuple[Station, ...]:
    """The stations in the YAML or JSON file at ``path``, checked against the map.

    Raises:
        ConfigError: no such file, a broken one, or a station that does not stand on the map; the station is named.
    """
    stations = read_stations_file(path)
    require_on_map(stations, road)
    return stations


def require_on_map(stations: Iterable[Station], road: RoadMap) -> None:
    """Refuse a station that stands outside the map.

    Raises:
        ConfigError: it names the station, its place and the map's bounds.
    """
    low, high = road.bounds
    for one in stations:
        at = np.array([one.pose.x, one.pose.y])
        if (at < low - OUTSIDE_M).any() or (at > high + OUTSIDE_M).any():
            raise ConfigError(f"station '{one.id}' on map {road.name}, x {low[0]:.0f} to {high[0]:.0f}, y {low[1]:.0f} to {high[1]:.0f}",
                              f"({at[0]:.1f}, {at[1]:.1f})", "correct its x and y (map frame, metres), or choose its map")


def nearest_views(stations: Iterable[Station], x: float, y: float, wish: RoadsideWish) -> list[tuple[Station, CameraSpec | None]]:
    """At most ``wish.views`` stations within reach of a car at (x, y) in ``map``, nearest first, each with its camera that
    points at the car best. A station without cameras (None) comes last, as in ``RoadsideBuffer.views``, and is left out where no object
    lists are wanted."""
    reach = []
    for one in stations:
        away_m = math.hypot(one.pose.x - x, one.pose.y - y)
        if away_m <= min(wish.range_m, one.range_m) and (one.cameras or wish.objects):
            reach.append((not one.cameras, away_m, one.id, one))
    return [(one, _camera_towards(one, x, y)) for *_, one in sorted(reach, key=lambda row: row[:3])[: wish.views]]


class StationChoice:
    """Which stations are drawn at a tick: the nearest ones, each at most once in its camera's period."""

    def __init__(self, stations: tuple[Station, ...], wish: RoadsideWish):
        self._stations, self._wish = stations, wish
        self._drawn: dict[str, int] = {}

    def reset(self) -> None:
        """Begin a drive."""
        self._drawn.clear()

    def due(self, scene: SceneState, tick: int) -> tuple[tuple[Station, CameraSpec | None], ...]:
        """The stations to draw at ``tick``, nearest first; they then count as drawn."""
        chosen = nearest_views(self._stations, scene.ego.pose.x, scene.ego.pose.y, self._wish)
        due = tuple((one, camera) for one, camera in chosen if tick - self._drawn.get(one.id, -10**9) >= _period_ticks(camera))
        self._drawn.update((one.id, tick) for one, _ in due)
        return due


def view_of(scene: SceneState, station: Station, camera: CameraSpec | None, wish: RoadsideWish,
            renderer: Callable[[], Renderer]) -> RoadsideView:
    """What ``station`` sends at this instant: the picture, and as its object list those actors in its range that this picture shows
    (``roadside_objects.py``), exact as the truth. A station without cameras reports everybody in its range. The car that receives the
    list is not in it. Nothing is drawn in colours where no picture is wanted."""
    if camera is None or not wish.pictures:
        return objects_view(scene, station, camera, renderer)
    shot = renderer().cameras(scene, (camera,), wish.objects, roadside=True)[camera.id]
    objects = _reported(scene.actors, station, camera, shot.instance) if shot.instance is not None else None
    return RoadsideView(station.id, camera, shot.rgb, objects, scene.stamp_ns, 0.0, station.pose)


def objects_view(scene: SceneState, station: Station, camera: CameraSpec | None, renderer: Callable[[], Renderer]) -> RoadsideView:
    """The view of ``view_of`` with the same object list and without the picture, which is not drawn."""
    instance = None if camera is None else renderer().instances(scene, camera)
    return RoadsideView(station.id, camera, None, _reported(scene.actors, station, camera, instance), scene.stamp_ns, 0.0, station.pose)


def _reported(actors: np.ndarray, station: Station, camera: CameraSpec | None, instance: np.ndarray | None) -> np.ndarray:
    mask = in_range(actors, station)
    return actors[mask if camera is None or instance is None else mask & seen_by(actors, camera, instance)]


def _period_ticks(camera: CameraSpec | None) -> int:
    return max(1, round((STATION_CAMERA_PERIOD_S if camera is None else camera.period_s) * TICKS_PER_S))


def _camera_towards(station: Station, x: float, y: float) -> CameraSpec | None:
    def off(camera: CameraSpec) -> float:
        return abs(float(wrap_angle(math.atan2(y - camera.pose.y, x - camera.pose.x) - camera.pose.yaw)))

    return min(station.cameras, key=off, default=None)


def _busy_junctions(road: RoadMap) -> list[str]:
    """Ids of the junctions with three or more streets leading into them, or with signals, sorted."""
    approaches: dict[str, set[str]] = {}
    for lane in road.lanes.values():
        for name in lane.successors if lane.kind == "driving" and not lane.junction else ():
            inside = road.lanes.get(name)
            if inside is not None and inside.junction:
                approaches.setdefault(inside.junction, set()).add(lane.edge)
    signalled = {site.junction for site in road.signals}
    return sorted(name for name, edges in approaches.items()
                  if (len(edges) >= APPROACHES or name in signalled) and name in road.junctions)


def _lane_samples(road: RoadMap) -> np.ndarray:
    """Points [P, 3] along the lanes that vehicles use, every 2 m: x, y and half the lane's width."""
    rows = []
    for lane in road.lanes.values():
        if lane.kind in ("driving", "shoulder"):
            arc = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(lane.centre, axis=0).T))])
            at = np.linspace(0.0, arc[-1], max(2, int(arc[-1] / 2.0) + 1))
            rows.append(np.stack([np.interp(at, arc, lane.centre[:, 0]), np.interp(at, arc, lane.centre[:, 1]),
                                  np.full(len(at), lane.width / 2.0)], 1))
    return np.concatenate(rows)


def _free_corner(outline: np.ndarray, centre: np.ndarray, turn: float, lanes: np.ndarray) -> np.ndarray | None:
    """The place [2] nearest to the junction's middle that is off every lane, looked for outwards in 16 directions that
    begin at angle ``turn``; None where there is none within 25 m beyond the outline."""
    near = lanes[np.hypot(*(lanes[:, :2] - centre).T) < 120.0]
    reach = float(np.hypot(*(outline - centre).T).max())
    for away_m in np.arange(4.0, reach + 25.0, 1.0):
        for angle in turn + np.arange(16) * (2.0 * math.pi / 16):
            spot = centre + away_m * np.array([math.cos(angle), math.sin(angle)])
            if (np.hypot(*(near[:, :2] - spot).T) > near[:, 2] + KERB_M).all():
                return spot
    return None


def _station(name: str, spot: np.ndarray, centre: np.ndarray, mast_m: float) -> Station:
    """A mast at ``spot``; its camera has the middle of the junction below the picture's middle and sees into the street behind."""
    ahead = centre - spot
    yaw, away_m = math.atan2(ahead[1], ahead[0]), max(float(np.hypot(*ahead)), 1.0)
    pitch = min(0.5 * math.atan2(mast_m, away_m), math.radians(20.0))
    x, y = spot.tolist()
    camera = CameraSpec("camera", Pose(x, y, mast_m, yaw, pitch), CAMERA_WIDTH, CAMERA_HEIGHT, CAMERA_FOV_DEG,
                        STATION_CAMERA_PERIOD_S)
    return Station(name, Pose(x, y, 0.0, yaw), (camera,))
