"""The built-in world's node: it stands where CARLA and its ROS bridge stand."""

from __future__ import annotations

from dataclasses import dataclass

from kd_planner_ros.ros.params import SHOW_ROUTE, CommonParams, param
from kd_planner_ros.ros.specs.base import (
    COMMAND,
    DIAGNOSTICS,
    IN,
    LATCHED,
    OUT,
    ROADSIDE,
    ROADSIDE_IMAGE,
    SENSOR,
    STATE,
    STATIC,
    STATIONS,
    Argument,
    NodeSpec,
    Place,
    Port,
)

PATIENT_CONTROL_S = 5.0
"""Longest wait for a control where the graph is the world's own: a slow machine slows the simulation down."""


@dataclass(frozen=True)
class WorldParams(CommonParams):
    """Parameters of the built-in world's node."""

    objects_definition_file: str = param("", "sensor file in carla_spawn_objects' format; empty mounts no sensor")
    map: str = param("default", "map: default, generated:SEED, or a path to a .net.xml or .xodr file, also with .gz")
    stations: str = param("", "stations file (YAML or JSON); empty: the map's own roadside stations")
    route: str = param(SHOW_ROUTE, "number of a default route (0 to 999), a route file (its first route on the map), FILE:ID, or "
                                   "hidden:NUMBER, a route with a hazard that a roadside station sees and the car does not")
    snap: bool = param(False, "take key points of a route file farther than 60 m from every lane to the nearest lane")
    seed: int = param(0, "seed of traffic, walkers and scenarios", low=0, high=2**31 - 1)
    vehicles: int = param(60, "vehicles SUMO keeps on the map", low=0, high=500)
    walkers: int = param(20, "walkers on the map", low=0, high=500)
    weather: str = param("benchmark", "benchmark (the route file's, if any), an id from 0 to 20, or a name such as WetNoon")
    scenarios: bool = param(True, "run scenarios: the route file's that can be played, or drawn ones")
    max_time_s: float = param(0.0, "stop after this much simulated time, s; 0 drives to the end of the route",
                              low=0.0, high=1e6)
    run_dir: str = param("", "folder to write statistics, telemetry, plans and pictures to; empty writes nothing")
    synchronous_mode_wait_for_vehicle_control_command: bool = param(
        True, "wait for one control command per tick, as the bridge's parameter of this name")
    control_timeout_s: float = param(1.0, "longest wait for a control command, wall time, s (the bridge's: 1.0)",
                                     low=0.05, high=10.0)
    ready_timeout_s: float = param(120.0, "longest wait for the agent's status before the first tick, wall time, s; "
                                          "0 does not wait", low=0.0, high=3600.0)
    await_perception: bool = param(False, "wait as long for the perceiver too; on where the graph has a perception node")
    planner_name: str = param("", "name of the planner, for the run folder")
    planner_folder: str = param("", "folder of the planner's model where it is not a shipped one; the report reads its card")
    planner_device: str = param("", "device of the planner, for the run folder")
    planner_engine: str = param("", "inference engine of the planner, for the run folder")
    perceiver: str = param("", "what runs in the perception node, in words, for the run folder")


_ARGUMENTS: tuple[Argument, ...] = tuple((name, "", f"built-in world: {text}", choices) for name, text, choices in (
    ("map", "default, generated:SEED, or a path to a .net.xml or .xodr file, or packed with .gz; "
            "empty: the parameter files', else default", None),
    ("route", "number of a default route (0 to 999), a route file, FILE:ID for one of it, or hidden:NUMBER, a route with a hidden hazard; "
              "empty: the parameter files', else 6", None),
    ("snap", "true: take key points of a route file farther than 60 m from every lane to the nearest lane; empty: the parameter files'",
     ["", "true", "false"]),
    ("stations", "stations file (YAML or JSON) in place of the map's own roadside stations", None),
    ("seed", "seed of traffic, walkers and scenarios; empty: the parameter files', else 0", None),
    ("vehicles", "vehicles on the map; empty: the parameter files'", None),
    ("walkers", "walkers on the map; empty: the parameter files'", None),
    ("scenarios", "scenario actors, such as a pedestrian stepping out; empty: the parameter files'", ["", "true", "false"]),
    ("weather", "benchmark, an id from 0 to 20, or a name such as WetNoon; empty: the parameter files'", None),
    ("time", "simulated seconds to drive; empty or 0: to the end of the route", None),
    ("run_dir", "folder for statistics, telemetry, plans and pictures; empty: none", None)))

