"""Recordings made up for tests: a car on an arc, a picture whose left and right halves say how it turns."""

from __future__ import annotations

import atexit
import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from kd_planner_ros.bags.messages import make
from kd_planner_ros.bags.writer import BagWriter
from kd_planner_ros.core.ego import EgoState, Pose
from kd_planner_ros.core.outputs import LineKind
from kd_planner_ros.core.planning_states import STATE_NAMES
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.road import MAP_LINE_DTYPE
from kd_planner_ros.core.route import Route
from kd_planner_ros.core.scene import ACTOR_DTYPE, SIGNAL_DTYPE, SceneState
from kd_planner_ros.core.sensors import CameraImage, CameraSpec, SensorRig, Station
from kd_planner_ros.core.v2x import RoadsideView
from kd_planner_ros.geometry.captions import captions_of
from kd_planner_ros.networks.samples import MAIN, SampleMaker
from kd_planner_ros.wire.codec.tables import TABLE, table
from kd_planner_ros.wire.topics import MAP_LINES, WORLD_INFO

WIDTH, HEIGHT, SPEED = 64, 32, 5.0
TICK_NS = 50_000_000
RIG = SensorRig(cameras=(CameraSpec("front", Pose(x=-1.5, z=2.0), WIDTH, HEIGHT, 100.0, period_s=0.5),))


class Pictures(SampleMaker):
    """Samples of the front camera's picture as it is."""

    cameras, grid, key, own_shards = ("front",), True, {"as": "recorded"}, False

    def record(self, frames, truth, tick):
        return {MAIN: frames[0].images["front"]}


def pose_at(t: float, rate: float) -> Pose:
    """Where the car is after ``t`` seconds at yaw rate ``rate``."""
    if rate == 0.0:
        return Pose(SPEED * t, 0.0)
    return Pose(SPEED / rate * math.sin(rate * t), SPEED / rate * (1 - math.cos(rate * t)), yaw=rate * t)


def borders(rate: float, seconds: float = 8.0) -> np.ndarray:
    """MAP_LINE_DTYPE [P]: a border on each side of the way of ``seconds`` that the car drives."""
    way = np.array([(p.x, p.y, p.yaw) for p in (pose_at(t, rate) for t in np.arange(0.0, seconds, 0.4))])
    rows = np.zeros((2, len(way)), MAP_LINE_DTYPE)
    for line, side in enumerate((3.0, -3.0)):
        rows[line]["line"], rows[line]["kind"] = line, LineKind.BOUNDARY
        rows[line]["x"], rows[line]["y"] = way[:, 0] - side * np.sin(way[:, 2]), way[:, 1] + side * np.cos(way[:, 2])
    return rows.reshape(-1)


