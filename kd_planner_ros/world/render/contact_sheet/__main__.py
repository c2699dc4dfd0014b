"""Run as ``python -m kd_planner_ros.world.render.contact_sheet --map M --out FILE``: ten weathers, labels, roadside, LiDAR."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.files import write_bytes
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.imaging.palette import colour_ids
from kd_planner_ros.world.expert import Expert
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.render.bench import LIDAR
from kd_planner_ros.world.render.renderer import Renderer
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.weather import WEATHERS

TILE = (480, 210)
FRONT = CameraSpec("front", Pose(x=-1.5, z=2.0), *TILE, 100.0)
POLE = CameraSpec("pole", Pose(z=7.0, pitch=0.35), *TILE, 90.0)
SHOWN = (0, 1, 2, 5, 6, 10, 11, 14, 16, 20)
MAX_BYTES = 400_000


def draw_sheet(map_spec: str, vehicles: int = 120) -> np.ndarray:
    """The sheet, RGB uint8: ten weathers in traffic, the labels of one picture, a roadside view and LiDAR from above."""
    road = load_map(map_spec)
    scenes = _drive(road, vehicles)
    renderer = Renderer(road)
    lively = _apart(scenes)
    tiles = []
    for k, number in enumerate(SHOWN):
        state = _under(lively[k % len(lively)], number)
        tiles.append(_titled(renderer.cameras(state, (FRONT,), labels=False)["front"].rgb, state.weather.name))
    image = renderer.cameras(lively[0], (FRONT,), labels=True)["front"]
    near = (255.0 / (1.0 + image.depth / 8.0)).astype(np.uint8)
    tiles += [_titled(colour_ids(image.semantic), "semantic"), _titled(cv2.cvtColor(near, cv2.COLOR_GRAY2RGB), "depth"),
              _titled(_instances(image.instance), "instance"),
              _titled(_roadside(renderer, lively[0]), "roadside camera"), _titled(_from_above(renderer, lively[0]), "LiDAR, one turn")]
    rows = [np.hstack(tiles[k:k + 3]) for k in range(0, len(tiles), 3)]
    return np.vstack(rows)


def _drive(road: RoadMap, vehicles: int, ticks: int = 1000) -> list[SceneState]:
    """Every tenth state of the expert's drive along a route."""
    route = default_routes(road, 2, 1)[0]
    world, expert, scenes = World(road, SensorRig(), vehicles=vehicles, walkers=80), Expert(road, route), []
    try:
        state = world.start(route, 2, WEATHERS[0])
        for tick in range(ticks):
            if world.done:
                break
            state = world.tick(expert.step(state).control)
            if tick % 10 == 0:
                scenes.append(state)
    finally:
        world.close()
    return scenes


def _apart(scenes: list[SceneState], count: int = 5, apart_m: float = 12.0) -> list[SceneState]:
    """The liveliest states whose egos stand at least ``apart_m`` from each other."""
    chosen: list[SceneState] = []
    for state in sorted(scenes, key=_liveliness, reverse=True):
        pose = state.ego.pose
        if len(chosen) < count and all(math.hypot(pose.x - s.ego.pose.x, pose.y - s.ego.pose.y) > apart_m for s in chosen):
            chosen.append(state)
    return chosen


def _under(state: SceneState, number: int) -> SceneState:
    return SceneState(state.stamp_ns, state.ego, state.actors, state.signals, WEATHERS[number], state.ego_lights)


def _liveliness(state: SceneState) -> float:
    """How much there is to see in front of the ego: actors and signal heads, the nearer the better."""
    pose, score = state.ego.pose, 0.0
    for table, weight in ((state.actors, 1.0), (state.signals, 0.6)):
        x, y = table["x"] - pose.x, table["y"] - pose.y
        ahead = x * math.cos(pose.yaw) + y * math.sin(pose.yaw)
        aside = np.abs(y * math.cos(pose.yaw) - x * math.sin(pose.yaw))
        score += weight * float((1.0 / (5.0 + ahead[(ahead > 7) & (ahead < 50) & (aside < ahead)])).sum())
    return score


def _titled(image: np.ndarray, title: str) -> np.ndarray:
    image = np.ascontiguousarray(image)
    image[:28, :12 + 10 * len(title)] //= 2
    cv2.putText(image, title, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 1, cv2.LINE_AA)
    return image


def _instances(instance: np.ndarray) -> np.ndarray:
    colours = np.random.default_rng(3).integers(60, 255, (int(instance.max()) + 1, 3)).astype(np.uint8)
    colours[0] = 0
    return colours[instance]


def _roadside(renderer: Renderer, state: SceneState) -> np.ndarray:
    """From a pole 25 m ahead of the ego, looking back at it."""
    pose = state.ego.pose
    at = np.array([pose.x, pose.y]) + 25.0 * np.array([math.cos(pose.yaw), math.sin(pose.yaw)])
    spec = CameraSpec(POLE.id, Pose(*at, POLE.pose.z, pose.yaw + math.pi, POLE.pose.pitch), *TILE, POLE.fov_deg)
    return renderer.cameras(state, (spec,), labels=False, roadside=True)[spec.id].rgb


def _from_above(renderer: Renderer, state: SceneState) -> np.ndarray:
    """Both half turns, forward to the right; the brighter, the higher."""
    cloud = np.concatenate([renderer.lidar(state, LIDAR, tick) for tick in (0, 1)])
    image = np.zeros((TILE[1], TILE[0], 3), np.uint8)
    column = (TILE[0] / 2 - cloud[:, 1] * 4.0).astype(int)  # the sensor faces left: forward is its -y
    row = (TILE[1] / 2 - cloud[:, 0] * 4.0).astype(int)
    inside = (column >= 0) & (column < TILE[0]) & (row >= 0) & (row < TILE[1])
    height = np.clip((cloud[inside, 2] + 2.5) / 3.0, 0.0, 1.0)
    image[row[inside], column[inside]] = np.stack([90 + 165 * height, 90 + 120 * height, 120 - 60 * height], 1).astype(np.uint8)
    return image


def write_sheet(image: np.ndarray, out: Path) -> None:
    """Writes the sheet as JPEG of at most MAX_BYTES, through a temporary file."""
    for quality in range(88, 20, -6):
        _, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        if len(data) <= MAX_BYTES:
            break
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(out, data.tobytes())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--map", default="default", help="default, generated:SEED, or a .net.xml or .xodr file, also with .gz")
    parser.add_argument("--vehicles", type=int, default=120, help="background vehicles")
    parser.add_argument("--out", type=Path, required=True, help="the JPEG to write")
    args = parser.parse_args()
    write_sheet(draw_sheet(args.map, args.vehicles), args.out)


if __name__ == "__main__":
    main()
