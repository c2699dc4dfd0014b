"""How fast the sensors are on one core, in real traffic."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.records import Control
from kd_planner_ros.core.scene import SceneState
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, SensorRig
from kd_planner_ros.world.maps import load_map
from kd_planner_ros.world.render.renderer import Renderer
from kd_planner_ros.world.routes import default_routes
from kd_planner_ros.world.simulation import World
from kd_planner_ros.world.weather import WEATHERS

TCP = CameraSpec("tcp", Pose(x=-1.5, z=2.0), 900, 256, 100.0)
TCP_SMALL = CameraSpec("tcp_small", Pose(x=-1.5, z=2.0), 448, 128, 100.0)
INTERFUSER = tuple(CameraSpec(name, Pose(x=1.3, z=2.3, yaw=math.radians(yaw)), 400, 300, 100.0)
                   for name, yaw in (("front", 0.0), ("left", 60.0), ("right", -60.0)))
LIDAR = LidarSpec("lidar", Pose(x=1.3, z=2.5, yaw=math.pi / 2))
SETTLE_TICKS = 60


def collect_scenes(map_spec: str, vehicles: int, count: int) -> tuple[list[SceneState], object]:
    """``count`` states half a second apart of an ego that rolls along a default route, and the map."""
    road = load_map(map_spec)
    world = World(road, SensorRig(), vehicles=vehicles, walkers=20)
    scenes = []
    try:
        world.start(default_routes(road, 0, 1)[0], 0, WEATHERS[0])
        for tick in range(SETTLE_TICKS + 10 * count):
            state = world.tick(Control(throttle=0.35 if world.state.ego.speed_mps < 6.0 else 0.0))
            if tick >= SETTLE_TICKS and tick % 10 == 0:
                scenes.append(state)
    finally:
        world.close()
    return scenes[:count], road


def measure(map_spec: str = "default", seconds: float = 5.0, vehicles: int = 120) -> dict[str, float]:
    """Frames/s on one core of TCP's camera with labels, of its small picture alone, and of InterFuser's sensors.

    Each is measured for about ``seconds`` s of wall time; ``*_cpu_per_s`` counts the process's own CPU time, which other
    work on the machine disturbs less.
    """
    before = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    scenes, road = collect_scenes(map_spec, vehicles, 12)
    if before:
        os.sched_setaffinity(0, {min(before)})
    try:
        begin = time.perf_counter()
        renderer = Renderer(road)
        result: dict[str, float] = {"build_s": time.perf_counter() - begin, "vehicles": float(vehicles)}

        def interfuser(scene: SceneState, tick: int) -> None:
            renderer.cameras(scene, INTERFUSER, labels=False)
            renderer.lidar(scene, LIDAR, tick)

        jobs: dict[str, Callable[[SceneState, int], object]] = {
            "rgb_labels_900x256": lambda scene, tick: renderer.cameras(scene, (TCP,), labels=True),
            "rgb_448x128": lambda scene, tick: renderer.cameras(scene, (TCP_SMALL,), labels=False),
            "interfuser_sets": interfuser}
        for name, job in jobs.items():
            result |= _rate(name, job, scenes, seconds)
        return result
    finally:
        if before:
            os.sched_setaffinity(0, before)


def bench_world(map_spec: str, vehicles: int = 120, frames: int = 100) -> dict[str, float]:
    """``measure`` for about as long as ``frames`` pictures take at the rate asked for (15/s)."""
    return measure(map_spec, seconds=frames / 15.0, vehicles=vehicles)


def _rate(name: str, job: Callable[[SceneState, int], object], scenes: list[SceneState], seconds: float) -> dict[str, float]:
    for tick, scene in enumerate(scenes[:2]):
        job(scene, tick)  # compiles, or loads what was compiled
    wall, cpu, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - wall < seconds:
        job(scenes[count % len(scenes)], count)
        count += 1
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {f"{name}_per_s": count / wall, f"{name}_cpu_per_s": count / max(cpu, 1e-9)}
