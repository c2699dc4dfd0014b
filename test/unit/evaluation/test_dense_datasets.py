"""Data sets through the evaluation: pictures as the network's camera takes them, and its answers back over the labels."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from PIL import Image
from support.datasets import DRIVE, FOCAL, WIDTH, write_cityscapes, write_kitti
from support.perception import install_network, save_tiny

from kd_planner_ros.bags.labelled import LabelledPicture
from kd_planner_ros.cli.main import main
from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, SensorRig
from kd_planner_ros.evaluation.dense.config import DenseConfig
from kd_planner_ros.evaluation.dense.datasets import find_dataset, fitted
from kd_planner_ros.evaluation.dense.run import score
from kd_planner_ros.networks.planner import Perceiver

CITY = ("Road", "RoadLine", "Car", "Pedestrian", "Sky")


def camera(width, height, fov_deg):
    return CameraSpec("front", Pose(), width, height, fov_deg)


class Eye(Perceiver):
    """Answers with what ``answer`` makes of a frame's picture."""

    name, rate_hz = "eye", 10.0

    def __init__(self, spec, answer):
        self.rig, self._answer, self.resets, self.stamps = SensorRig((spec,), needs_route=False), answer, 0, []

    def reset(self):
        self.resets += 1

    def perceive(self, frame):
        assert frame.goal is None and math.isnan(frame.ego.speed_mps) and set(frame.calibrations) == {"front"}
        self.stamps.append(frame.stamp_ns)
        return Perception(frame.stamp_ns, "front", self._answer(frame.images["front"]))


def flat(depth_m):
    return lambda rgb: {"depth": DenseOutput("depth", np.full(rgb.shape[:2], depth_m, np.float32))}


def test_kitti_is_judged_at_its_own_size(tmp_path):
    """A network of the same camera at three quarters of the size: every point of the section counts."""
    write_kitti(tmp_path, points=3000)
    write_kitti(tmp_path, drive="2011_09_26/2011_09_26_drive_0005_sync", frames=(3,), scans=(3,))
    fov = math.degrees(2.0 * math.atan(WIDTH / 2.0 / FOCAL))
    config, eye = DenseConfig("eye", kitti=tmp_path), Eye(camera(93, 28, fov), flat(10.0))
    frames = find_dataset(config)
    result = score(eye, frames, config, progress=False)
    points = np.concatenate([one.depth[np.isfinite(one.depth)] for one in frames._dataset])
    assert (result["source"], result["bags"], result["frames"], eye.resets) == ("kitti", 2, 4, 2)
    depth = result["outputs"]["depth"]
    assert depth["pixels"] == (points <= 80.0).sum() > 300 and depth["left_out"]["unknown"] == 0 and "notes" not in result
    each = [one.depth[np.isfinite(one.depth)] for one in frames._dataset]
    assert depth["metric"]["abs_rel"] == pytest.approx(np.mean([np.mean(np.abs(10.0 - one) / one) for one in each]), rel=1e-5)
    assert set(result["recordings"]) == {"2011_09_26_drive_0002_sync", "2011_09_26_drive_0005_sync"}
    assert eye.stamps[:3] == [0, 100_000_000, 500_000_000]  # a network that pairs frames sees how far apart they are


def test_another_camera_gets_pictures_of_its_own_focal_length():
    """A network's camera of twice the focal length and a narrower view: it sees the middle, and its answers lie there."""
    rgb = np.zeros((40, 80, 3), np.uint8)
    rgb[18:24, 38:46] = 200
    picture = LabelledPicture("s", "n", 0, rgb, np.array([[50.0, 0.0, 40.5], [0.0, 50.0, 19.5], [0.0, 0.0, 1.0]]))
    spec = camera(80, 40, math.degrees(2.0 * math.atan(40.0 / 100.0)))
    seen, grid, note = fitted(picture, spec)
    assert seen.shape == (40, 80, 3) and "cover 100 %" in note
    back = grid.lift(seen[..., 0].astype(np.float32), np.nan, "x")
    assert (back[19:23, 39:45] == 200).all() and back[18:24, 38:46].min() > 100 and (back[12:17, 38:46] < 40).all()
    assert np.isnan(back[:, :20]).all() and np.isnan(back[:, -18:]).all() and grid.covered[19, 40] and not grid.covered[19, 5]
    wide, grid, note = fitted(picture, camera(80, 40, 120.0))
    assert "the rest is black" in note and (wide[:3] == 0).all() and grid.covered is None
    assert (grid.lift(wide[..., 0].astype(np.float32), np.nan, "x")[19:23, 40:44] > 150).all()


