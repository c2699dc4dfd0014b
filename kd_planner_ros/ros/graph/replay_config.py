"""What ``kd-planner replay`` and ``replay.launch.py`` can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP
from kd_planner_ros.ros.graph.arguments import LOG_LEVELS
from kd_planner_ros.v2x.channel_settings import RecordedRadio


def _option(default: Any, text: str, **more: Any) -> Any:
    return field(default=default, metadata={"help": text, **more})


@dataclass(frozen=True)
class ReplayConfig(RecordedRadio):
    """What to play, to whom, how fast."""

    bag: Path = field(metadata={"help": "a rosbag2 folder (mcap or sqlite3)"})
    planner: str = _option("", "folder of models/, a path to one, constant_velocity, or auto: the best shipped model; empty: the "
                               "parameter files', else auto")
    perception: str = _option("", "perceiver to run beside the planner: folder of models/, a path to one, or auto; empty: none")
    out: Path | None = _option(None, "new recording for everything that the nodes publish; default: none is written", metavar="DIR")
    rate: float = _option(0.0, "playback speed as a multiple of real time; 0: lock-step, each tick waits for its control")
    max_drops: float = _option(0.02, "largest share of frames without a plan that is still scored")
    device: str = _option("", "cpu, cuda or cuda:N; empty: the parameter files', else cpu")
    engine: str = _option("", "inference engine; empty: the parameter files', else auto",
                          choices=("", "auto", "torch", "openvino", "onnxruntime"))
    models_dir: str = _option("", "folder of models; empty: the parameter files', else the shipped ones", metavar="DIR")
    carla_profile: str = _option("", "topic names and message types, a file of config/profiles/ or a path to one; empty: the parameter "
                                     "files', else carla_bridge")
    role_name: str = _option("", ROLE_HELP)
    camera: tuple[str, ...] = _option((), CAMERA_HELP, metavar="NAME=RECORDED")
    params_file: Path | None = _option(None, "ROS parameter file of your own; wins over config/nodes/*.yaml", metavar="FILE")
    log_level: str = _option("", "what the nodes log; empty: ROS's default, info", choices=LOG_LEVELS)
