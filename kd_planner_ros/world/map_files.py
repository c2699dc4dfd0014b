"""Map files as bytes: unpacks ``.gz``, refuses left-hand traffic, puts OpenDRIVE's lanes in order, and has it converted by SUMO's
netconvert."""

from __future__ import annotations

import gzip
import xml.etree.ElementTree as ElementTree
import zlib
from pathlib import Path

from kd_planner_ros.core.errors import MapError
from kd_planner_ros.world.sumo_tools import cached_file, run_tool

LARGEST_BYTES = 512 * 2**20
NOT_FOR_CARS = frozenset(("biking", "border", "curb", "median", "none", "rail", "restricted", "roadWorks", "shoulder", "sidewalk",
                          "special1", "special2", "special3", "tram", "walking"))
"""OpenDRIVE's types of lanes that netconvert leaves out, or gives to others than cars."""
RIGHT_HAND = "use a map with right-hand traffic: planners, expert and scenarios drive on the right only"


def map_content(path: Path) -> bytes:
    """The bytes of the map file ``path``, unpacked where its name ends in ``.gz``.

    Raises:
        MapError: the file is missing, empty, no gzip file in spite of its name, cut off, or larger than 512 MiB unpacked.
    """
    opened = gzip.open if path.name.endswith(".gz") else open
    try:
        with opened(path, "rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except FileNotFoundError:
        raise MapError(f"a map file at {path}", "no such file", "check the path") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MapError(f"a whole gzip file in {path}", str(error), "copy the file again") from None
    except OSError as error:
        raise MapError(f"a map file at {path}", error.strerror or str(error), "check the path and its permissions") from None
    if not content:
        raise MapError(f"a road network in {path}", "an empty file", "copy the file again")
    if len(content) > LARGEST_BYTES:
        raise MapError(f"a map of at most {LARGEST_BYTES >> 20} MiB in {path}", "a larger one", "cut out the part that is driven")
    return content


def map_root(content: bytes, path: Path, tag: str) -> ElementTree.Element:
    """The root element of a map file's XML.

    Raises:
        MapError: the content is no XML, or its root is not ``tag``.
    """
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise MapError(f"XML in {path}", str(error), "copy the file again, or export it anew") from None
    for element in root.iter():  # files of ASAM's own carry a namespace
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != tag:
        raise MapError(f"<{tag}> in {path}", f"<{root.tag}>",
                       "name a SUMO network (.net.xml) or an OpenDRIVE file (.xodr)")
    return root


def require_right_hand_net(root: ElementTree.Element, path: Path) -> None:
    """Refuse a SUMO network that was built with ``--lefthand``.

    Raises:
        MapError: it was.
    """
    if root.get("lefthand", "").strip().lower() in ("true", "1", "yes", "on", "x", "t"):
        raise MapError(f"right-hand traffic in {path}", 'left-hand traffic (lefthand="true")', RIGHT_HAND)


def require_right_hand_roads(root: ElementTree.Element, path: Path) -> None:
    """Refuse an OpenDRIVE file whose lanes netconvert would lay against their direction.

    netconvert reads neither ``rule`` (OpenDRIVE 1.5) nor a lane's ``direction`` (1.8): without this check each such lane is
    driven the wrong way.

    Raises:
        MapError: a road has the rule LHT, or a lane for cars the direction ``reversed``.
    """
    roads = list(root.iter("road"))
    left = [road.get("id", "?") for road in roads if road.get("rule", "RHT").strip().upper() == "LHT"]
    if left:
        raise MapError(f"right-hand traffic in {path}", f"left-hand traffic (rule=\"LHT\") on {len(left)} of {len(roads)} roads, "
                       f"the first is road {left[0]}", RIGHT_HAND)
    turned = [f"lane {lane.get('id', '?')} of road {road.get('id', '?')}" for road in roads for lane in road.iter("lane")
              if lane.get("direction", "").strip().lower() == "reversed" and lane.get("type", "").strip() not in NOT_FOR_CARS]
    if turned:
        raise MapError(f"lanes in their road's standard direction in {path}", f"{len(turned)} with direction=\"reversed\", the first is "
                       f"{turned[0]}", "number those lanes by their driving direction (negative ids follow the road)")


def _opendrive_root(content: bytes, path: Path) -> ElementTree.Element:
    root = map_root(content, path, "OpenDRIVE")
    if root.find("road") is None:
        raise MapError(f"a <road> in {path}", "none", "name an OpenDRIVE file with roads")
    require_right_hand_roads(root, path)
    return root


def check_content(path: Path, opendrive: bool) -> None:
    """Refuse a map file that cannot be driven, without converting it: OpenDRIVE, or a SUMO network.

    Raises:
        MapError: the file is missing, broken, of another kind, or has left-hand traffic.
    """
    content = map_content(path)
    if opendrive:
        _opendrive_root(content, path)
    else:
        require_right_hand_net(map_root(content, path, "net"), path)


def put_lanes_in_order(root: ElementTree.Element, path: Path) -> bool:
    """Sort the lanes of each side of each lane section by descending id, as OpenDRIVE has them; whether one was out of order.

    netconvert numbers lanes in the file's order. In files that list ``<left>`` from the middle outwards (those of the Python
    package scenariogeneration, esmini's motorways) it joined lanes inside junctions with the wrong neighbours: a route jumped
    3 m to the side and back.

    Raises:
        MapError: a lane has no whole number as id.
    """
    moved = False
    for section in root.iter("laneSection"):
        for side in [*section.findall("left"), *section.findall("right")]:
            lanes = side.findall("lane")
            try:
                ordered = sorted(lanes, key=lambda lane: -int(lane.get("id", "")))
            except ValueError:
                raise MapError(f"a whole number as id of every lane in {path}", ", ".join(repr(lane.get("id")) for lane in lanes),
                               "correct the map file, or export it anew") from None
            if ordered != lanes:
                side[:], moved = ordered, True
    return moved


def opendrive_net(path: Path) -> Path:
    """The SUMO network made from the OpenDRIVE file ``path``, kept by the file's content.

    Raises:
        MapError: the file is missing or broken, has left-hand traffic, or netconvert cannot read it.
    """
    content = map_content(path)

    def convert(target: Path) -> None:
        root = _opendrive_root(content, path)
        moved = put_lanes_in_order(root, path)
        (target.parent / "map.xodr").write_bytes(ElementTree.tostring(root, "utf-8", xml_declaration=True) if moved else content)
        run_tool("netconvert", "--opendrive-files", "map.xodr", "-o", target.name,
                 "--no-turnarounds.except-deadend", "true", "--geometry.min-radius.fix", "false",
                 "--opendrive.internal-shapes", "true", folder=target.parent, source=path)

    return cached_file(b"xodr 3" + content, ".net.xml", convert)


def plain_net(path: Path) -> Path:
    """``path``, or a kept unpacked copy where its name ends in ``.gz``.

    Raises:
        MapError: the file is missing or broken.
    """
    if not path.name.endswith(".gz"):
        return path
    content = map_content(path)
    return cached_file(b"gz 1" + content, ".net.xml", lambda target: _write(target, content))


def _write(target: Path, content: bytes) -> None:
    target.write_bytes(content)
