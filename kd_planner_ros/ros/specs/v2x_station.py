"""The roadside station's node: a camera, an object list and signals in, signed radio messages out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, make_dataclass
from typing import TYPE_CHECKING, Any

from kd_planner_ros.ros.params import CommonParams, param
from kd_planner_ros.ros.specs.base import (
    DIAGNOSTICS,
    IN,
    LATCHED,
    OUT,
    RADIO,
    ROADSIDE,
    ROADSIDE_IMAGE,
    STATE,
    STATION_FRAMES,
    STATIONS,
    TF_TEXT,
    NodeSpec,
    Place,
    Port,
    hears_roadside,
)
from kd_planner_ros.v2x.channel_settings import ChannelSettings

if TYPE_CHECKING:
    from kd_planner_ros.core.sensors import Station

BRIDGE_OBJECTS = "/carla/objects"
"""Where CARLA's bridge tells all road users: the sensor file asks it to (``ros/carla_objects.py``)."""
CHANNEL = "channel_"
"""What the names of the channel's parameters begin with."""
_MOST = 1_000_000_000


def _channel_fields() -> list[tuple[str, type, object]]:
    """A parameter for each setting of the simulated channel."""
    found = []
    for one in fields(ChannelSettings):
        assert one.default is not MISSING
        kind = type(one.default)
        text = "simulated radio: " + one.metadata["help"].replace("--queue-ms", f"{CHANNEL}queue_ms")
        found.append((CHANNEL + one.name, kind, param(one.default, text, low=one.metadata["low"],
                                                      high=kind(one.metadata.get("high", _MOST)))))
    return found


_ChannelParams = make_dataclass("_ChannelParams", _channel_fields(), bases=(CommonParams,), frozen=True)


@dataclass(frozen=True)
class V2xStationParams(_ChannelParams):  # type: ignore[misc, valid-type]
    """Parameters of the station's node."""

    station: str = param("", "id of the station that this node is; empty: all stations that have a key in `keys`")
    stations: str = param("", "stations file (YAML or JSON) with the station's place and cameras; empty: the built-in world's topic")
    keys: str = param("", "folder with the stations' private keys, the folder 'private' that 'kd-planner v2x keys' makes")
    image_topic: str = param("/carla/{station}/{camera}/image", "topic of the pictures; one that ends with /compressed is read as "
                                                                "sensor_msgs/CompressedImage")
    objects_topic: str = param("/carla/{station}/objects", "topic of the object lists; empty: none, as `cpm_topic` and "
                                                           "`bridge_objects_topic` need it")
    bridge_objects_topic: str = param("", "topic of all road users as CARLA's bridge sends them (derived_object_msgs/ObjectArray), such as "
                                          "/carla/objects: each station sends those that its range and its cameras show; empty: none")
    cpm_topic: str = param("", "topic of ETSI CPMs that the on-board unit has checked, such as /etsi_its_conversion/cpm_ts/out; their "
                               "objects are sent as the object lists of the one station `station`; empty: none")
    cpm_station: int = param(0, "station id in the CPMs that this station sends on; others are left out and counted", low=0, high=2**32 - 1)
    cpm_east_deg: float = param(0.0, "direction of east in `map`, degrees", low=-360.0, high=360.0)
    spatem_topic: str = param("", "topic of ETSI SPATEMs that the on-board unit has checked, such as /etsi_its_conversion/spatem_ts/out; "
                                  "their phases are sent by the one station `station`, with `signals` false; empty: none")
    mapem_topic: str = param("", "topic of the MAPEMs with the lanes of the same intersection, such as /etsi_its_conversion/mapem_ts/out")
    intersection: int = param(0, "id of the intersection in SPATEMs and MAPEMs; others are left out and counted", low=0, high=65_535)
    intersection_place: str = param("0 0 0 0 0 0", "place of the MAPEM's reference point in `map`: x y z in metres, roll pitch yaw in "
                                                   "degrees; the yaw is the direction of east")
    signals: bool = param(True, "send the phases of the signals in range, from the port traffic_lights_table")
    jpeg_quality: int = param(80, "quality of the pictures", low=10, high=100)
    max_width: int = param(768, "wider pictures are made so wide, pixels", low=32, high=768)
    picture_period_s: float = param(0.4, "least time between two pictures of a camera, s; with 0.5 a picture is too old before the "
                                         "next one comes", low=0.05, high=10.0)
    objects_period_s: float = param(0.1, "least time between two object lists, s", low=0.05, high=10.0)
    phases_period_s: float = param(0.2, "time between two lists of signal phases, s; of SPATEMs the least time between two that are sent",
                                   low=0.05, high=10.0)
    tf: bool = param(True, TF_TEXT)
    first_sequence: int = param(0, "sequence number of the first message; 0: milliseconds since 1970, so that a station that was started "
                                   "again goes on above its last one", low=0, high=2**62)
    autostart: bool = param(False, "configure and activate without a lifecycle manager")


