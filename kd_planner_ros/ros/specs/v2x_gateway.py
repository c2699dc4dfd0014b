"""The V2X gateway's node: what roadside stations send by radio in, what the car may use of it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kd_planner_ros.core.car import LENGTH_M, WIDTH_M
from kd_planner_ros.ros.params import CommonParams, param
from kd_planner_ros.ros.specs import v2x_station
from kd_planner_ros.ros.specs.base import (
    CAR_AHEAD_TEXT,
    DIAGNOSTICS,
    IN,
    LATCHED,
    OUT,
    ROADSIDE,
    ROADSIDE_IMAGE,
    SENSOR,
    STATE,
    STATION_FRAMES,
    STATIONS,
    TF_TEXT,
    NodeSpec,
    Place,
    Port,
    car_box,
    hears_roadside,
)

LONGEST_S = 0.5
"""A message that took longer is too old for a gateway, whatever it expects."""


@dataclass(frozen=True)
class V2xGatewayParams(CommonParams):
    """Parameters of the gateway's node."""

    stations: str = param("", "stations file (YAML or JSON): the stations that the car knows; empty: those of the built-in world's topic")
    keys: str = param("", "folder with the stations' public keys, the folder 'allowed' that 'kd-planner v2x keys' makes")
    period_s: float = param(0.1, "time between two answers for the car, s", low=0.05, high=1.0)
    range_m: float = param(150.0, "no station farther away is heard, m", low=1.0, high=10_000.0)
    fresh_s: float = param(0.2, "older messages are used and counted as degraded, s", low=0.0, high=0.5)
    max_age_s: float = param(0.5, "older messages are not used, s", low=0.05, high=0.5)
    expected_latency_s: float = param(0.0, "what the radio link takes at least, s; a longer shortest time counts as the offset of a "
                                           "station's clock; beside a v2x_station of the same graph its channel_latency_ms, unless a "
                                           "parameter file says another", low=0.0, high=LONGEST_S)
    cap_unheard: bool = param(False, "the speed is capped at the crossing of a station in range that nothing at all was accepted from, "
                                     "too; false: only of one that sent a picture or signal phases and no object list")
    lidar: str = param("", "topic of the car's LiDAR: reported objects in the middle of space that it sees to be free are refused as "
                           "ghosts; empty: none")
    lidar_pose: str = param("", "place of that LiDAR in base_link: x y z in metres, roll pitch yaw in degrees; must be given with `lidar`")
    car_length_m: float = param(LENGTH_M, "length of the car, m: an object in its box is the car itself, as a station sees it", low=0.5,
                                high=30.0)
    car_width_m: float = param(WIDTH_M, "width of the car, m", low=0.3, high=5.0)
    car_ahead_m: float = param(0.0, CAR_AHEAD_TEXT, low=-10.0, high=10.0)
    tf: bool = param(True, TF_TEXT)
    run_dir: str = param("", "folder for v2x.jsonl (states, and pictures in roadside/) and v2x_rejected.jsonl (the newest refused "
                             "messages); empty: none")
    autostart: bool = param(False, "configure and activate without a lifecycle manager")


def _defaults(graph: Any) -> Mapping[str, Any]:
    """What follows from the graph: how long its own stations take to be heard, who sends their frames
    (the worlds do), and the car's box."""
    return {**_link(graph), **car_box(graph), **({} if graph.world == "none" else {"tf": False})}


def _link(graph: Any) -> Mapping[str, Any]:
    """What the simulated link of the graph's own stations takes at least."""
    station = v2x_station.NODE
    if station.place is None or not station.place.runs(graph):
        return {}
    latency_ms = graph.said(station.name, v2x_station.CHANNEL + "latency_ms")
    known = isinstance(latency_ms, (int, float)) and latency_ms >= 0.0  # else the station's own check refuses it
    return {"expected_latency_s": min(latency_ms / 1000.0, LONGEST_S)} if known else {}


NODE = NodeSpec("v2x_gateway", "Judges what roadside stations send by radio and hands on what the car may use.", V2xGatewayParams, (
    Port(STATIONS, IN, "std_msgs/String", LATCHED, "JSON: the stations of the map; only without parameter `stations`"),
    Port("odometry", IN, "nav_msgs/Odometry", STATE, "where the car is; without it the state is MINIMAL_RISK"),
    Port("<lidar>", IN, "sensor_msgs/PointCloud2", SENSOR, "the car's LiDAR, named by parameter `lidar`; without it no object is a ghost"),
    Port("/radio/<station>/<camera>/image/compressed", IN, "sensor_msgs/CompressedImage", ROADSIDE, "JPEG; its `data` is what is signed"),
    Port("/radio/<station>/objects", IN, "sensor_msgs/PointCloud2", ROADSIDE, "object list; its `data`, rows of ACTOR_DTYPE, is signed"),
    Port("/radio/<station>/phases", IN, "sensor_msgs/PointCloud2", ROADSIDE, "signal phases; its `data`, rows of PHASE_DTYPE, is signed"),
    Port("/radio/<station>/signature", IN, "std_msgs/String", ROADSIDE,
         "JSON: kind, camera, stamp_ns, sequence and signature of each message of the station"),
    Port("/v2x/stations", OUT, "std_msgs/String", LATCHED, "JSON: the stations that have a key"),
    Port("/v2x/<station>/<camera>/image", OUT, "sensor_msgs/Image", ROADSIDE_IMAGE,
         "`bgra8`, a picture that was accepted; in COOP_FULL alone"),
    Port("/v2x/<station>/<camera>/camera_info", OUT, "sensor_msgs/CameraInfo", LATCHED,
         "that camera, of the size of the picture that was accepted last"),
    Port("/v2x/<station>/objects", OUT, "sensor_msgs/PointCloud2", ROADSIDE,
         "road users that this station reported (ACTOR_DTYPE) in `map`, stamped when they were measured"),
    Port("/v2x/objects", OUT, "sensor_msgs/PointCloud2", STATE,
         "road users of all stations (ACTOR_DTYPE, `age_s` and `station`, the station's number) in `map`, once each; one message a period, "
         "empty where there are none, its `height` 0 where no object list came"),
    Port("/v2x/phases", OUT, "sensor_msgs/PointCloud2", STATE, "signal phases (PHASE_DTYPE), counted from the stamp; one a period"),
    Port("/v2x/silent", OUT, "sensor_msgs/PointCloud2", STATE,
         "stations in range that send no object list (SILENT_DTYPE): number, place, seconds since the last one; one a period"),
    Port("/v2x/state", OUT, "std_msgs/String", LATCHED, "JSON: COOP_FULL, COOP_OBJECTS, EGO_ONLY or MINIMAL_RISK, and why; on change"),
    STATION_FRAMES,
    DIAGNOSTICS),
    Place(3, hears_roadside, _defaults,
          parameters=lambda graph: {"keys": graph.asked.get("v2x_allowed", ""), "stations": graph.asked.get("v2x_stations", ""),
                                    "run_dir": graph.asked.get("v2x_run_dir", ""), "lidar": graph.asked.get("v2x_lidar", ""),
                                    "lidar_pose": graph.asked.get("v2x_lidar_pose", "")},
          arguments=(
              ("v2x", "false", "true: hear roadside stations through a gateway", ["true", "false"]),
              ("v2x_keys", "", "with v2x:=true: folder that 'kd-planner v2x keys' made; empty: keys for this drive alone, for the built-in "
                               "world", None),
              ("v2x_stations", "", "with v2x:=true: stations file (YAML or JSON), for CARLA or a vehicle; empty: the built-in world's",
               None))))
