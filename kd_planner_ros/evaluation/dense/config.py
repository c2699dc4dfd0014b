"""What to compare with what."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP
from kd_planner_ros.runtime.facts import PERCEIVER_HELP

SOURCES = ("bag", "kitti", "cityscapes")


@dataclass(frozen=True)
class DenseConfig:
    """What to compare. Each field is an option of ``kd-planner evaluate dense``."""

    model: str = field(metadata={"help": PERCEIVER_HELP})
    bag: Path | None = field(default=None, metadata={"help": "a rosbag2 folder with recorded labels, or a folder of them"})
    kitti: Path | None = field(default=None, metadata={
        "help": "folder of KITTI's raw data (2011_09_26/2011_09_26_drive_0002_sync/image_02/data/*.png): depth against the LiDAR"})
    cityscapes: Path | None = field(default=None, metadata={
        "help": "folder of Cityscapes (leftImg8bit/, gtFine/, and for depth disparity/ and camera/)"})
    split: str = field(default="", metadata={
        "help": "of --kitti: a file with a frame a line, as Eigen's test_files.txt (default: every frame with a scan); of --cityscapes: "
        "train, val or test (default: val)"})
    out: Path | None = field(default=None, metadata={"help": "folder for dense.json, dense.md and strip.png (default: nothing is written)"})
    max_depth_m: float = field(default=80.0, metadata={
        "help": "truth farther away than this is left out, and predictions are limited to it, metres", "above": 1.0, "high": 1000.0})
    further_depth_m: tuple[float, ...] = field(default=(60.0,), metadata={
        "help": "further limits of depth, each with figures of its own, metres; several are separated by blanks"})
    min_pixels: int = field(default=0, metadata={
        "help": "things of fewer pixels need not be found (they count as crowds in PQ and AP)", "low": 0})
    pictures: int = field(default=4, metadata={"help": "frames in strip.png; 0: no strip", "low": 0, "high": 50})
    device: str = field(default="cpu", metadata={"help": "where the network runs: cpu, cuda, cuda:1 ..."})
    engine: str = field(default="auto", metadata={"help": "inference engine", "choices": ("auto", "torch", "openvino", "onnxruntime")})
    models_dir: Path | None = field(default=None, metadata={"help": "folder of models (default: the shipped ones)"})
    role_name: str | None = field(default=None, metadata={"help": ROLE_HELP})
    camera: tuple[str, ...] = field(default=(), metadata={"help": CAMERA_HELP, "metavar": "NAME=RECORDED"})
