"""Reads a SUMO network into a RoadMap: lanes with their successors and paint, junction outlines, signals, stop
signs."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from kd_planner_ros.core.errors import MapError
from kd_planner_ros.core.road import Lane, RoadMap
from kd_planner_ros.world.map_files import map_content, map_root, require_right_hand_net
from kd_planner_ros.world.net_mend import mended
from kd_planner_ros.world.sites import signal_sites, stop_sites

TURN_ANGLE_RAD = np.radians(35.0)  # CARLA's GlobalRoutePlanner: less is straight on
U_TURN_RAD = np.radians(150.0)
FARTHEST_M, WIDEST_M, FASTEST_MPS = 1e6, 1000.0, 1000.0
SLOWEST_DRIVING_MPS = 2.0  # OpenDRIVE parking lanes come with 1.39 m/s


def read_net(path: Path, name: str, source: Path | None = None) -> RoadMap:
    """The road network in the SUMO file ``path``, in ``map`` coordinates. Errors name ``source``, the user's own file, where ``path``
    was made from it.

    Raises:
        MapError: the file is missing, no SUMO network, has left-hand traffic, or no lane a car may drive on.
    """
    import sumolib

    source = source or path
    content = map_content(path)
    root = map_root(content, source, "net")
    require_right_hand_net(root, source)
    try:
        file = mended(path, content, root)
        net = sumolib.net.readNet(str(file), withInternal=True, withPedestrianConnections=True)
        offset = np.array(net.getLocationOffset(), float)
        lanes = {lane.id: lane for lane in _lanes(net, offset)}
        lanes.update((lane.id, lane) for lane in _pavement_corners(net, lanes))
        junctions = {node.getID(): np.array([p[:2] for p in node.getShape()], float) - offset
                     for node in net.getNodes() if len(node.getShape()) >= 3}
        signals, stops = signal_sites(net, lanes, junctions), stop_sites(net, lanes)
    except MapError:
        raise
    except Exception as error:  # noqa: BLE001  sumolib and its XML parser raise whatever comes
        raise MapError(f"a SUMO network in {source}", f"{type(error).__name__}: {error}".splitlines()[0],
                       "build the file again with netconvert") from None
    if not any(lane.kind == "driving" and not lane.junction for lane in lanes.values()):
        raise MapError(f"a lane for cars in {source}", f"{len(lanes)} lanes of other kinds",
                       "name a network with lanes for cars")
    _require_possible(lanes, source)
    return RoadMap(name, str(file), offset, lanes, junctions, signals, stops)


def _require_possible(lanes: dict[str, Lane], source: Path) -> None:
    """Refuse lanes whose numbers cannot be: places and lengths are walked along metre by metre.

    Raises:
        MapError: a centre line is not finite or farther than 1000 km away, or a width or speed is not finite or below 0.
    """
    for lane in lanes.values():
        if not np.all(np.abs(lane.centre) <= FARTHEST_M):
            raise MapError(f"lanes within {FARTHEST_M:.0f} m of the origin in {source}", f"lane {lane.id} with {_outlier(lane.centre)}",
                           "build the file again with netconvert")
        if not (0.0 <= lane.width <= WIDEST_M and 0.0 <= lane.speed_mps <= FASTEST_MPS):
            raise MapError(f"lanes of 0 to {WIDEST_M:.0f} m and 0 to {FASTEST_MPS:.0f} m/s in {source}",
                           f"lane {lane.id} with {lane.width:g} m and {lane.speed_mps:g} m/s", "build the file again with netconvert")


def _outlier(centre: np.ndarray) -> str:
    """The first point of ``centre`` [N, 2] that lies too far away, for a sentence."""
    x, y = centre[~(np.abs(centre) <= FARTHEST_M).all(axis=1)][0]
    return f"a point at ({x:g}, {y:g})"


def _kind(edge, lane) -> str:
    if edge.getFunction() == "crossing":
        return "crossing"
    if lane.allows("passenger"):
        return "driving" if lane.getSpeed() > SLOWEST_DRIVING_MPS else "shoulder"
    return "sidewalk" if lane.allows("pedestrian") else "shoulder"


def _centre(points, offset: np.ndarray) -> np.ndarray:
    """Centre line without repeated points; a degenerate one keeps two points a hair apart."""
    line = np.array([p[:2] for p in points], float) - offset
    keep = np.concatenate([[True], np.linalg.norm(np.diff(line, axis=0), axis=1) > 0.02])
    short = line[keep]
    return short if len(short) > 1 else np.stack([line[0], line[0] + [0.02, 0.0]])


def _successors(lane) -> tuple[str, ...]:
    found = []
    for connection in lane.getOutgoing():
        via = connection.getViaLaneID()
        found.append(via or connection.getToLane().getID())
    return tuple(dict.fromkeys(found))


def _turns(net) -> dict[str, str]:
    """The turn of every lane inside a junction: from the heading change over its whole connection."""
    turns: dict[str, str] = {}
    for edge in net.getEdges(withInternal=False):
        for lane in edge.getLanes():
            for connection in lane.getOutgoing():
                turn = _turn(lane.getShape(), connection.getToLane().getShape())
                via = connection.getViaLaneID()
                while via and via not in turns:
                    turns[via] = turn
                    onward = net.getLane(via).getOutgoing()
                    via = onward[0].getViaLaneID() if onward else ""
    return turns


def _turn(before, after) -> str:
    d0 = np.subtract(before[-1][:2], before[-2][:2])
    d1 = np.subtract(after[1][:2], after[0][:2])
    angle = np.arctan2(d0[0] * d1[1] - d0[1] * d1[0], d0 @ d1)
    if abs(angle) < TURN_ANGLE_RAD:
        return "s"
    if abs(angle) > U_TURN_RAD:
        return "t"
    return "l" if angle > 0 else "r"


def _borders(edge, lane, kinds: list[str]) -> tuple[str, str]:
    """What is painted left and right of a lane of a street."""
    index = lane.getIndex()
    if kinds[index] not in ("driving", "shoulder"):
        return "none", "none"
    if index + 1 < len(kinds):
        left = "broken" if kinds[index] == kinds[index + 1] == "driving" else "solid"
    else:
        facing = any(out.getToNode() is edge.getFromNode() for out in edge.getToNode().getOutgoing())
        left = "double" if facing else "solid"
    below = kinds[index - 1] if index else "none"
    right = "broken" if below == kinds[index] == "driving" else "solid"
    return left, right


def _lanes(net, offset: np.ndarray):
    turns = _turns(net)
    for edge in net.getEdges(withInternal=True):
        function = edge.getFunction()
        if function == "walkingarea":
            continue
        kinds = [_kind(edge, lane) for lane in edge.getLanes()]
        junction = edge.getID()[1:].rsplit("_", 1)[0] if function in ("internal", "crossing") else ""
        for lane, kind in zip(edge.getLanes(), kinds, strict=True):
            left, right = ("none", "none") if junction else _borders(edge, lane, kinds)
            yield Lane(lane.getID(), edge.getID(), lane.getIndex(), kind, _centre(lane.getShape(), offset),
                       lane.getWidth(), lane.getSpeed(), junction, _successors(lane), turns.get(lane.getID(), "s"),
                       left, right)


def _pavement_corners(net, lanes: dict[str, Lane]):
    """Pavement round each street corner: SUMO has a polygon there, we lay a strip from one pavement's end to the
    next."""
    for edge in net.getEdges(withInternal=True):
        if edge.getFunction() != "walkingarea":
            continue
        before = [lanes[other.getLane(0).getID()] for other in edge.getIncoming() if other.getFunction() == ""]
        after = [lanes[other.getLane(0).getID()] for other in edge.getOutgoing() if other.getFunction() == ""]
        for a in before:
            for b in after:
                if a.kind == b.kind == "sidewalk" and not _same_street(a, b):
                    corner = _corner(a.centre, b.centre)
                    yield Lane(f"{edge.getID()}_{a.edge}", edge.getID(), 0, "sidewalk", corner, a.width, a.speed_mps,
                               edge.getID()[1:].rsplit("_w", 1)[0], (b.id,))


def _same_street(a: Lane, b: Lane) -> bool:
    return a.edge == b.edge or np.linalg.norm(a.centre[-1] - b.centre[0]) < 0.05


def _corner(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """A smooth strip [9, 2] from the end of one line to the start of the next, tangent to both."""
    p0, p3 = before[-1], after[0]
    reach = 0.4 * np.linalg.norm(p3 - p0)
    d0, d1 = before[-1] - before[-2], after[1] - after[0]
    p1, p2 = p0 + d0 / np.linalg.norm(d0) * reach, p3 - d1 / np.linalg.norm(d1) * reach
    t = np.linspace(0.0, 1.0, 9)[:, None]
    return (1 - t) ** 3 * p0 + 3 * t * (1 - t) ** 2 * p1 + 3 * t**2 * (1 - t) * p2 + t**3 * p3
