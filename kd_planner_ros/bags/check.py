"""What a foreign recording holds, and what is wrong with it: topics, clocks, cameras, calibration. Prints nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.kinds import kinds_of
from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.bags.source import Source, as_source
from kd_planner_ros.bags.stamps import Times, Verdict, as_times, header_stamp, judge
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.timeline import Series, empty
from kd_planner_ros.wire.topics import LABELS, WORLD_INFO

MANY = 10
"""Without an ego vehicle, topics with so many messages are judged; fewer are sent once."""
Value = TypeVar("Value")


@dataclass(frozen=True)
class Survey:
    """What one pass over all messages says: the times of the topics with a header, why other topics have none, and the first and last
    bag time in ns."""

    times: Mapping[str, Times]
    faults: Mapping[str, str]
    span: tuple[int, int]


def check(place: Path | Source, uses: Callable[[Recording], Mapping[str, str]] = lambda recording: {}) -> dict[str, Any]:
    """Everything about the recording at ``place``, as JSON values. Its messages are read once; of pictures the first is looked at.

    ``files``, ``duration_s``, ``messages``, ``topics`` (name, type, messages, Hz, first and last stamp in seconds, fault, notes),
    ``faults`` (what makes a topic unreadable, by topic), ``notes`` (what is odd or not read). Where there is an ego vehicle also
    ``role_name``, ``map``, ``cameras``, ``lidars``, ``route_m``, ``stations`` and ``uses``: what the argument of that name says; else
    ``no_ego`` says what is missing.

    Raises:
        BagError: no recording there, or one that cannot be opened or is cut off.
    """
    source = as_source(place)
    with closing(BagFile(source.path)) as file:
        survey = _survey(file)
        found = {"path": str(source.path), "files": [one.name for one in file.files.files], "compression": file.files.compression,
                 "messages": sum(file.counts.values()), "duration_s": (survey.span[1] - survey.span[0]) / 1e9}
        faults = dict(survey.faults)
        try:
            recording = Recording(source, file)
        except BagError as error:
            verdicts: Mapping[str, Verdict] = judge({topic: one for topic, one in survey.times.items() if len(one.stamps) >= MANY}, "")
            found |= {"no_ego": str(error), "notes": [*file.notes, *_told(verdicts)]}
        else:
            recording.times = survey.times
            verdicts = recording.verdicts
            faults = {topic: why for topic in file.kinds if kinds_of(topic) and topic in recording.held
                      and (why := recording.absent(topic))} | faults
            found |= _vehicle(recording, faults)
            if not recording.lacks(recording.topics.odometry):
                _attempt(lambda: recording.timeline, recording.topics.odometry, faults)  # notes what is left out of it
            found["notes"] = list(dict.fromkeys((*recording.notes, *_told(verdicts))))
            found["uses"] = dict(uses(recording))
        faults = {topic: one.fault for topic, one in verdicts.items() if one.fault} | faults
        found["topics"] = [_topic(file, topic, survey.times.get(topic), verdicts.get(topic, Verdict()).notes, faults.get(topic, ""),
                                  found["duration_s"]) for topic in sorted(file.kinds)]
        found["faults"] = dict(sorted(faults.items()))
        return found


def _survey(file: BagFile) -> Survey:
    """All messages, once; so a file that is cut off is found."""
    rows: dict[str, list[tuple[int, int]]] = {topic: [] for topic in file.kinds if file.has_header(topic)}
    faults: dict[str, str] = {}
    first = last = None
    for topic, bag_ns, raw in file.raw(file.kinds):
        first = bag_ns if first is None else first
        last = bag_ns
        if topic in rows:
            try:
                rows[topic].append((bag_ns, header_stamp(raw, topic)))
            except BagError as error:
                faults[topic] = str(error)
                del rows[topic]
    return Survey(as_times(rows), faults, (first or 0, last or 0))


def _told(verdicts: Mapping[str, Verdict]) -> list[str]:
    return [f"{topic}: {note}" for topic, one in verdicts.items() for note in one.notes]


def _topic(file: BagFile, topic: str, times: Times | None, notes: tuple[str, ...], fault: str, seconds: float) -> dict[str, Any]:
    count = file.counts[topic]
    first_s, last_s = (None, None) if times is None else (stamp / 1e9 for stamp in times.span)
    rate_hz = round((count - 1) / seconds, 2) if count > 1 and seconds else 0.0
    return {"name": topic, "type": file.kinds[topic], "messages": count, "hz": rate_hz, "first_s": first_s, "last_s": last_s,
            "fault": fault, "notes": list(notes)}


def _vehicle(recording: Recording, faults: dict[str, str]) -> dict[str, Any]:
    """What concerns the ego vehicle, its sensors and its way; ``faults`` receives what is wrong there, by topic."""
    own = recording.topics
    cameras = [_camera(recording, camera, faults) for camera in recording.cameras]
    route = _attempt(lambda: recording.route, own.route, faults)
    length = None if route is None else float(np.linalg.norm(np.diff(route.points, axis=0), axis=1).sum())
    stations = _attempt(lambda: recording.stations, own.of("stations"), faults) or ()
    return {"role_name": recording.role_name, "map": _attempt(lambda: recording.map_name, WORLD_INFO, faults) or "", "cameras": cameras,
            "lidars": list(recording.clouds), "route_m": length, "stations": [station.id for station in stations]}


def _attempt(read: Callable[[], Value], topic: str, faults: dict[str, str]) -> Value | None:
    try:
        return read()
    except BagError as error:
        faults[topic] = str(error)
        return None


def _camera(recording: Recording, camera: str, faults: dict[str, str]) -> dict[str, Any]:
    """One camera; ``faults`` receives what is wrong with its calibration or its pictures, by topic."""
    topic, info = recording.image_topic(camera), recording.topics.of("camera_info", camera)
    size = spec = None
    if topic not in faults and not recording.absent(topic):
        picture = _attempt(lambda: next((one for _, one in recording.pictures(camera)), None), topic, faults)
        size = None if picture is None else [picture.shape[1], picture.shape[0]]
    try:
        spec = recording.camera_spec(camera)
        if spec is not None and size is not None and [spec.width, spec.height] != size:
            faults[info] = f"{spec.width}x{spec.height}, and the pictures are {size[0]}x{size[1]}"
    except BagError as error:
        faults[info] = f"expected {error.expected}; got {error.got}"
    return {"id": camera, "topic": topic, "size": size, "fov_deg": None if spec is None else spec.fov_deg,
            "labels": [kind for kind in LABELS if recording.has_label(camera, kind)], "without_ego": _without_ego(recording, topic)}


def _without_ego(recording: Recording, topic: str) -> int:
    """Number of pictures at whose stamps there is no odometry."""
    pictures, odometry = recording.placed_times(topic), recording.placed_times(recording.topics.odometry)
    if pictures is None:
        return 0
    stamps = np.zeros(0, np.int64) if odometry is None or recording.lacks(recording.topics.odometry) else np.unique(odometry.stamps)
    ego = Series(stamps, np.zeros(len(stamps))) if len(stamps) else empty()
    return int((ego.at(pictures.stamps) < 0).sum())
