"""Which recorded topics a replay plays for the models of a graph, and under which names their nodes hear them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from kd_planner_ros.bags.cameras import recorded_names, require_calibration
from kd_planner_ros.bags.reader import Recording, require_enough
from kd_planner_ros.bags.roadside import roadside_topics
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.ros.profiles import Profile
from kd_planner_ros.wire.codec.motion import TRANSFORMS
from kd_planner_ros.wire.topics import TF, TF_STATIC


def needed_topics(recording: Recording, rig: SensorRig, perceiver: str = "",
                  own: Mapping[str, str] = MappingProxyType({})) -> tuple[dict[str, str], str]:
    """Types of the topics that the graph reads, by name, and the topic whose messages trigger plans. What stations sent is
    among them where the planner asks for views; those, the cameras' calibrations, the transforms and sensors that may be missing are
    missing where they were not recorded.

    Args:
        perceiver: the name of the perceiver, some of whose sensors ``rig`` has under names of their own.
        own: these names, by the sensor's id in the perceiver.

    Raises:
        BagError: one of them was not recorded, a camera's pictures have another size or calibration, or there is no route for a
            planner that cannot do without.
    """
    rig = _with_recorded(recording, rig)
    _require_perceivers(recording, rig, perceiver, own)
    names = _cameras(recording, rig)
    cameras = [recording.image_topic(name) for name in names]
    lidars = [recording.topics.sensor(spec.id) for spec in rig.lidars]
    wanted = [*cameras, *lidars, recording.topics.odometry]
    for topic in wanted:
        recording.require(topic, "record the sensors that this planner declares, say which camera is which with --camera NAME=RECORDED, or "
                          f"choose another planner; the recording has the cameras {', '.join(recording.cameras) or 'none'} and the LiDARs "
                          f"{', '.join(recording.clouds) or 'none'}")
    for spec, name in zip(rig.cameras, names, strict=True):
        found = recording.camera_spec(name)
        if found is not None and (found.width, found.height) != (spec.width, spec.height):
            raise BagError(f"pictures of {spec.width}x{spec.height} from camera '{name}' in {recording.path}",
                           f"{found.width}x{found.height}", "choose a planner made for them, or record with --width and --height")
    require_calibration(recording, rig)
    if rig.needs_route and recording.route is None and not rig.route_optional:
        raise BagError(f"{recording.topics.route} in {recording.path}", "no route",
                       "record the route too, or choose a planner that needs none")
    heard = [*(recording.topics.of("camera_info", name) for name in names), TF, TF_STATIC]
    heard += roadside_topics(recording.stations, recording.held) if rig.roadside is not None else ()
    return {topic: recording.kinds[topic] for topic in (*wanted, *filter(recording.usable, heard))}, wanted[0]


def _require_perceivers(recording: Recording, rig: SensorRig, perceiver: str, own: Mapping[str, str]) -> None:
    """Refuse a recording without a sensor that the perceiver has beside another one of the same id: nobody has named it before."""
    for sensor, name in own.items():
        camera = next((spec for spec in rig.cameras if spec.id == name), None)
        topic = recording.topics.sensor(name) if camera is None else recording.image_topic(name)
        if name in rig.optional or not recording.lacks(topic):
            continue
        kind = "LiDAR" if camera is None else f"{camera.width}x{camera.height} camera"
        raise BagError(f"a {kind} for '{sensor}' of the perceiver '{perceiver}', other than the planner's '{sensor}', in {recording.path}",
                       f"none called '{name}'; the recording has the cameras {', '.join(recording.cameras) or 'none'} and the LiDARs "
                       f"{', '.join(recording.clouds) or 'none'}", f"say which one it is with --camera {name}=RECORDED, choose a perceiver "
                       "or a planner made for the recorded ones, or leave --perception out")


def _with_recorded(recording: Recording, rig: SensorRig) -> SensorRig:
    """``rig`` without the sensors that may be missing and were not recorded; they are noted."""
    topics = {spec.id: recording.image_topic(spec.id) for spec in rig.cameras} | {
        spec.id: recording.topics.sensor(spec.id) for spec in rig.lidars}
    lost = [name for name in rig.optional if not recording.usable(topics[name])]
    recording.notes += [f"nothing of sensor '{name}' was recorded: the planner goes without" for name in lost]
    cameras, lidars = ((one for one in sensors if one.id not in lost) for sensors in (rig.cameras, rig.lidars))
    require_enough(recording, [spec.id for spec in rig.cameras if spec.id not in lost], rig)
    return replace(rig, cameras=tuple(cameras), lidars=tuple(lidars), optional=tuple(one for one in rig.optional if one not in lost))


def _cameras(recording: Recording, rig: SensorRig) -> tuple[str, ...]:
    return recorded_names(recording, tuple(spec.id for spec in rig.cameras))


def with_cameras(profile: Profile, recording: Recording, rig: SensorRig) -> Profile:
    """``profile`` in which the cameras of ``rig`` have the topics that they were recorded under."""
    names = map(recording.topics.recorded, _cameras(recording, rig))
    own = {f"{spec.id}/{topic}": f"{name}/{topic}" for spec, name in zip(rig.cameras, names, strict=True)
           for topic in ("image", "camera_info")}
    return replace(profile, topics={**profile.topics, **own})


def playable(topics: dict[str, str], player: Any, recording: Recording) -> dict[str, str]:
    """``topics`` that can be played here: transforms where their package is installed."""
    lost = [topic for topic, kind in topics.items() if kind == TRANSFORMS and not player.has_transforms]
    recording.notes += [f"{topic} is not played: {TRANSFORMS} is not installed, mountings are not compared" for topic in lost]
    return {topic: kind for topic, kind in topics.items() if topic not in lost}


def renamed(recording: Recording, rig: SensorRig) -> dict[str, str]:
    """The recorded names of the cameras of ``rig`` that have another one."""
    names = zip(rig.cameras, map(recording.topics.recorded, _cameras(recording, rig)), strict=True)
    return {spec.id: name for spec, name in names if spec.id != name}
