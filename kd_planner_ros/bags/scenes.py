"""The ground truth around the ego at given instants: road users and signals, in recordings of ours and of CARLA's bridge.

Our recorder writes two tables; CARLA's bridge sends object lists and, on change only, the states of its lights.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from kd_planner_ros.bags.decode import truth_tables
from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.scene import SIGNAL_DTYPE
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.carla import actors_from_objects, signals_from_lights
from kd_planner_ros.wire.topics import TRUTH_OBJECTS, TRUTH_SIGNALS

LIGHT_STATUS, LIGHT_INFO = "/carla/traffic_lights/status", "/carla/traffic_lights/info"


def scenes(recording: Recording) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(stamp in ns, ACTOR_DTYPE [N], SIGNAL_DTYPE [S]) of every instant whose objects were recorded, in time order.

    Where no lights were recorded the signals are empty.

    Raises:
        BagError: no topic with objects; it says which losses work without them.
    """
    if not recording.lacks(TRUTH_OBJECTS):
        return _ours(recording)
    topic = recording.topics.sensor("objects")
    topic = topic if topic in recording.kinds else "/carla/objects"
    if recording.lacks(topic):
        why = [f"{one}: {recording.lacks(one)}" for one in (TRUTH_OBJECTS, topic) if one in recording.kinds]
        raise BagError(f"{TRUTH_OBJECTS} or {recording.topics.sensor('objects')} in {recording.path}", "; ".join(why) or "neither",
                       "record the objects too; without them imitation, AT, ReviewKD and DPK work, and PlanKD with "
                       "--plankd.no-safe-attention")
    return _carla(recording, topic)


def _ours(recording: Recording) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    wanted = [topic for topic in (TRUTH_OBJECTS, TRUTH_SIGNALS) if not recording.lacks(topic)]
    found: dict[str, Any] = {}
    for topic, _, message in recording.messages(wanted):
        stamp = stamp_of(message)
        if any(abs(stamp_of(other) - stamp) > STAMP_TOLERANCE_NS for other in found.values()):
            found = {}
        found[topic] = message
        if len(found) == len(wanted):
            actors, signals = truth_tables(found)
            signals = np.zeros(0, SIGNAL_DTYPE) if signals is None else signals
            yield stamp_of(found[TRUTH_OBJECTS]), actors, signals
            found = {}


def _carla(recording: Recording, objects: str) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    statuses: Any = ()
    infos: Any = ()
    wanted = [topic for topic in (objects, LIGHT_STATUS, LIGHT_INFO) if topic in recording.kinds]
    for topic, _, message in recording.messages(wanted):
        if topic == LIGHT_STATUS:
            statuses = message.traffic_lights
        elif topic == LIGHT_INFO:
            infos = message.traffic_lights
        else:
            yield stamp_of(message), actors_from_objects(message.objects), signals_from_lights(statuses, infos)