NODE = NodeSpec("world", "The built-in world: traffic, sensors and the lock-step of CARLA's ROS bridge.", WorldParams, (
    Port("clock", OUT, "rosgraph_msgs/Clock", STATE, "every tick"),
    Port("<camera>/image", OUT, "sensor_msgs/Image", SENSOR, "`bgra8`, each camera at its own rate"),
    Port("<camera>/camera_info", OUT, "sensor_msgs/CameraInfo", SENSOR, "with each picture"),
    Port("<lidar>", OUT, "sensor_msgs/PointCloud2", SENSOR, "x, y, z, intensity; half a turn a tick, as CARLA's"),
    Port("odometry", OUT, "nav_msgs/Odometry", STATE, "every tick, as its last message; its stamp is the tick's"),
    Port(STATIONS, OUT, "std_msgs/String", LATCHED, "JSON: where the stations stand; only where a model asks for roadside views"),
    Port("/carla/<station>/<camera>/image", OUT, "sensor_msgs/Image", ROADSIDE_IMAGE, "`bgra8`; of the stations near the car"),
    Port("/carla/<station>/<camera>/camera_info", OUT, "sensor_msgs/CameraInfo", LATCHED, "at start and with each picture"),
    Port("/carla/<station>/objects", OUT, "sensor_msgs/PointCloud2", ROADSIDE,
         "table of the road users that the station sees (ACTOR_DTYPE) in `map`; where a model asks for object lists"),
    Port("speedometer", OUT, "std_msgs/Float32", STATE, "every tick"),
    Port("imu", OUT, "sensor_msgs/Imu", STATE, "every tick"),
    Port("gnss", OUT, "sensor_msgs/NavSatFix", STATE, "every tick"),
    Port("tf", OUT, "tf2_msgs/TFMessage", STATE, "the vehicle in `map`; only where tf2_msgs is installed"),
    Port("tf_static", OUT, "tf2_msgs/TFMessage", STATIC,
         "the vehicle's sensors, `imu` and `gnss`, and the cameras of roadside stations, once"),
    Port("objects", OUT, "derived_object_msgs/ObjectArray", STATE, "ground truth as CARLA's bridge sends it; only where it is installed"),
    Port("objects_table", OUT, "sensor_msgs/PointCloud2", STATE, "table of ground truth (`core/scene.py` ACTOR_DTYPE)"),
    Port("traffic_lights", OUT, "carla_msgs/CarlaTrafficLightStatusList", LATCHED, "on change; only where it is installed"),
    Port("traffic_lights_info", OUT, "carla_msgs/CarlaTrafficLightInfoList", LATCHED, "with the status; only where it is installed"),
    Port("traffic_lights_table", OUT, "sensor_msgs/PointCloud2", LATCHED, "table (SIGNAL_DTYPE), on change"),
    Port("route", OUT, "carla_msgs/CarlaRoute, else sensor_msgs/PointCloud2", LATCHED, "x, y, z, yaw, command of the dense route"),
    Port("waypoints", OUT, "nav_msgs/Path", LATCHED, "the same points, without turn commands"),
    Port("control", IN, "carla_msgs/CarlaEgoVehicleControl, else sensor_msgs/JointState", COMMAND,
         "throttle, steer, brake; steer positive RIGHT; one a tick"),
    Port("status", IN, "std_msgs/Bool", LATCHED, "the agent is ready"),
    Port("perception_ready", IN, "std_msgs/Bool", LATCHED, "the perceiver is ready; where the graph has a perception node"),
    Port("control_reason", IN, "std_msgs/String", LATCHED, "reasons for the run folder, where the control message has no room for one"),
    Port("plan", IN, "sensor_msgs/PointCloud2", COMMAND, "plans for the run folder"),
    Port("candidates", IN, "sensor_msgs/PointCloud2", COMMAND, "plans for the run folder"),
    Port("detections", IN, "sensor_msgs/PointCloud2", COMMAND, "plans for the run folder"),
    Port("lines", IN, "sensor_msgs/PointCloud2", COMMAND, "plans for the run folder"),
    Port("attention", IN, "sensor_msgs/Image", COMMAND, "attention for the run folder"),
    DIAGNOSTICS),
    Place(4, lambda graph: graph.world == "builtin", lambda graph: {
        "control_timeout_s": PATIENT_CONTROL_S, "await_perception": bool(graph.perceiver), **graph.world_defaults},
          lambda graph: graph.world_parameters, _ARGUMENTS, clocked=False))
