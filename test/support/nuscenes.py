"""A tiny data set in nuScenes' published layout."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from PIL import Image

from kd_planner_ros.bags.nuscenes.layout import TABLES

STEPS, SPEED = 12, 6.0
"""Key frames, and the ego's speed along x, then along an arc to the left."""
SIZE, FOCAL = (160, 90), 126.6


def quaternion(yaw):
    return [math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2)]


def looking(yaw):
    """Rotation (w, x, y, z) of a camera that looks to ``yaw``: its z ahead, its x to the right."""
    ahead = np.array([0.5, -0.5, 0.5, -0.5])  # w, x, y, z of yaw 0
    w, z = math.cos(yaw / 2), math.sin(yaw / 2)
    a, b, c, d = ahead
    return [w * a - z * d, w * b - z * c, w * c + z * b, w * d + z * a]


def way():
    """x, y, yaw at every key frame: straight on for 3 s, then an arc."""
    poses, x, y, yaw = [], 600.0, 1600.0, 0.3
    for step in range(STEPS):
        poses.append((x, y, yaw))
        yaw += 0.15 if step >= 6 else 0.0
        x, y = x + 0.5 * SPEED * math.cos(yaw), y + 0.5 * SPEED * math.sin(yaw)
    return poses


def write_set(folder: Path, version="v1.0-mini", expansion=True) -> Path:
    """One scene with two cameras, a car that drives ahead, a walker without a point, an animal."""
    tables = {name: [] for name in TABLES}
    tables["log"] = [{"token": "log", "location": "singapore-onenorth"}]
    tables["scene"] = [{"token": "scene", "name": "scene-0001", "log_token": "log", "nbr_samples": STEPS, "first_sample_token": "s0"}]
    tables["category"] = [{"token": f"c{number}", "name": name} for number, name in enumerate(
        ("vehicle.car", "human.pedestrian.adult", "animal"))]
    tables["instance"] = [{"token": f"i{number}", "category_token": f"c{number}"} for number in range(3)]
    for channel, yaw in (("CAM_FRONT", 0.0), ("CAM_FRONT_LEFT", math.radians(55.0))):
        tables["sensor"].append({"token": channel, "channel": channel, "modality": "camera"})
        tables["calibrated_sensor"].append({"token": f"k_{channel}", "sensor_token": channel, "translation": [1.7, 0.0, 1.5],
                                            "rotation": looking(yaw), "camera_intrinsic": [[FOCAL, 0, 80], [0, FOCAL, 45], [0, 0, 1]]})
    for step, (x, y, yaw) in enumerate(way()):
        stamp = 1_532_402_927_000_000 + 500_000 * step
        tables["sample"].append({"token": f"s{step}", "timestamp": stamp, "scene_token": "scene", "prev": f"s{step - 1}" if step else "",
                                 "next": f"s{step + 1}" if step + 1 < STEPS else ""})
        tables["ego_pose"].append({"token": f"e{step}", "timestamp": stamp, "translation": [x, y, 0.0], "rotation": quaternion(yaw)})
        for channel in ("CAM_FRONT", "CAM_FRONT_LEFT"):
            name = f"samples/{channel}/{step}.jpg"
            tables["sample_data"].append({"token": f"{channel}{step}", "sample_token": f"s{step}", "ego_pose_token": f"e{step}",
                                          "calibrated_sensor_token": f"k_{channel}", "filename": name, "is_key_frame": True,
                                          "width": SIZE[0], "height": SIZE[1], "timestamp": stamp})
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 20 * step, np.uint8)).save(folder / name)
        sweep = {"token": f"sweep{step}", "is_key_frame": False, "filename": "sweeps/none.jpg"}
        tables["sample_data"].append({**tables["sample_data"][-1], **sweep})
        for number, (ahead, points) in enumerate(((12.0, 9), (8.0, 0), (5.0, 3))):
            tables["sample_annotation"].append({
                "token": f"a{number}_{step}", "sample_token": f"s{step}", "instance_token": f"i{number}",
                "translation": [x + ahead * math.cos(yaw), y + ahead * math.sin(yaw), 0.8], "size": [1.9, 4.6, 1.6],
                "rotation": quaternion(yaw), "num_lidar_pts": points, "num_radar_pts": 0, "prev": f"a{number}_{step - 1}" if step else "",
                "next": f"a{number}_{step + 1}" if step + 1 < STEPS else ""})
    for name, rows in tables.items():
        (folder / version).mkdir(parents=True, exist_ok=True)
        (folder / version / f"{name}.json").write_text(json.dumps(rows))
    if expansion:
        write_expansion(folder)
    return folder


def write_expansion(folder: Path) -> None:
    """A divider along the way, a crossing on it, a road segment far away."""
    corners = {"n0": (600, 1602), "n1": (620, 1608), "n2": (606, 1598), "n3": (609, 1599), "n4": (608, 1603), "n5": (9000, 9000),
               "n6": (9010, 9000), "n7": (9010, 9010)}
    tables = {"node": [{"token": name, "x": x, "y": y} for name, (x, y) in corners.items()],
              "line": [{"token": "l0", "node_tokens": ["n0", "n1"]}],
              "polygon": [{"token": "p0", "exterior_node_tokens": ["n2", "n3", "n4"], "holes": []},
                          {"token": "p1", "exterior_node_tokens": ["n5", "n6", "n7"], "holes": []}],
              "lane_divider": [{"token": "d0", "line_token": "l0"}], "road_divider": [],
              "ped_crossing": [{"token": "x0", "polygon_token": "p0"}], "road_segment": [{"token": "r0", "polygon_token": "p1"}]}
    path = folder / "maps" / "expansion" / "singapore-onenorth.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(tables))