def test_cityscapes_classes_members_and_depth(tmp_path):
    """A network that paints lane markings on Cityscapes' road makes no error there; what it does not tell is named."""
    write_cityscapes(tmp_path, count=4)

    def answer(rgb):
        classes = np.full((32, 64), 4, np.uint8)
        classes[16:], classes[20:30, ::4], classes[10:20, 20:30], classes[12:18, 50:60] = 0, 1, 2, 3
        ids = (classes.astype(np.int32) + 1) * 1000
        return {"classes": DenseOutput("classes", classes, CITY), "panoptic": DenseOutput("ids", ids),
                "instances": DenseOutput("ids", np.where(classes == 2, 3000, 0).astype(np.int32), (), {"segments": "instances"}),
                "drivable": DenseOutput("mask", classes < 2), "lane_marking": DenseOutput("mask", classes == 1), **flat(2.0)(rgb)}

    config = DenseConfig("eye", cityscapes=tmp_path, out=tmp_path / "out", pictures=2)
    eye = Eye(camera(64, 32, math.degrees(2.0 * math.atan(32.0 / 70.0))), answer)
    result = score(eye, find_dataset(config), config, progress=False)
    outputs = result["outputs"]
    assert outputs["classes"]["iou"] == {"Road": 1.0, "RoadLine": None, "Car": 1.0, "Pedestrian": 1.0, "Sky": 1.0}
    assert outputs["panoptic"]["pq"] == outputs["instances"]["ap"] == outputs["drivable"]["iou"] == 1.0 and eye.resets == 4
    assert outputs["panoptic"]["left_out"]["crowds"] == 4  # the group of persons
    assert outputs["depth"]["metric"]["abs_rel"] == pytest.approx(0.0, abs=1e-6)
    assert "do not tell Road from RoadLine" in result["not_scored"]["lane_marking"]
    assert Image.open(tmp_path / "out" / "strip.png").size == (6 * 256, 4 * (128 + 16))


def test_only_a_camera_alone_can_be_shown_pictures(tmp_path):
    write_cityscapes(tmp_path)
    eye = Eye(camera(64, 32, 50.0), flat(1.0))
    eye.rig = SensorRig(eye.rig.cameras, (LidarSpec("top", Pose()),))
    config = DenseConfig("eye", cityscapes=tmp_path)
    with pytest.raises(ConfigError, match="one camera for pictures of a data set; got 'eye' with 1 cameras and 1 LiDARs"):
        score(eye, find_dataset(config), config, progress=False)


def test_data_sets_by_the_command(tmp_path, monkeypatch, capsys):
    install_network(monkeypatch, tmp_path)
    models = save_tiny(tmp_path / "models", "eye")
    write_kitti(tmp_path / "kitti", points=2000)
    split = tmp_path / "test_files.txt"
    split.write_text(f"{DRIVE} 0000000001 l\n")
    words = ["evaluate", "dense", "--model", "eye", "--models-dir", str(models)]
    assert main([*words, "--kitti", str(tmp_path / "kitti"), "--split", str(split), "--json"]) == 0
    shown = capsys.readouterr().out
    result = json.loads(shown.splitlines()[-1])
    assert result["frames"] == 1 and result["outputs"]["depth"]["pixels"] > 10 and "were fitted to the network's camera (64x32" in shown
    assert "no semantic labels" in result["not_scored"]["classes"]
    for wrong, text in ((["--kitti", str(tmp_path / "none")], "no such folder; correct --kitti"),
                        (["--kitti", str(tmp_path / "kitti"), "--camera", "a=b"], "--camera and --role-name with --bag"),
                        (["--kitti", str(tmp_path), "--cityscapes", str(tmp_path)], "got --kitti and --cityscapes")):
        assert main([*words, *wrong]) == 2 and text in capsys.readouterr().err
