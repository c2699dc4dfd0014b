"""The default town: a street grid from SUMO's ``netgenerate``, bent, thinned and signed from a seed.

``netgenerate`` alone knows straight streets only. Its grid is taken apart here: some streets are removed, corners
become bends, two avenues get two lanes each way, and every junction a right of way; ``netconvert`` then builds the
network with pavements and crossings.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from kd_planner_ros.geometry.polyline import resample
from kd_planner_ros.world.sumo_tools import cached_file, run_tool

VERSION = b"town 2"
BLOCKS = 5  # streets each way
BLOCK_M = 100.0
SPEED_AVENUE_MPS, SPEED_STREET_MPS = 13.89, 11.11
REMOVED_STREETS = 6
SMOOTH_STEP_M, SMOOTH_HALF = 3.0, 4

Link = tuple[str, str]


@dataclass
class _Town:
    nodes: dict[str, np.ndarray]
    links: list[Link]  # undirected, sorted ends
    avenue: set[Link]
    shape: dict[Link, np.ndarray]  # inner points


def town_file(seed: int) -> Path:
    """The road network (.net.xml) of the town with ``seed``; made once, then read from the cache.

    Raises:
        MapError: SUMO's tools are missing or fail.
    """
    return cached_file(VERSION + str(seed).encode(), ".net.xml", lambda path: _make(seed, path))


def _make(seed: int, target: Path) -> None:
    rng = np.random.default_rng([seed, 0x70_77_6E])
    town = _grid(seed, target.parent)
    _choose_avenues(town, rng)
    _remove_streets(town, rng)
    _bend_streets(town, rng)
    _round_corners(town)
    nodes, edges = target.parent / "town.nod.xml", target.parent / "town.edg.xml"
    _write_nodes(town, nodes, rng)
    _write_edges(town, edges)
    run_tool("netconvert", "-n", nodes.name, "-e", edges.name, "-o", target.name,
             "--sidewalks.guess", "true", "--sidewalks.guess.from-permissions", "false",
             "--sidewalks.guess.max-speed", "20", "--default.sidewalk-width", "2", "--crossings.guess", "true",
             "--walkingareas", "true", "--no-turnarounds", "true", "--default.lanewidth", "3.5",
             "--default.junctions.radius", "8", "--junctions.corner-detail", "8",
             "--junctions.internal-link-detail", "12", "--rectangular-lane-cut", "true", "--tls.cycle.time", "50",
             "--tls.yellow.time", "3", "--tls.allred.time", "2", "--tls.default-type", "static", folder=target.parent)


def _grid(seed: int, folder: Path) -> _Town:
    """netgenerate's jittered grid, its middle moved to the origin."""
    prefix = folder / "grid"
    jitter = "normc(0,9,-16,16)"
    run_tool("netgenerate", "--grid", "--grid.number", str(BLOCKS), "--grid.length", str(BLOCK_M),
             "--seed", str(seed % 2**31), "--perturb-x", jitter, "--perturb-y", jitter,
             "--plain-output-prefix", prefix.name, folder=folder)
    root = ElementTree.parse(f"{prefix}.nod.xml").getroot()
    nodes = {node.get("id"): np.array([float(node.get("x")), float(node.get("y"))]) for node in root.iter("node")}
    middle = np.mean(list(nodes.values()), axis=0)
    nodes = {name: at - middle for name, at in nodes.items()}
    edges = ElementTree.parse(f"{prefix}.edg.xml").getroot().iter("edge")
    links = sorted({tuple(sorted((edge.get("from"), edge.get("to")))) for edge in edges})
    return _Town(nodes, links, set(), {})


def _choose_avenues(town: _Town, rng: np.random.Generator) -> None:
    """Two streets right across the town, one each way, get two lanes a direction. Grid nodes are named A0 to E4."""
    column, row = rng.integers(1, BLOCKS - 1, 2)
    letter, digit = chr(ord("A") + column), str(row)
    for a, b in town.links:
        if a[0] == b[0] == letter or a[1] == b[1] == digit:
            town.avenue.add((a, b))


def _degree(town: _Town, name: str) -> int:
    return sum(name in link for link in town.links)


def _connected(links: list[Link], nodes: set[str]) -> bool:
    reached, front = set(), [min(nodes)]
    while front:
        name = front.pop()
        if name not in reached:
            reached.add(name)
            front += [b if a == name else a for a, b in links if name in (a, b)]
    return reached == nodes


def _remove_streets(town: _Town, rng: np.random.Generator) -> None:
    """Takes away narrow streets so that blocks differ; every junction keeps two arms and the town stays whole."""
    removed = 0
    for index in rng.permutation(len(town.links)).tolist():
        links = town.links
        link = links[index] if index < len(links) else None
        if removed == REMOVED_STREETS or link is None or link in town.avenue:
            continue
        rest = [other for other in links if other != link]
        if min(_degree(town, link[0]), _degree(town, link[1])) > 2 and _connected(rest, set(town.nodes)):
            town.links, removed = rest, removed + 1


