"""Which message types a topic may have: those that its channel's decoder reads, or another with the same fields."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from kd_planner_ros.bags.messages import Field, known_fields
from kd_planner_ros.wire.channels import CHANNELS
from kd_planner_ros.wire.codec.carla import LIGHT_INFOS, LIGHT_STATES, OBJECTS
from kd_planner_ros.wire.codec.pictures import COMPRESSED, depth_of, label_of
from kd_planner_ros.wire.codec.tables import TABLE, actors_of
from kd_planner_ros.wire.topics import CARLA_OBJECTS, LIGHT_INFO, LIGHT_STATUS, WORLD_INFO

WORLD = "carla_msgs/msg/CarlaWorldInfo"
_OTHERS = {WORLD_INFO: (WORLD,), LIGHT_STATUS: (LIGHT_STATES,), LIGHT_INFO: (LIGHT_INFOS,), CARLA_OBJECTS: (OBJECTS, TABLE)}
"""Topics of CARLA's bridge that are no channels."""


def kinds_of(topic: str) -> tuple[str, ...]:
    """Message types that can be read on ``topic``; none for topics that this package does not know."""
    if topic in _OTHERS:
        return _OTHERS[topic]
    return next((kinds for pattern, kinds in _patterns() if pattern.fullmatch(topic)), ())


def fits(kind: str, fields: frozenset[Field], wanted: Sequence[str]) -> bool:
    """Whether messages of type ``kind`` with these fields can be read where types ``wanted`` can: it is one of them, or has all fields of
    one."""
    return not wanted or kind in wanted or any(known_fields()[one] <= fields for one in wanted)


@lru_cache
def _patterns() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """A pattern of topic names for each channel and the types there; those that say most come first."""
    by_decoder: dict[object, list[str]] = {label_of: [COMPRESSED], depth_of: [COMPRESSED], actors_of: [OBJECTS]}
    for channel in CHANNELS.values():
        by_decoder.setdefault(channel.decode, []).extend((channel.kind, *(kind for kind, _ in channel.others)))
    found = []
    for channel in sorted(CHANNELS.values(), key=lambda one: -len(re.sub(r"\{\w+\}", "", one.topic))):
        pattern = re.escape(channel.topic).replace(r"\{role\}", "[^/]+").replace(r"\{sensor\}", ".+")
        found.append((re.compile(pattern), tuple(dict.fromkeys(by_decoder[channel.decode]))))
    return tuple(found)
