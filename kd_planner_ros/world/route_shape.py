"""Lays a searched route on the ground: points 1 m apart, headings, and CARLA's commands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_planner_ros.core.ego import Command
from kd_planner_ros.geometry.polyline import arc_lengths, at_arc, yaws_along
from kd_planner_ros.world.lane_graph import CHANGE_ROOM_M, LaneGraph, Leg

STEP_M = 1.0
CHANGE_LENGTH_M, SHORTEST_CHANGE_M = 18.0, 5.0
SETTLE_M = 8.0  # driven straight on before a change
_TURNS = {"l": Command.LEFT, "r": Command.RIGHT, "s": Command.STRAIGHT, "t": Command.LEFT}


def lay_route(graph: LaneGraph, legs: list[Leg]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points [N, 2] in ``map``, yaws [N] and commands int8 [N] of the route over ``legs``.

    Inside a junction where there is a choice the command says the turn. A lane change is a smooth crossing of 18 m; as
    in CARLA's planner only its first and its last point carry the command.
    """
    lines, marks = [], []  # marks: (points so far at start, points at end, command)
    total = 0
    for street in _streets(legs):
        line, changes = _street_line(graph, street)
        marks.append((total, total + len(line), _command(graph, street[0].lane)))
        marks += [(total + row, total + row + 1, command) for row, command in changes]
        lines.append(line)
        total += len(line)
    raw = np.concatenate(lines)
    keep = np.concatenate([[True], np.linalg.norm(np.diff(raw, axis=0), axis=1) > 1e-3])
    position = np.cumsum(keep) - 1
    raw = raw[keep]
    if len(raw) < 2:
        return raw, np.zeros(len(raw)), np.full(len(raw), Command.LANE_FOLLOW, np.int8)
    arc = arc_lengths(raw)
    dense_arc = np.linspace(0.0, arc[-1], max(2, int(round(arc[-1] / STEP_M)) + 1))
    points = at_arc(raw, arc, dense_arc)
    return points, yaws_along(points), _commands(marks, position, arc, dense_arc)


def _commands(marks: list, position: np.ndarray, arc: np.ndarray, dense_arc: np.ndarray) -> np.ndarray:
    commands = np.full(len(dense_arc), Command.LANE_FOLLOW, np.int8)
    for first, last, command in marks:
        start, end = arc[position[first]], arc[position[last - 1]]
        if last - first == 1:
            commands[int(np.abs(dense_arc - start).argmin())] = command
        elif command != Command.LANE_FOLLOW:
            commands[(dense_arc >= start) & (dense_arc <= end)] = command
    return commands


def _streets(legs: list[Leg]) -> list[list[Leg]]:
    """Groups legs that are joined by lane changes; drops doubles where one search ended and the next began."""
    streets: list[list[Leg]] = []
    for leg in legs:
        last = streets[-1][-1] if streets else None
        if last and last.lane == leg.lane and not leg.change and abs(leg.start_m - last.end_m) < 0.5:
            streets[-1][-1] = replace(last, end_m=leg.end_m)
        elif last and leg.change:
            streets[-1].append(leg)
        else:
            streets.append([leg])
    return streets


def _command(graph: LaneGraph, name: str) -> Command:
    """The command on a lane: the turn inside a junction where ways part or meet, else LANE_FOLLOW."""
    lane = graph.lanes[name]
    if not lane.junction:
        return Command.LANE_FOLLOW
    inside = [other for other in graph.lanes.values() if other.junction == lane.junction]
    if all(other.turn == "s" for other in inside) or len({other.edge for other in inside}) < 3:
        return Command.LANE_FOLLOW  # the joint of two streets
    return _TURNS[lane.turn]


def _street_line(graph: LaneGraph, street: list[Leg]) -> tuple[np.ndarray, list[tuple[int, Command]]]:
    """The line [N, 2] along one street with its lane changes, and (row, command) where changes start and end."""
    first, last = street[0], street[-1]
    start = first.start_m / max(graph.lengths[first.lane], 1e-6)
    end = last.end_m / max(graph.lengths[last.lane], 1e-6)
    length = max((end - start) * graph.lengths[first.lane], 0.0)
    count = max(2, int(np.ceil(length / 0.5)) + 1)
    share = np.linspace(start, end, count)
    if len(street) == 1:
        return _on(graph, first.lane, share), []
    along = np.linspace(0.0, length, count)
    line, changes = _on(graph, first.lane, share), []
    for number, (begin, each) in enumerate(_changes(graph, street, start, length)):
        leg, before = street[number + 1], street[number]
        t = np.clip((along - begin) / each, 0.0, 1.0)[:, None]
        line = line + (3.0 * t**2 - 2.0 * t**3) * (_on(graph, leg.lane, share) - _on(graph, before.lane, share))
        command = Command.CHANGE_LANE_LEFT if leg.change > 0 else Command.CHANGE_LANE_RIGHT
        rows = np.searchsorted(along, [begin, begin + each])
        changes += [(int(min(row, count - 1)), command) for row in rows]
    return line, changes


def _changes(graph: LaneGraph, street: list[Leg], start: float, length: float) -> list[tuple[float, float]]:
    """Begin and length in metres along the street of each lane change: after the key point it comes from, over
    before the one it leads to, 18 m long where there is room."""
    unit = graph.lengths[street[0].lane]

    def along(leg: Leg, arc_m: float) -> float:
        return (arc_m / max(graph.lengths[leg.lane], 1e-6) - start) * unit

    placed, free = [], SETTLE_M
    for number, leg in enumerate(street[1:], start=1):
        chain = number  # changes that follow one another at once share their room
        while chain + 1 < len(street) and abs(street[chain + 1].start_m - street[chain].by_m) < 1.0:
            chain += 1
        begin = max(min(free, 0.3 * length), along(leg, leg.start_m) - 0.5 * CHANGE_ROOM_M)
        room = min(along(street[chain], street[chain].by_m), length) - begin
        each = max(min(CHANGE_LENGTH_M, 0.95 * room / (chain - number + 1)), SHORTEST_CHANGE_M)
        placed.append((begin, each))
        free = begin + each
    return placed


def _on(graph: LaneGraph, lane: str, share: np.ndarray) -> np.ndarray:
    """Points at ``share`` [N] of the lane's length; shares make neighbouring lanes run side by side in bends."""
    return at_arc(graph.lanes[lane].centre, graph.arcs[lane], share * graph.lengths[lane])