def _bezier(*control: np.ndarray, count: int = 14) -> np.ndarray:
    """Points [count, 2] of the Bezier curve over two to four control points, ends included (de Casteljau)."""
    t = np.linspace(0.0, 1.0, count)[:, None]
    level = [np.broadcast_to(point, (count, 2)) for point in control]
    while len(level) > 1:
        level = [(1.0 - t) * a + t * b for a, b in pairwise(level)]
    return level[0]


def _bend_streets(town: _Town, rng: np.random.Generator) -> None:
    """Gives narrow streets a gentle bow or an S; the ends keep their direction within about 15 degrees."""
    for link in town.links:
        a, b = town.nodes[link[0]], town.nodes[link[1]]
        along = b - a
        left = np.array([-along[1], along[0]]) / np.linalg.norm(along)
        bow, wave = rng.uniform(-12.0, 12.0, 2)
        if link in town.avenue:
            bow, wave = 0.25 * bow, 0.0
        town.shape[link] = _bezier(a, a + along / 3 + left * (bow + wave), b - along / 3 + left * (bow - wave), b)[1:-1]


def _round_corners(town: _Town) -> None:
    """Replaces each junction of only two streets by one bend."""
    for name in sorted(town.nodes):
        arms = [link for link in town.links if name in link]
        if len(arms) != 2:
            continue
        ends = [b if a == name else a for a, b in arms]
        joined = tuple(sorted(ends))
        if ends[0] == ends[1] or joined in town.links:
            continue
        runs = [_run(town, arm, name) for arm in arms]  # each starts at the corner
        reach = [min(45.0, 0.6 * _length(run)) for run in runs]
        before, after = (_beyond(run, far) for run, far in zip(runs, reach, strict=True))
        path = np.concatenate([before[::-1], _bezier(before[0], town.nodes[name], after[0])[1:-1], after])
        town.links = sorted([link for link in town.links if link not in arms] + [joined])
        if any(arm in town.avenue for arm in arms):
            town.avenue.add(joined)
        town.shape[joined] = path[1:-1] if joined[0] == ends[0] else path[-2:0:-1]
        del town.nodes[name]


def _run(town: _Town, link: Link, start: str) -> np.ndarray:
    path = np.concatenate([[town.nodes[link[0]]], town.shape[link], [town.nodes[link[1]]]])
    return path if link[0] == start else path[::-1]


def _length(path: np.ndarray) -> float:
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def _beyond(path: np.ndarray, far: float) -> np.ndarray:
    """What is left of ``path`` after its first ``far`` metres."""
    arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    cut = np.array([np.interp(far, arc, path[:, axis]) for axis in (0, 1)])
    return np.concatenate([[cut], path[arc > far + 1.0]])


def _smooth(path: np.ndarray) -> np.ndarray:
    """``path`` with its kinks drawn out over about 30 m; the ends stay where they are (odd reflection beyond them)."""
    line = resample(path, SMOOTH_STEP_M)
    half = min(SMOOTH_HALF, len(line) - 1)
    for _ in range(2):
        head, tail = 2.0 * line[0] - line[half:0:-1], 2.0 * line[-1] - line[-2:-half - 2:-1]
        padded = np.concatenate([head, line, tail])
        window = np.ones(2 * half + 1) / (2 * half + 1)
        line = np.stack([np.convolve(padded[:, axis], window, "valid") for axis in (0, 1)], axis=1)
    return line


def _node_type(town: _Town, name: str, rng: np.random.Generator) -> str:
    """Signals along the avenues; elsewhere signals, stop signs or plain priority, drawn from ``rng``."""
    arms = [link for link in town.links if name in link]
    draw = rng.random()
    if len(arms) < 3:
        return "priority"
    if sum(link in town.avenue for link in arms) >= 3 or (sum(link in town.avenue for link in arms) and draw < 0.6):
        return "traffic_light"
    if len(arms) >= 4:
        return "traffic_light" if draw < 0.6 else "allway_stop"
    return "priority_stop" if draw < 0.6 else "priority"


def _write_nodes(town: _Town, path: Path, rng: np.random.Generator) -> None:
    root = ElementTree.Element("nodes")
    for name in sorted(town.nodes):
        x, y = town.nodes[name]
        ElementTree.SubElement(root, "node", id=name, x=f"{x:.2f}", y=f"{y:.2f}",
                               type=_node_type(town, name, rng), radius="8")
    ElementTree.ElementTree(root).write(path)


def _write_edges(town: _Town, path: Path) -> None:
    root = ElementTree.Element("edges")
    for link in town.links:
        for start, end in (link, link[::-1]):
            run = _smooth(_run(town, link, start))
            avenue = link in town.avenue
            ElementTree.SubElement(
                root, "edge", {"id": start + end, "from": start, "to": end, "numLanes": "2" if avenue else "1",
                               "priority": "3" if avenue else "1",
                               "speed": str(SPEED_AVENUE_MPS if avenue else SPEED_STREET_MPS),
                               "shape": " ".join(f"{x:.2f},{y:.2f}" for x, y in run), "spreadType": "right"})
    ElementTree.ElementTree(root).write(path)
