"""The ground truth around the ego at given instants: road users and signals, in recordings of ours and of CARLA's bridge.

Our recorder writes two tables; CARLA's bridge sends object lists and, on change only, the states of its lights.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from kd_planner_ros.bags.decode import truth_tables
from kd_planner_ros.bags.instants import instants
from kd_planner_ros.bags.messages import decoded
from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.scene import SIGNAL_DTYPE
from kd_planner_ros.wire.codec.base import stamp_of
from kd_planner_ros.wire.codec.carla import signals_from_lights
from kd_planner_ros.wire.codec.tables import actors_of
from kd_planner_ros.wire.topics import CARLA_OBJECTS, LIGHT_INFO, LIGHT_STATUS, TRUTH_OBJECTS, TRUTH_SIGNALS


def scenes(recording: Recording) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """(stamp in ns, ACTOR_DTYPE [N], SIGNAL_DTYPE [S]) of every instant whose objects were recorded, in time order.

    Where no lights were recorded the signals are empty.

    Raises:
        BagError: no topic with objects; it says which losses work without them.
    """
    if not recording.lacks(TRUTH_OBJECTS):
        return _ours(recording)
    topic = recording.topics.sensor("objects")
    topic = topic if topic in recording.kinds else CARLA_OBJECTS
    if recording.lacks(topic):
        why = [f"{one}: {recording.lacks(one)}" for one in (TRUTH_OBJECTS, topic) if one in recording.kinds]
        raise BagError(f"{TRUTH_OBJECTS} or {recording.topics.sensor('objects')} in {recording.path}", "; ".join(why) or "neither",
                       "record the objects too; without them imitation, AT, ReviewKD and DPK work, and PlanKD with "
                       "--plankd.no-safe-attention")
    return _carla(recording, topic)


def _ours(recording: Recording) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    wanted = [TRUTH_OBJECTS, *filter(recording.usable, (TRUTH_SIGNALS,))]
    lost = 0

    def lose() -> None:
        nonlocal lost
        lost += 1

    for found in instants(recording.messages(wanted), wanted, (), lose, recording.late_ns(wanted), recording.spread_ns(wanted)):
        actors, signals = truth_tables(found)
        signals = np.zeros(0, SIGNAL_DTYPE) if signals is None else signals
        yield stamp_of(found[TRUTH_OBJECTS]), actors, signals
    if lost:
        recording.notes.append(f"{lost} instants with a message on {TRUTH_OBJECTS} or {TRUTH_SIGNALS} alone are left out")


def _carla(recording: Recording, objects: str) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    statuses: Any = ()
    infos: Any = ()
    wanted = [objects, *filter(recording.usable, (LIGHT_STATUS, LIGHT_INFO))]
    for topic, _, message in recording.messages(wanted):
        if topic == LIGHT_STATUS:
            statuses = message.traffic_lights
        elif topic == LIGHT_INFO:
            infos = message.traffic_lights
        else:
            yield stamp_of(message), decoded(actors_of, message, topic), decoded(partial(signals_from_lights, statuses), infos, LIGHT_INFO)
