"""Every topic, declared once: its name in a graph and in a recording, its messages, and how they become records.

To add a topic, add one entry to ``CHANNELS``. Then ``BagWriter.put`` writes it, ``Recording.records`` reads it, and a node's
adapter sends and reads it (``Adapter.to_msg``, ``Adapter.from_msg``); both families of message classes are covered, and the
contract test runs over every entry that it has a sample for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.wire.codec import dense, motion, pictures, plans, radio, roadside, tables, words

Encode = Callable[[Any, Any, int, str], Any]
"""(make, record, stamp in ns, frame id) -> message."""
Decode = Callable[[Any], Any]
"""message -> record. Raises SensorError."""


@dataclass(frozen=True)
class Channel:
    """One topic, or one topic of every sensor.

    Args:
        topic: its name in a recording, with ``{role}`` and ``{sensor}`` to be filled in.
        kind: the message type that is always available.
        encode, decode: between record and message.
        frame: the sensor whose frame id the header has, with ``{sensor}`` to be filled in; "" is the vehicle, None is ``map``.
        latched: whether late subscribers get the last message.
        others: further message types, preferred where their package is installed, each with its ``encode``.
    """

    topic: str
    kind: str
    encode: Encode
    decode: Decode
    frame: str | None = ""
    latched: bool = False
    others: tuple[tuple[str, Encode], ...] = ()

    def format(self, available: Callable[[str], bool]) -> tuple[str, Encode]:
        """(message type, encode): the first of ``others`` that is ``available``, else the common one."""
        return next((one for one in self.others if available(one[0])), (self.kind, self.encode))


def _camera(suffix: str, encode: Encode, decode: Decode, kind: str = pictures.IMAGE) -> Channel:
    return Channel("/carla/{role}/{sensor}" + suffix + "/image", kind, encode, decode, "{sensor}" + suffix)


def _dense(kind: str) -> Channel:
    return Channel("/carla/{role}/perception/{sensor}", pictures.IMAGE, dense.dense, lambda m: dense.dense_of(m, kind), "{sensor}")


CHANNELS = {
    "clock": Channel("/clock", motion.CLOCK, motion.clock, motion.clock_of),
    "tf": Channel("/tf", motion.TRANSFORMS, motion.transforms, motion.mounts_of),
    "tf_static": Channel("/tf_static", motion.TRANSFORMS, motion.transforms, motion.mounts_of, latched=True),
    "odometry": Channel("/carla/{role}/odometry", motion.ODOMETRY, motion.odometry, motion.ego_of),
    "speedometer": Channel("/carla/{role}/speedometer", motion.SPEED, motion.speed, motion.speed_of,
                           others=((motion.SPEEDOMETER, motion.carla_speed),)),
    "imu": Channel("/carla/{role}/imu", motion.IMU, motion.imu, motion.imu_of, "imu"),
    "gnss": Channel("/carla/{role}/gnss", motion.GNSS, motion.gnss, motion.fix_of, "gnss"),
    "control": Channel("/carla/{role}/vehicle_control_cmd", motion.NAMED, motion.control, motion.control_of,
                       others=((motion.CONTROL, motion.carla_control),)),
    "route": Channel("/carla/{role}/global_plan", tables.TABLE, tables.route, tables.route_of, None, True,
                     ((tables.CARLA_ROUTE, tables.carla_route),)),
    "waypoints": Channel("/carla/{role}/waypoints", tables.PATH, tables.waypoints, tables.route_of, None, True),
    "objects": Channel("/truth/objects", tables.TABLE, tables.table, tables.actors_of, None),
    "traffic_lights": Channel("/truth/signals", tables.TABLE, tables.table, tables.signals_of, None),
    "state": Channel("/truth/state", motion.NAMED, motion.named, motion.named_of),
    "captions": Channel("/truth/captions", roadside.TEXT, words.captions, words.captions_of, None),
    "cloud": Channel("/carla/{role}/{sensor}", tables.TABLE, tables.cloud, tables.cloud_of, "{sensor}"),
    "camera_info": Channel("/carla/{role}/{sensor}/camera_info", pictures.CAMERA_INFO, pictures.camera_info, pictures.camera_of,
                           "{sensor}"),
    "image": _camera("", pictures.rgb, pictures.rgb_of),
    "depth": _camera("_depth", pictures.depth, pictures.depth_of),
    "semantic": _camera("_semantic", pictures.class_colours, pictures.label_of),
    "instance": _camera("_instance", pictures.instances, pictures.label_of),
    "class_ids": Channel("/truth/{sensor}/semantic", pictures.IMAGE, pictures.classes, pictures.label_of, "{sensor}"),
    "compressed": Channel("/carla/{role}/{sensor}/image/compressed", pictures.COMPRESSED, pictures.compressed, pictures.rgb_of,
                          "{sensor}"),
    "station_objects": Channel("/carla/{role}/objects", tables.TABLE, tables.table, tables.actors_of, None),
    "stations": Channel("/carla/stations", roadside.TEXT, roadside.stations, roadside.stations_of, None, True),
    "radio_picture": Channel("/radio/{role}/{sensor}/image/compressed", pictures.COMPRESSED, radio.picture, radio.payload_of, "{sensor}"),
    "radio_objects": Channel("/radio/{role}/objects", tables.TABLE, radio.objects, radio.payload_of, None),
    "radio_phases": Channel("/radio/{role}/phases", tables.TABLE, radio.phases, radio.payload_of, None),
    "radio_signature": Channel("/radio/{role}/signature", radio.TEXT, radio.signature, radio.signature_of, None),
    "v2x_stations": Channel("/v2x/stations", roadside.TEXT, roadside.stations, roadside.stations_of, None, True),
    "v2x_objects": Channel("/v2x/objects", tables.TABLE, radio.reported, radio.reported_of, None),
    "v2x_phases": Channel("/v2x/phases", tables.TABLE, tables.table, radio.phases_of, None),
    "v2x_silent": Channel("/v2x/silent", tables.TABLE, tables.table, radio.silent_of, None),
    "v2x_state": Channel("/v2x/state", radio.TEXT, radio.state, radio.state_of, None, True),
    "map_lines": Channel("/truth/map_lines", tables.TABLE, tables.table, roadside.map_lines_of, None, True),
    "plan": Channel("/carla/{role}/planner/plan", tables.TABLE, plans.plan, plans.plan_of),
    "candidates": Channel("/carla/{role}/planner/candidates", tables.TABLE, plans.candidates, plans.candidates_of),
    "detections": Channel("/carla/{role}/planner/detections", tables.TABLE, plans.detections, plans.detections_of),
    "lines": Channel("/carla/{role}/planner/lines", tables.TABLE, plans.lines, plans.lines_of),
    "attention": Channel("/carla/{role}/planner/attention", pictures.IMAGE, pictures.weights, plans.attention_of, "{sensor}"),
    **{f"dense_{kind}": _dense(kind) for kind in dense.DENSE_ENCODINGS},
    "perception_twist": Channel("/carla/{role}/perception/twist", motion.TWIST, motion.twist, motion.twist_of),
    "perception_points": Channel("/carla/{role}/perception/points", tables.TABLE, tables.coloured, tables.coloured_of, "{sensor}"),
    "scalars": Channel("/carla/{role}/perception/scalars", motion.NAMED, motion.named, motion.named_of),
}
"""Port -> topic."""


def find_channel(name: str) -> Channel:
    """The channel ``name``.

    Raises:
        ConfigError: there is none; the known ones are named.
    """
    if name not in CHANNELS:
        raise ConfigError(f"a channel out of {', '.join(CHANNELS)}", repr(name), "use one of them, or add an entry to wire/channels.py")
    return CHANNELS[name]