def channel_settings(params: object) -> ChannelSettings:
    """The settings of the simulated channel among ``params``."""
    return ChannelSettings(**{one.name: getattr(params, CHANNEL + one.name) for one in fields(ChannelSettings)})


def messages_per_s(params: V2xStationParams, station: Station) -> float:
    """How many messages ``station`` sends in a second at most."""
    listed = params.objects_topic or params.cpm_topic or params.bridge_objects_topic
    signals = params.signals or params.spatem_topic
    return (len(station.cameras) / params.picture_period_s + bool(listed) / params.objects_period_s
            + bool(signals) / params.phases_period_s)


def _in_world(graph: Any) -> Mapping[str, Any]:
    """What the world around the node makes of its parameters. The worlds send the stations' frames themselves; CARLA's bridge tells the
    road users, where its messages are installed and no other source is asked for."""
    if graph.world == "builtin":
        return {"tf": False, "first_sequence": 1}
    asked = any(graph.said("v2x_station", name) for name in ("objects_topic", "cpm_topic"))
    told = "" if asked else graph.asked.get("v2x_bridge_objects", "")
    return {"tf": False, **({"objects_topic": "", "bridge_objects_topic": told} if told else {})}


NODE = NodeSpec("v2x_station", "Compresses, signs and sends what roadside stations see.", V2xStationParams, (
    Port(STATIONS, IN, "std_msgs/String", LATCHED, "JSON: the stations of the map; only without parameter `stations`"),
    Port("/carla/<station>/<camera>/image", IN, "sensor_msgs/Image, or sensor_msgs/CompressedImage", ROADSIDE_IMAGE,
         "a roadside camera; parameter `image_topic` names another topic; compressed ones are heard best effort"),
    Port("/carla/<station>/objects", IN, "sensor_msgs/PointCloud2", ROADSIDE,
         "table of road users (ACTOR_DTYPE) in `map`; parameter `objects_topic` names another topic"),
    Port(BRIDGE_OBJECTS, IN, "derived_object_msgs/ObjectArray", STATE,
         "all road users, read at parameter `bridge_objects_topic`; only where it is installed"),
    Port("/etsi_its_conversion/cpm_ts/out", IN, "etsi_its_cpm_ts_msgs/CollectivePerceptionMessage", ROADSIDE,
         "objects, read at parameter `cpm_topic`; only where it is installed"),
    Port("/etsi_its_conversion/spatem_ts/out", IN, "etsi_its_spatem_ts_msgs/SPATEM", ROADSIDE,
         "signal phases, read at parameter `spatem_topic`; only where it is installed"),
    Port("/etsi_its_conversion/mapem_ts/out", IN, "etsi_its_mapem_ts_msgs/MAPEM", ROADSIDE,
         "lanes of the intersection, read at parameter `mapem_topic`; only where it is installed"),
    Port("traffic_lights_table", IN, "sensor_msgs/PointCloud2", LATCHED, "table (SIGNAL_DTYPE); only with parameter `signals`"),
    Port("/radio/<station>/<camera>/image/compressed", OUT, "sensor_msgs/CompressedImage", RADIO, "JPEG; its `data` is what is signed"),
    Port("/radio/<station>/objects", OUT, "sensor_msgs/PointCloud2", RADIO, "the road users in range, the nearest 255"),
    Port("/radio/<station>/phases", OUT, "sensor_msgs/PointCloud2", RADIO, "the signals in range (PHASE_DTYPE)"),
    Port("/radio/<station>/signature", OUT, "std_msgs/String", RADIO, "JSON, before each message: its kind, camera, stamp_ns, sequence "
                                                                      "and signature"),
    STATION_FRAMES,
    DIAGNOSTICS),
    Place(3, lambda graph: hears_roadside(graph) and graph.world != "none", _in_world,
          lambda graph: {"keys": graph.asked.get("v2x_private", ""), "stations": graph.asked.get("v2x_stations", "")}))