def picture(rate: float, rng: np.random.Generator) -> np.ndarray:
    """RGB whose left half is bright in left turns and whose right half is bright in right turns."""
    rgb = rng.integers(0, 30, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    rgb[:, : WIDTH // 2] += np.uint8(200 if rate > 0 else 0)
    rgb[:, WIDTH // 2:] += np.uint8(200 if rate < 0 else 0)
    return rgb


def write_bag(path: Path, rate: float = 0.2, seconds: float = 8.0, seed: int = 0, town: str = "Town01",
              disturbed: tuple[int, int] = (0, 0), storage: str = "mcap", labels: bool = True, leave_out: str = "",
              abort: bool = False, camera: str = "front", told: str = "", every: int = 10,
              actors: Callable[[int], np.ndarray] | None = None, lines: np.ndarray | None = None,
              crashed: tuple[int, int] = (0, 0), views: tuple[RoadsideView, ...] = (), stations: tuple[Station, ...] = (),
              compact: bool = False, station: Station | None = None, captions: bool = False, spec: str = "default") -> Path:
    """A 2 FPS recording.

    Args:
        disturbed: the first and one past the last tick of a disturbance.
        leave_out: a part to leave out: route, speed, odometry, camera.
        abort: raise KeyboardInterrupt in the middle.
        camera: the camera's name.
        told: the map's name as CARLA's bridge says it.
        views: what ``stations`` send with each picture, ``age_s`` late.
        compact: as in BagWriter.
        every: ticks of 50 ms from picture to picture.
        actors: the actor table of a tick; by default one car ahead.
        lines: the map's lines, MAP_LINE_DTYPE.
        crashed: the first and one past the last tick with a collision.
        station: a roadside station, see ``write_station``.
        captions: of the picture, which then needs labels, and of ``views``.
        spec: the map as ``load_map`` takes it, so that a test needs no folder of maps; "": the recording does not say.
    """
    rng = np.random.default_rng(seed)
    route_points = np.array([(p.x, p.y) for p in (pose_at(t, rate) for t in np.arange(0.0, seconds + 12.0, 0.2))])
    route = Route(f"r{seed}", town, route_points, np.zeros(len(route_points)),
                  np.full(len(route_points), 1 if rate > 0 else 4, np.int8), route_points[[0, -1]])
    rig = SensorRig((replace(RIG.cameras[0], id=camera),))
    with BagWriter(path, rig, {"map": town, "map_spec": spec, "route": route.name, "seed": str(seed), "weather": "ClearNoon"},
                   storage=storage, compact=compact) as bag:
        if leave_out in ("speed", "odometry"):
            _skip(bag, bag.topics.speed if leave_out == "speed" else bag.topics.odometry)
        for tick in range(round(seconds * 20)):
            if abort and tick == round(seconds * 10):
                raise KeyboardInterrupt
            stamp = 1_000_000_000 + tick * TICK_NS
            ego = EgoState(stamp, pose_at(tick * 0.05, rate), SPEED, yaw_rate_rps=rate, acceleration_mps2=0.5)
            if tick == 0 and told:
                bag.write(WORLD_INFO, "carla_msgs/msg/CarlaWorldInfo",
                          make("carla_msgs/msg/CarlaWorldInfo", map_name=told, opendrive=""), stamp)
            if tick == 0 and leave_out != "route":
                bag.write_route(route, stamp)
            bag.write_ego(ego)
            active = disturbed[0] <= tick < disturbed[1]
            state = {name: 0.0 for name in STATE_NAMES} | {
                "expert_throttle": 0.3, "expert_steer": rate / 2, "expert_brake": 0.0, "target_speed": SPEED,
                "disturbance": float(active), "collision": float(crashed[0] <= tick < crashed[1])}
            bag.write_state(stamp, Control(stamp, 0.3, rate / 2 + 0.2 * active, 0.0), state)
            if station is not None:
                write_station(bag, station, tick, stamp, 2 * every)
            if tick == 0 and lines is not None:
                bag.write(MAP_LINES, TABLE, table(make, lines, stamp, "map"), stamp, latched=True)
            if tick % every == 0:
                seen = scene(ego)
                bag.write_scene(replace(seen, actors=actors(tick)) if actors is not None else seen)
                _write_views(bag, stations if tick == 0 else (), views, stamp)
                if leave_out != "camera":
                    taken = shot(stamp, picture(rate, rng), labels)
                    bag.write_camera(camera, taken)
                    _write_captions(bag, captions, camera, taken, views, seen)
    return path


def write_station(bag: BagWriter, station: Station, tick: int, stamp: int, every: int) -> None:
    """Where ``station`` stands, at the first tick; every ``every`` ticks a green picture of its first camera, taken 0.1 s before."""
    if tick == 0:
        bag.write_stations((station,), stamp)
    if tick % every == 0:
        camera = station.cameras[0]
        image = np.zeros((camera.height, camera.width, 3), np.uint8)
        image[..., 1] = 255
        bag.write_roadside(RoadsideView(station.id, camera, image, None, stamp - 2 * TICK_NS, 0.0))


def copy_bag(path: Path, **options) -> Path:
    """What ``write_bag(path, **options)`` writes, copied from a recording that this process has written once before: for recordings
    that many tests begin with. A test that changes how recordings are written calls ``write_bag``."""
    key = path.name, *sorted(options.items())
    if key not in _written:
        if not _written:
            atexit.register(shutil.rmtree, _folder(), ignore_errors=True)
        _written[key] = write_bag(_folder() / str(len(_written)) / path.name, **options)
    return Path(shutil.copytree(_written[key], path))


_written: dict[tuple, Path] = {}
_folders: list[Path] = []


def _folder() -> Path:
    if not _folders:
        _folders.append(Path(tempfile.mkdtemp(prefix="kd_planner_ros_bags_")))
    return _folders[0]


def _write_views(bag: BagWriter, stations: tuple[Station, ...], views: tuple[RoadsideView, ...], stamp: int) -> None:
    if stations:
        bag.write_stations(stations, stamp)
    for view in views:
        bag.write_roadside(replace(view, stamp_ns=stamp - round(view.age_s * 1e9)))


def _write_captions(bag: BagWriter, wanted: bool, camera: str, taken: CameraImage, views: tuple[RoadsideView, ...],
                    seen: SceneState) -> None:
    late = [replace(view, stamp_ns=taken.stamp_ns - round(view.age_s * 1e9)) for view in views]
    if wanted:
        bag.write_captions(captions_of([(camera, taken)], late, seen.actors), taken.stamp_ns)


def _skip(bag: BagWriter, unwanted: str) -> None:
    write = bag.write

    def filtered(topic, kind, message, stamp_ns, latched=False):
        if topic != unwanted:
            write(topic, kind, message, stamp_ns, latched)

    bag.write = filtered


def scene(ego: EgoState) -> SceneState:
    """One car ahead, one signal."""
    actors, signals = np.zeros(1, ACTOR_DTYPE), np.zeros(1, SIGNAL_DTYPE)
    actors[0] = (7, 14, 1, ego.pose.x + 10.0, 2.0, 0.0, 0.1, 4.5, 1.9, 1.5, 3.0, -1.0, 99)
    signals["id"], signals["state"], signals["x"] = 3, 2, 50.0
    return SceneState(ego.stamp_ns, ego, actors, signals)


def shot(stamp: int, rgb: np.ndarray, labels: bool) -> CameraImage:
    """``rgb`` with labels computed from it."""
    if not labels:
        return CameraImage(stamp, rgb)
    return CameraImage(stamp, rgb, depth=rgb[..., 0].astype(np.float32) * 0.37 + 1.0, semantic=rgb[..., 1] % 29,
                       instance=rgb[..., 2].astype(np.int32) - 5)
