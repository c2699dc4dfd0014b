"""Mends what netconvert gets wrong where two roads join inside a junction that it made larger than they are: the lane
of the joint runs back over what was just driven."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from kd_planner_ros.world.sumo_tools import cached_file

VERSION = b"mend 1"
BACK_COS = -0.8
LEAST_M = 0.3  # shorter ones do not reach from one point of a route to the next, and leave the file as it is
SLIVER_M = 0.2  # netconvert's shortest street
JOIN_M = 1.0  # a cut lane keeps its points from here on, so that it has no kink where it begins


def mended(path: Path, content: bytes = b"", root: ElementTree.Element | None = None) -> Path:
    """``path``, or a kept copy of it with every joint that runs backwards drawn together to a point. ``content`` and ``root`` hand in
    what was read of it already.

    In CARLA's Town03 the western joint of the roundabout runs 7.6 m back: a route over it went to and fro, and SUMO's
    vehicles turned round on the spot. It is mended in the file, so that routes, pictures and traffic agree.
    """
    content = content or path.read_bytes()
    net = _Net(ElementTree.fromstring(content) if root is None else root)
    if not net.mend():
        return path
    return cached_file(VERSION + content, ".net.xml", ElementTree.ElementTree(net.root).write)


class _Net:
    def __init__(self, root: ElementTree.Element):
        self.root = root
        self.lanes = {lane.get("id", ""): lane for lane in root.iter("lane")}
        self.inner = {lane.get("id", "") for edge in root.iter("edge") if edge.get("function") == "internal"
                      for lane in edge.iter("lane")}  # not the crossings, which are walked both ways
        self.onward: dict[str, list[str]] = {}
        for link in root.iter("connection"):
            after = link.get("via") or f"{link.get('to')}_{link.get('toLane')}"
            self.onward.setdefault(f"{link.get('from')}_{link.get('fromLane')}", []).append(after)

    def mend(self) -> bool:
        """Whether there was anything to mend."""
        joints = [(before, joint) for before, onward in self.onward.items() for joint in onward
                  if joint in self.inner and self._runs_back(before, joint)]
        for before, joint in joints:
            line = self._line(before)
            ahead = _ahead(line[-2:])
            self._sliver(joint, line[-1], ahead)
        return bool(joints)

    def _runs_back(self, before: str, joint: str) -> bool:
        after = self.onward.get(joint, [])
        if len(after) != 1 or sum(after[0] in onward for onward in self.onward.values()) != 1:
            return False  # only the joint of one street with one other is known to go wrong
        line = self._line(joint)
        if np.linalg.norm((line[-1] - line[0])[:2]) < LEAST_M:
            return False
        back = _ahead(line[[0, -1]])
        return max(back @ _ahead(self._line(before)[-2:]), back @ _ahead(self._line(after[0])[:2])) < BACK_COS

    def _begin_at(self, name: str, place: np.ndarray, ahead: np.ndarray) -> None:
        """Takes away what lies before ``place`` of a lane that leads ``ahead``, and the same of those after it where
        it lies there wholly."""
        line = self._line(name)
        along = (line - place)[:, :2] @ ahead
        if along[0] >= 0.0:
            return
        if along.max() >= SLIVER_M:
            first = int(np.argmax(along >= min(JOIN_M, along.max())))
            self._draw(name, np.concatenate([place[None], line[first:]]))
        elif _ahead(line[[0, -1]]) @ ahead > -BACK_COS:  # not one that turns off before it gets there
            self._sliver(name, place, ahead)

    def _sliver(self, name: str, place: np.ndarray, ahead: np.ndarray) -> None:
        end = place.copy()
        end[:2] += SLIVER_M * ahead
        self._draw(name, np.stack([place, end]))
        for after in self.onward.get(name, []):
            self._begin_at(after, end, ahead)

    def _line(self, name: str) -> np.ndarray:
        """The lane's points [N, 3]; netconvert leaves out a height of 0."""
        points = [tuple(map(float, point.split(","))) for point in self.lanes[name].get("shape", "").split()]
        return np.array([point + (0.0,) * (3 - len(point)) for point in points])

    def _draw(self, name: str, line: np.ndarray) -> None:
        lane = self.lanes[name]
        lane.set("shape", " ".join(f"{x:.2f},{y:.2f},{z:.2f}" for x, y, z in line))
        if name in self.inner:  # the lanes of a street share one length, which SUMO stretches over each line
            lane.set("length", f"{np.linalg.norm(np.diff(line[:, :2], axis=0), axis=1).sum():.2f}")


def _ahead(line: np.ndarray) -> np.ndarray:
    """The direction [2] from the first to the last of two points."""
    step = (line[-1] - line[0])[:2]
    return step / max(np.hypot(*step), 1e-9)
