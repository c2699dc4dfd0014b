"""Where signal heads and stop signs stand, worked out from a SUMO network."""

from __future__ import annotations

import math

import numpy as np

from kd_planner_ros.core.road import Lane, SignalSite, StopSite
from kd_planner_ros.geometry.boxes import polygon_contains

LAMP_HEIGHT_M = 5.0
NEAREST_LAMP_M, FARTHEST_LAMP_M = 12.0, 28.0  # beyond the stop line; nearer, a camera at the line looks under it
SIGN_BESIDE_M = 0.7


def signal_sites(net, lanes: dict[str, Lane], junctions: dict[str, np.ndarray]) -> tuple[SignalSite, ...]:
    """One head for each approach lane with a traffic light, hung over the lane's own line beyond the junction.

    The far side keeps it in view of a forward camera from the stop line. ``links`` begins with the straight movement.
    """
    sites = []
    for edge in sorted(net.getEdges(withInternal=False), key=lambda edge: edge.getID()):
        for raw in edge.getLanes():
            lane = lanes[raw.getID()]
            links = [c for c in raw.getOutgoing() if c.getTLSID()]
            if lane.kind != "driving" or not links:
                continue
            links.sort(key=lambda c: (c.getDirection() != "s", c.getTLLinkIndex()))
            junction = edge.getToNode().getID()
            heading = _end_heading(lane)
            ahead = np.array([math.cos(heading), math.sin(heading)])
            at = lane.centre[-1] + ahead * _depth(junctions.get(junction), lane.centre[-1], ahead)
            lights = tuple((c.getTLSID(), c.getTLLinkIndex()) for c in links)
            sites.append(SignalSite(len(sites), lane.id, np.array([*at, LAMP_HEIGHT_M]), _wrap(heading + math.pi),
                                    _stop_line(lane), lights, junction))
    return tuple(sites)


def stop_sites(net, lanes: dict[str, Lane]) -> tuple[StopSite, ...]:
    """One stop sign for each approach lane that must give way: all-way and minor-road stops, and the minor arms of
    unsignalised junctions (CARLA's towns carry no stop signs in their SUMO networks)."""
    sites = []
    for edge in sorted(net.getEdges(withInternal=False), key=lambda edge: edge.getID()):
        node = edge.getToNode()
        if not _must_stop(edge, node):
            continue
        driving = [lanes[raw.getID()] for raw in edge.getLanes() if lanes[raw.getID()].kind == "driving"]
        if not driving:
            continue
        heading = _end_heading(driving[0])
        right = np.array([math.sin(heading), -math.cos(heading)])
        at = driving[0].centre[-1] + right * (0.5 * driving[0].width + SIGN_BESIDE_M)
        for lane in driving:
            sites.append(StopSite(len(sites), lane.id, at, _wrap(heading + math.pi), _stop_line(lane), node.getID()))
    return tuple(sites)


def _must_stop(edge, node) -> bool:
    links = [c for raw in edge.getLanes() for c in raw.getOutgoing() if raw.allows("passenger")
             and c.getToLane().allows("passenger")]
    if not links or any(c.getTLSID() for c in links) or node.getType() == "traffic_light":
        return False
    states = {c.getState() for c in links}
    if states <= {"s", "w"}:
        return True
    imported = node.getType() == "priority" and not any(ch.isalpha() for ch in node.getID())  # numbered: from OpenDRIVE
    arms = {other.getToNode().getID() for other in node.getOutgoing()}
    arms |= {other.getFromNode().getID() for other in node.getIncoming()}
    turning = any(c.getDirection() in "lr" for c in links)
    return imported and states == {"m"} and turning and len(arms) >= 3 and edge.getSpeed() < 20.0


def _end_heading(lane: Lane) -> float:
    step = lane.centre[-1] - lane.centre[-2]
    return math.atan2(step[1], step[0])


def _stop_line(lane: Lane) -> np.ndarray:
    """Stop line [2, 2] from the right border of the lane to its left border."""
    heading = _end_heading(lane)
    left = np.array([-math.sin(heading), math.cos(heading)]) * 0.5 * lane.width
    return np.stack([lane.centre[-1] - left, lane.centre[-1] + left])


def _depth(outline: np.ndarray | None, start: np.ndarray, ahead: np.ndarray) -> float:
    """How far beyond the stop line the junction ends, within the limits for a lamp."""
    if outline is None:
        return NEAREST_LAMP_M
    far = np.arange(1.0, FARTHEST_LAMP_M + 1.0)
    inside = polygon_contains(outline, start + far[:, None] * ahead)
    depth = far[inside].max() + 1.0 if inside.any() else 0.0
    return float(np.clip(depth, NEAREST_LAMP_M, FARTHEST_LAMP_M))


def _wrap(angle: float) -> float:
    return math.remainder(angle, 2.0 * math.pi)
