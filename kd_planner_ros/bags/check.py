"""What a foreign recording holds, and what is wrong with it: topics, clocks, cameras, calibration. Prints nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags.bag_file import BagFile
from kd_planner_ros.bags.reader import Recording, open_bag
from kd_planner_ros.bags.stamps import Times, Verdict, judge, read_times
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.timeline import Series, empty
from kd_planner_ros.wire.topics import LABELS

MANY = 10
"""Without an ego vehicle, topics with so many messages are judged; fewer are sent once."""


def check(path: Path, role_name: str | None = None) -> dict[str, Any]:
    """Everything about the recording at ``path``, as JSON values.

    ``files``, ``duration_s``, ``messages``, ``topics`` (name, type, messages, Hz, first and last stamp in seconds, fault, notes),
    ``faults`` (what makes a topic unreadable, by topic), ``notes`` (what is odd or not read). Where there is an ego vehicle also
    ``role_name``, ``map``, ``cameras``, ``lidars``, ``route_m`` and ``stations``; else ``no_ego`` says what is missing.

    Raises:
        BagError: no recording there, or one that cannot be opened or is cut off.
    """
    with closing(BagFile(path)) as file:
        times = read_times(file, file.kinds)
        span = _span(file)
        found = {"path": str(path), "files": [one.name for one in file.files.files], "compression": file.files.compression,
                 "messages": sum(file.counts.values()), "duration_s": (span[1] - span[0]) / 1e9, "notes": list(file.notes)}
        try:
            with open_bag(path, role_name) as recording:
                verdicts: Mapping[str, Verdict] = recording.verdicts
                found |= _vehicle(recording, times)
                found["notes"] = list(dict.fromkeys((*recording.notes, *_told(verdicts))))
        except BagError as error:
            verdicts = judge({topic: one for topic, one in times.items() if len(one.stamps) >= MANY}, "")
            found |= {"no_ego": str(error), "notes": [*file.notes, *_told(verdicts)]}
        found["topics"] = [_topic(file, topic, times.get(topic), verdicts.get(topic, Verdict()), found["duration_s"])
                           for topic in sorted(file.kinds)]
        found["faults"] = {topic: one.fault for topic, one in sorted(verdicts.items()) if one.fault} | found.pop("calibration", {})
    return found


def _told(verdicts: Mapping[str, Verdict]) -> list[str]:
    return [f"{topic}: {note}" for topic, one in verdicts.items() for note in one.notes]


def _span(file: BagFile) -> tuple[int, int]:
    """First and last bag time in ns; all messages are read, so a file that is cut off is found."""
    first = last = 0
    for number, (_, bag_ns, _) in enumerate(file.raw(file.kinds)):
        first, last = (bag_ns if not number else min(first, bag_ns)), max(last, bag_ns)
    return first, last


def _topic(file: BagFile, topic: str, times: Times | None, verdict: Verdict, seconds: float) -> dict[str, Any]:
    count = file.counts[topic]
    first_s, last_s = (None, None) if times is None else (stamp / 1e9 for stamp in times.span)
    rate_hz = round((count - 1) / seconds, 2) if count > 1 and seconds else 0.0
    return {"name": topic, "type": file.kinds[topic], "messages": count, "hz": rate_hz, "first_s": first_s, "last_s": last_s,
            "fault": verdict.fault, "notes": list(verdict.notes)}


def _vehicle(recording: Recording, times: Mapping[str, Times]) -> dict[str, Any]:
    """What concerns the ego vehicle, its sensors and its way."""
    calibration: dict[str, str] = {}
    cameras = [_camera(recording, camera, times, calibration) for camera in recording.cameras]
    try:
        route = recording.route
    except BagError as error:
        calibration[recording.topics.route], route = str(error), None
    length = None if route is None else float(np.linalg.norm(np.diff(route.points, axis=0), axis=1).sum())
    return {"role_name": recording.role_name, "map": recording.map_name, "cameras": cameras, "lidars": list(recording.clouds),
            "route_m": length, "stations": [station.id for station in recording.stations], "calibration": calibration}


def _camera(recording: Recording, camera: str, times: Mapping[str, Times], faults: dict[str, str]) -> dict[str, Any]:
    """One camera; ``faults`` receives what is wrong with its calibration or its pictures, by topic."""
    topic, info = recording.image_topic(camera), recording.topics.of("camera_info", camera)
    size = spec = None
    try:
        picture = next(_first_picture(recording, camera), None)
        size = None if picture is None else [picture.shape[1], picture.shape[0]]
    except BagError as error:
        faults[topic] = str(error)
    try:
        spec = recording.camera_spec(camera)
        if spec is not None and size is not None and [spec.width, spec.height] != size:
            faults[info] = f"{spec.width}x{spec.height}, and the pictures are {size[0]}x{size[1]}"
    except BagError as error:
        faults[info] = f"expected {error.expected}; got {error.got}"
    return {"id": camera, "topic": topic, "size": size, "fov_deg": None if spec is None else spec.fov_deg,
            "labels": [kind for kind in LABELS if recording.has_label(camera, kind)],
            "without_ego": _without_ego(recording, times.get(topic), times.get(recording.topics.odometry))}


def _first_picture(recording: Recording, camera: str) -> Iterator[np.ndarray]:
    for _, picture in recording.pictures(camera):
        yield picture


def _without_ego(recording: Recording, pictures: Times | None, odometry: Times | None) -> int:
    """Number of pictures at whose stamps there is no odometry."""
    if pictures is None:
        return 0
    ego = empty() if odometry is None or recording.lacks(recording.topics.odometry) else Series(
        np.unique(odometry.stamps), np.zeros(len(np.unique(odometry.stamps))))
    return int((ego.at(pictures.stamps) < 0).sum())
