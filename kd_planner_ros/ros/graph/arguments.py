"""The arguments of the launch files: name, default, text, choices. Imports neither launch nor rclpy; a node's own arguments stand in its
file of ``ros/specs``.

An argument whose default is "" and that is not given leaves its parameter to the parameter files (``config/nodes/``, ``params_file``).
"""

from __future__ import annotations

from dataclasses import fields

from kd_planner_ros.ros.specs import graph_specs, node_specs
from kd_planner_ros.ros.specs.base import Argument
from kd_planner_ros.v2x.channel_settings import RecordedRadio

LOG_LEVELS = ["", "debug", "info", "warn", "error", "fatal"]


def _own(node: str) -> tuple[Argument, ...]:
    """The arguments of node ``node`` itself."""
    place = node_specs()[node].place
    return place.arguments if place else ()


_MODEL: tuple[Argument, ...] = (
    *_own("planner"),
    ("role_name", "", "CARLA role name of the ego vehicle, part of every topic; empty: the profile's", None),
    ("carla_profile", "", "outside system: topic names and message types, a file of config/profiles/ or a path to one; empty: carla_bridge",
     None),
    ("device", "", "device of the network: cpu, cuda or cuda:N; empty: the parameter files'", None),
    ("engine", "", "inference engine; empty: the parameter files'", ["", "auto", "torch", "openvino", "onnxruntime"]),
    ("models_dir", "", "folder of models; empty: the package's own", None),
)
_NODES: tuple[Argument, ...] = (
    ("params_file", "", "ROS parameter file of your own: wins over config/nodes/*.yaml, arguments win over it; empty: none", None),
    ("log_level", "", "what the nodes log: debug, info, warn, error or fatal; empty: ROS's default, info", LOG_LEVELS),
)
_NAMESPACE: tuple[Argument, ...] = (
    ("namespace", "", "namespace of nodes and relative topics; empty: the profile's, /carla/<role_name>", None),
    ("use_sim_time", "", "whether planner, perception and controller take their time from /clock; empty: the parameter files', else true",
     ["", "true", "false"]),
)
BUILTIN = tuple(name for name, *_ in _own("world"))
"""Arguments of the built-in world alone."""
OWN = tuple(name for spec in graph_specs() for name, *_ in _own(spec.name))
"""Arguments that belong to one node."""
DRIVE: tuple[Argument, ...] = (
    ("world", "builtin", "builtin: start the built-in world; carla: CARLA and its bridge run elsewhere; none: a bag",
     ["builtin", "carla", "none"]),
    *_MODEL,
    ("caption", "false", "true: the planner publishes in words what it sees in its front view", ["true", "false"]),
    ("carla_version", "", "CARLA version, shown in the diagnostics; all versions are read alike; empty: the profile's", None),
    *(argument for spec in graph_specs() if spec.name not in ("planner", "world") for argument in _own(spec.name)),
    ("threads", "", "threads of the inference engine; empty: the parameter files'", None),
    ("sensors_file", "", "where to write the sensor file for carla_spawn_objects; empty: a temporary folder", None),
    *_NODES, *_NAMESPACE, *_own("world"))
REPLAY: tuple[Argument, ...] = (
    ("bag", None, "recording to play: folder of a rosbag2 recording (mcap or sqlite3)", None),
    ("rate", "", "times real time; empty or 0: lock-step, as fast as the planner answers", None),
    ("camera", "", "which recorded camera is which, NAME=RECORDED, several separated by spaces; empty: those of the same names", None),
    ("perception", "", "perceiver to run beside the planner: folder of models/, a path to one, or auto; empty: none", None),
    ("out", "", "new recording for everything that the nodes publish; empty: none is written", None),
    *((one.name, "", f"{one.metadata['help']}; empty: {one.default:g}", None) for one in fields(RecordedRadio)),
    ("max_drops", "", "largest share of frames without a plan that is still scored; empty: 0.02", None),
    *_MODEL, *_NODES)
TRAIN: tuple[Argument, ...] = (
    ("recipe", "", "YAML file with settings, sections and stages, as 'kd-planner train --recipe' reads it; empty: none", None),
    ("bags", "", "recordings, or folders of recordings, separated by spaces, quoted where a path holds one; empty: the recipe's", None),
    ("name", "", "name of the model; weights and card go to <models_dir>/<name>/; empty: the recipe's, else <network>_student", None),
    ("models_dir", "", "folder for the model; empty: the recipe's, else models/ below the present folder", None),
    ("args", "", "further settings, NAME:=VALUE separated by spaces, e.g. size:=7.6m epochs:=2; quote a value that holds a space", None),
    ("processes", "1", "processes that train together on this machine, through torchrun: one for each GPU", None),
    ("autostart", "true", "start at once; false: wait for a lifecycle manager", ["true", "false"]),
    *_NODES,
    ("namespace", "", "namespace of the trainer node; empty: none", None))
