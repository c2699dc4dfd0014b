"""``kd-planner bags check``: what a foreign recording holds, what is wrong with it, and what it can be used for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kd_planner_ros.cli.options import add_json

EPILOG = """\
examples:
  kd-planner bags check my_bag                       topics, clocks, cameras, and what train and replay would refuse
  kd-planner bags check my_bag --camera front=rgb_view   what they say with the cameras named so
  kd-planner bags check my_bags --json               the same of every recording in a folder, as one JSON object

Nothing is written. Exit status 2: a recording there cannot be read; the others are printed all the same."""
PLANNERS = "front"
"""The camera that the shipped planners look through."""
DRIVEN = "evaluate open-loop, replay"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the one subcommand."""
    from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP

    parser.epilog = EPILOG
    ways = parser.add_subparsers(dest="way", metavar="WHAT", required=True, help="what to do")
    summary = "print what recordings hold, what is wrong with them, and what they can be used for"
    sub = ways.add_parser("check", help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=EPILOG)
    sub.add_argument("path", type=Path, metavar="PATH", help="a rosbag2 folder, a .mcap or .db3 file, or a folder of recordings")
    sub.add_argument("--role-name", metavar="TEXT", help=ROLE_HELP)
    sub.add_argument("--camera", nargs="*", default=(), metavar="NAME=RECORDED", help=CAMERA_HELP)
    add_json(sub)
    sub.set_defaults(run=_check)


def _check(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.bags.check import check
    from kd_planner_ros.bags.find import search
    from kd_planner_ros.bags.source import Source, read_cameras
    from kd_planner_ros.core.errors import KdPlannerError

    cameras = read_cameras(args.camera)
    found = search([args.path])
    results: list[dict[str, Any]] = []
    broken: list[KdPlannerError] = []
    for bag in found.bags:
        try:
            results.append(_with_uses(check(Source(bag, args.role_name or "", cameras), _uses)))
            print("\n".join(lines(results[-1])) + "\n")
        except KdPlannerError as error:
            broken.append(error)
            print(f"{bag}\n  cannot be read: {error}\n")
    print(found)
    if broken and not results:
        raise broken[0]
    args.status = 2 if broken else 0
    return {"recordings": results, "unreadable": [str(error) for error in broken],
            "left_out": [{"path": str(path), "why": why} for path, why in found.left_out]}


def _uses(recording: Any) -> dict[str, str]:
    """Why the recording cannot be used, by command; "" where it can."""
    from kd_planner_ros.distill.recorded import trainable

    return {DRIVEN: _replayable(recording)} | {f"train --network {name}": why for name, why in trainable(recording).items()}


def _with_uses(found: dict[str, Any]) -> dict[str, Any]:
    return found if "uses" in found else {**found, "uses": {DRIVEN: found["no_ego"], "train": found["no_ego"]}}


def _replayable(recording: Any) -> str:
    from kd_planner_ros.bags.cameras import recorded_names
    from kd_planner_ros.core.errors import BagError, KdPlannerError

    try:
        (camera,) = recorded_names(recording, (PLANNERS,))
        recording.require(recording.topics.odometry, "record it too")
        recording.require(recording.image_topic(camera), "record a camera too, or say which one it is with --camera "
                          f"{PLANNERS}=RECORDED; the recording has the cameras {', '.join(recording.cameras) or 'none'}")
        recording.camera_spec(camera)
        if next(recording.samples((camera,)), None) is None:
            raise BagError(f"an instant at which camera '{camera}' and odometry gave something", "none", "look at their stamps")
        missing = f"expected {recording.topics.route}; got no route; planners that need none can be used"
        return missing if recording.route is None else ""
    except KdPlannerError as error:
        return str(error)


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, for a reader."""
    count, packed = len(found["files"]), f", compressed by {found['compression']}" if found["compression"] else ""
    yield found["path"]
    size = f"{found['duration_s']:.1f} s, {found['messages']} messages on {len(found['topics'])} topics"
    yield f"  {count} file{'s' * (count != 1)}{packed}, {size}"
    yield from _vehicle(found)
    width = max((len(one["name"]) for one in found["topics"]), default=0)
    kinds = max((len(one["type"]) for one in found["topics"]), default=0)
    yield f"  {'topic':<{width}}  {'type':<{kinds}}  messages      Hz  stamps"
    for one in found["topics"]:
        span = "" if one["first_s"] is None else f"{one['first_s']:.3f} to {one['last_s']:.3f} s"
        yield f"  {one['name']:<{width}}  {one['type']:<{kinds}}  {one['messages']:>8}  {one['hz']:>6.1f}  {span}".rstrip()
    for title, texts in (("refused", [f"{topic}: {why}" for topic, why in found["faults"].items()]), ("odd or not read", found["notes"])):
        if texts:
            yield f"  {title}"
            yield from (f"    {text}" for text in texts)
    yield "  can be used for"
    yield from (f"    {use}: {'yes' if not why else f'no: {why}'}" for use, why in found["uses"].items())


def _vehicle(found: Mapping[str, Any]) -> Iterator[str]:
    if "no_ego" in found:
        yield f"  no drive of one ego vehicle: {found['no_ego']}"
        return
    route = "none" if found["route_m"] is None else f"{found['route_m']:.0f} m"
    lidars = ", ".join(found["lidars"]) or "none"
    yield f"  ego vehicle {found['role_name']}, map {found['map'] or 'not named'}, route {route}, LiDARs {lidars}"
    for one in found["cameras"]:
        size = "no picture" if one["size"] is None else "x".join(map(str, one["size"]))
        fov = "no calibration" if one["fov_deg"] is None else f"{one['fov_deg']:.1f} degrees"
        lost = f", {one['without_ego']} pictures without odometry" if one["without_ego"] else ""
        yield f"  camera {one['id']}: {size}, {fov}, labels {', '.join(one['labels']) or 'none'}{lost}"
