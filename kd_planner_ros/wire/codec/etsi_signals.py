"""ETSI's signal phases (SPATEM) and lanes of an intersection (MAPEM), TS 103 301, as etsi_its_spatem_ts_msgs and
etsi_its_mapem_ts_msgs have them, read as signal phases of our own.

A SPATEM names signal groups; which lane a group is for, and where that lane's stop line is, says the MAPEM of the same intersection.
Neither carries a signature here: whoever reads them must know that the on-board unit has checked them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple

import numpy as np

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.scene import LightState
from kd_planner_ros.core.v2x import PHASE_DTYPE

SPATEM, MAPEM = "etsi_its_spatem_ts_msgs/msg/SPATEM", "etsi_its_mapem_ts_msgs/msg/MAPEM"
NS = 1_000_000_000
_STATES = {3: LightState.RED, 4: LightState.RED, 5: LightState.GREEN, 6: LightState.GREEN, 7: LightState.YELLOW, 8: LightState.YELLOW}
"""MovementPhaseState: stop and remain, pre-movement, both movements allowed, both clearances. All others (dark, flashing, unknown) say
nothing that a car could rely on: OFF."""
_FREEST = (LightState.GREEN, LightState.YELLOW, LightState.RED, LightState.OFF)
_NODES, _XY_CHOICES = 0, 6
_UNKNOWN_MARK, _UNKNOWN_MINUTE, _MS_A_MINUTE, _HOUR_S, _PASSED_S = 36_000, 527_040, 60_000, 3600.0, 1800.0
COMPUTED, LAT_LON, NO_GROUP = "lanes computed from others", "lanes in degrees", "lanes without a signal group"
SEVERAL, NO_STATE, NO_TIME = "lanes of several signal groups", "lanes whose groups have no state", "messages without a time"
SOME_STATE = "lanes of which one signal group has no state"


class StopLine(NamedTuple):
    """Where a lane ends at the intersection: x, y in ``map``, the direction of its traffic, and the signal groups of its connections."""

    x: float
    y: float
    yaw: float
    groups: tuple[int, ...]


class Lanes(NamedTuple):
    """The lanes of one intersection that a signal is for, by lane id; ``notes`` counts those that were left out."""

    lines: Mapping[int, StopLine]
    notes: Counter[str]


class Phases(NamedTuple):
    """PHASE_DTYPE [P], one row a lane, at ``stamp_ns`` (Unix time); ``notes`` counts what was left out or lacked something."""

    stamp_ns: int
    rows: np.ndarray
    notes: Counter[str]


def lanes_of(message: Any, intersection: int, reference: Pose) -> Lanes | None:
    """The stop lines in a MAPEM of ``intersection``, whose reference point is at ``reference`` in ``map``; its yaw is the direction of
    east. None where the message is about others."""
    if not message.map.intersections_is_present:
        return None
    for one in message.map.intersections.array:
        if int(one.id.id.value) == intersection:
            notes: Counter[str] = Counter()
            found = {int(lane.lane_id.value): line for lane in one.lane_set.array if _leads_in(lane)
                     if (line := _stop_line(lane, reference, notes)) is not None}
            return Lanes(found, notes)
    return None


def _leads_in(lane: Any) -> bool:
    """Whether traffic comes to the intersection on it: the first bit of a string of two, in the highest bit of its byte."""
    return len(lane.lane_attributes.directional_use.value) > 0 and bool(int(lane.lane_attributes.directional_use.value[0]) & 0x80)


def _stop_line(lane: Any, reference: Pose, notes: Counter[str]) -> StopLine | None:
    """The first node lies at the stop line, the second one before it: each in centimetres from the one before."""
    groups = tuple(sorted({int(one.signal_group.value) for one in lane.connects_to.array if one.signal_group_is_present}
                          if lane.connects_to_is_present else ()))
    lacking = NO_GROUP if not groups else COMPUTED if int(lane.node_list.choice) != _NODES else ""
    nodes = () if lacking else lane.node_list.nodes.array[:2]
    if not lacking and any(int(node.delta.choice) >= _XY_CHOICES for node in nodes):
        lacking = LAT_LON
    if lacking:
        notes[lacking] += 1
        return None
    (east, north), (back_east, back_north) = (_offset_m(node.delta) for node in nodes)
    c, s = math.cos(reference.yaw), math.sin(reference.yaw)
    yaw = math.remainder(math.atan2(-back_north, -back_east) + reference.yaw, math.tau)
    return StopLine(reference.x + c * east - s * north, reference.y + s * east + c * north, yaw, groups)


def _offset_m(delta: Any) -> tuple[float, float]:
    point = getattr(delta, f"node_xy{int(delta.choice) + 1}")
    return int(point.x.value) / 100.0, int(point.y.value) / 100.0


def phases_of(message: Any, intersection: int, lines: Mapping[int, StopLine], now_ns: int) -> Phases | None:
    """The phases in a SPATEM of the lanes in ``lines``; ``now_ns`` (Unix time) tells the year, which the message does not. None where
    it is about other intersections.

    A lane of several groups, such as straight on and left, gets the freest of their states: which one the car obeys is not known here.
    It is RED only where all of its groups are: a group without a state, or dark, may be the one that the car obeys.
    """
    for one in message.spat.intersections.array:
        if int(one.id.id.value) != intersection:
            continue
        notes: Counter[str] = Counter()
        stamp_ns = _stamp_ns(one, now_ns, notes)
        states = dict(_states(one, stamp_ns))
        rows = [row for lane, line in sorted(lines.items()) if (row := _row(intersection, lane, line, states, notes)) is not None]
        return Phases(stamp_ns, np.array(rows, PHASE_DTYPE), notes)
    return None


def _row(intersection: int, lane: int, line: StopLine, states: Mapping[int, tuple[LightState, float]], notes: Counter[str]) -> Any:
    known = [states[group] for group in line.groups if group in states]
    if not known:
        notes[NO_STATE] += 1
        return None
    notes[SEVERAL] += len(line.groups) > 1
    notes[SOME_STATE] += len(known) < len(line.groups)
    state, end_s = min(known, key=lambda one: _FREEST.index(one[0]))
    if state == LightState.RED and (len(known) < len(line.groups) or any(other == LightState.OFF for other, _ in known)):
        state, end_s = LightState.OFF, math.nan
    return intersection << 8 | lane, state, end_s, line.x, line.y, line.yaw


def _states(one: Any, stamp_ns: int) -> Iterator[tuple[int, tuple[LightState, float]]]:
    """(signal group, (its present state, seconds until that may end; NaN: unknown))."""
    for movement in one.states.array:
        if len(movement.state_time_speed.array):
            event = movement.state_time_speed.array[0]
            mark = int(event.timing.min_end_time.value) if event.timing_is_present else _UNKNOWN_MARK
            yield int(movement.signal_group.value), (_STATES.get(int(event.event_state.value), LightState.OFF), _left_s(mark, stamp_ns))


def _left_s(mark: int, stamp_ns: int) -> float:
    """Seconds from ``stamp_ns`` to a mark in tenths of a second of the hour; 0 where it has just passed."""
    if mark >= _UNKNOWN_MARK:
        return math.nan
    left_s = (mark / 10.0 - stamp_ns % round(_HOUR_S * NS) / NS) % _HOUR_S
    return left_s if left_s < _PASSED_S else 0.0


def _stamp_ns(one: Any, now_ns: int, notes: Counter[str]) -> int:
    """When the message was made: minute of the year and milliseconds of the minute, in the year that is nearest to ``now_ns``."""
    known = one.moy_is_present and one.time_stamp_is_present
    if not known or int(one.moy.value) >= _UNKNOWN_MINUTE or int(one.time_stamp.value) > _MS_A_MINUTE:
        notes[NO_TIME] += 1
        return now_ns
    since_ns = int(one.moy.value) * 60 * NS + int(one.time_stamp.value) * (NS // 1000)
    year = datetime.fromtimestamp(now_ns / NS, timezone.utc).year
    candidates = [round(datetime(other, 1, 1, tzinfo=timezone.utc).timestamp()) * NS + since_ns for other in (year - 1, year, year + 1)]
    return min(candidates, key=lambda stamp_ns: abs(stamp_ns - now_ns))
