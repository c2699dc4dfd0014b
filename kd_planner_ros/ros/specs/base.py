"""What a declaration consists of: ports, and a node with its parameters and its place in the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

IN, OUT = "in", "out"
SENSOR, STATE, COMMAND, LATCHED, STATIC = "sensor", "state", "command", "latched", "static"
ROADSIDE, ROADSIDE_IMAGE, RADIO = "roadside", "roadside_image", "radio"
QOS_TEXTS = {SENSOR: "reliable; depth 5 to publish, 1 to subscribe, 5 where the model declares a history", STATE: "reliable, depth 10",
             COMMAND: "reliable, depth 1",
             LATCHED: "reliable, depth 1, transient local", STATIC: "reliable, depth 100, transient local",
             ROADSIDE_IMAGE: "reliable, depth 5",
             ROADSIDE: "best effort, depth 5: nobody waits for a lost message",
             RADIO: "best effort, depth 5; offers a deadline of 1 s and a lifespan of 0.5 s"}
"""Quality of service by its name (``ros/qos.py``). Every port may be overridden by ``qos_overrides`` in YAML."""
Argument = tuple[str, "str | None", str, "list[str] | None"]
"""An argument of a launch file: name, default, text, choices."""


@dataclass(frozen=True)
class Port:
    """One topic of a node.

    Args:
        name: its name in the code. ``<camera>``, ``<lidar>`` and ``<output>`` stand for ids that a model declares, ``<station>`` for
            those of the map's stations; ``~/`` begins a name below the node's own.
        direction: ``in`` or ``out``.
        kind: message type, or several of which the first that is installed is used.
        qos: a key of ``QOS_TEXTS``.
        text: what travels there, and when.
    """

    name: str
    direction: str
    kind: str
    qos: str
    text: str

    @property
    def mapped(self) -> bool:
        """Whether a profile gives it a topic; names with a slash, with an id, and private names keep their own."""
        return not self.name.startswith("~") and "<" not in self.name and "/" not in self.name


def car_box(graph: Any) -> dict[str, float]:
    """The car's box as parameters, where the graph knows it."""
    return {} if graph.car is None else {f"car_{name}": value for name, value in graph.car._asdict().items()}


def hears_roadside(graph: Any) -> bool:
    """Whether the graph hears roadside stations, through a gateway."""
    return graph.asked.get("v2x") == "true"


def _nothing(graph: Any) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True)
class Place:
    """When a node is part of the graph that ``drive``, ``replay`` and ``drive.launch.py`` start, and what the graph tells it. The functions
    are asked with the graph's ``GraphConfig`` (``ros/graph/describe.py``).

    Args:
        order: nodes start by it, the lowest first.
        runs: whether the node is started.
        defaults: parameters that give way to the parameter files.
        parameters: parameters that win over the files; those that all nodes share come by themselves.
        arguments: the node's own arguments of ``drive.launch.py``; ``GraphConfig.asked`` holds their values.
        clocked: whether it takes its time from /clock.
        remaps: name in the node's code -> port whose topic it has in this graph.
    """

    order: int
    runs: Callable[[Any], bool]
    defaults: Callable[[Any], Mapping[str, Any]] = _nothing
    parameters: Callable[[Any], Mapping[str, Any]] = _nothing
    arguments: tuple[Argument, ...] = ()
    clocked: bool = True
    remaps: Callable[[Any], Mapping[str, str]] = _nothing


@dataclass(frozen=True)
class NodeSpec:
    """One node.

    Args:
        name: its name in the graph; its module is ``ros/nodes/<name>_node.py``, its parameter file ``config/nodes/<name>.yaml``.
        text: what it does, one sentence.
        params: the dataclass of its parameters (``ros/params.py``); None where another command's options are its parameters.
        ports: every topic that it reads or writes.
        place: its place in the driving graph; None: it has none.
        program: the node whose program it runs, where it has none of its own.
        remaps: (name in that program's code, name of the port), for ports that must not have the program's own topics.
        families: parameters whose names the model completes: (beginning of the name, default, range, meaning).
    """

    name: str
    text: str
    params: type | None
    ports: tuple[Port, ...]
    place: Place | None = None
    program: str = ""
    remaps: tuple[tuple[str, str], ...] = ()
    families: tuple[tuple[str, str, str, str], ...] = ()

    @property
    def executable(self) -> str:
        """The installed executable that runs it."""
        return self.program or self.name

    @property
    def module(self) -> str:
        """The module that runs it as a process."""
        return f"kd_planner_ros.ros.nodes.{self.executable}_node"


DIAGNOSTICS = Port("diagnostics", OUT, "diagnostic_msgs/DiagnosticArray", STATE, "once a second and on every change")
PROCESSING_TIME = "~/debug/processing_time_ms"
MODEL_OUTPUTS = (DIAGNOSTICS, Port(PROCESSING_TIME, OUT, "std_msgs/Float64", STATE,
                                   "wall milliseconds from a complete set to its published result, with each result"))
"""What every node with a model writes beside its results."""
STATIONS = "/carla/stations"
STATION_FRAMES = Port("tf_static", OUT, "tf2_msgs/TFMessage", STATIC,
                      "`map` to the cameras of the stations; with parameters `tf` and `stations`, where tf2_msgs is installed")
CAR_AHEAD_TEXT = ("how far the centre of the car lies ahead of base_link, m: 0 in CARLA, half the wheelbase where base_link is on the rear "
                  "axle")
TF_TEXT = ("send the frames of the cameras of the stations that parameter `stations` names; false: somebody else does, as the built-in "
           "world and CARLA's bridge do")
MODEL_INPUTS = (
    Port("<camera>/image", IN, "sensor_msgs/Image", SENSOR, "each camera that the model declares"),
    Port("<camera>/camera_info", IN, "sensor_msgs/CameraInfo", SENSOR,
         "compared with the model's declaration; replaces it with parameter `camera_info`"),
    Port("tf_static", IN, "tf2_msgs/TFMessage", STATIC,
         "the sensors' mountings, compared with the model's; only where tf2_msgs is installed"),
    Port("tf", IN, "tf2_msgs/TFMessage", STATE, "the same, from a bridge that sends the sensors' frames here"),
    Port("<lidar>", IN, "sensor_msgs/PointCloud2", SENSOR, "each LiDAR that the model declares"),
    Port(STATIONS, IN, "std_msgs/String", LATCHED, "JSON: where the stations stand; only where the model asks for roadside views"),
    Port("/carla/<station>/<camera>/image", IN, "sensor_msgs/Image", ROADSIDE_IMAGE,
         "each camera of the stations that were named, where the model asks for pictures"),
    Port("/carla/<station>/objects", IN, "sensor_msgs/PointCloud2", ROADSIDE,
         "table of road users (ACTOR_DTYPE) in `map`; only where the model asks for object lists"),
    Port("/v2x/phases", IN, "sensor_msgs/PointCloud2", STATE, "signal phases that stations report; only where the model asks for them"))
"""What every node with a model reads of sensors."""
