"""``kd-planner bags``: what a foreign recording holds, and published data sets as recordings."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kd_planner_ros.cli.options import add_json

EPILOG = """\
examples:
  kd-planner bags check my_bag                       topics, clocks, cameras, and what train and replay would refuse
  kd-planner bags check my_bag --camera front=rgb_view   what they say with the cameras named so
  kd-planner bags check my_bags --json               the same of every recording in a folder, as one JSON object
  kd-planner bags dair cooperative-vehicle-infrastructure --out recordings/dair    DAIR-V2X as recordings
  kd-planner bags dair-example dair --sequential     a tiny set in its layout, to try that with
  kd-planner bags nuscenes nuscenes --out recordings/nuscenes    nuScenes as recordings
  kd-planner bags navsim dataset --out recordings/navsim    NAVSIM's logs as recordings

'check' writes nothing. Exit status 2: a recording there cannot be read; the others are printed all the same."""
DAIR = """\
examples:
  kd-planner bags dair cooperative-vehicle-infrastructure --out recordings/dair
  kd-planner bags dair V2X-Seq-SPD --out recordings/spd_late --delay-frames 2
  kd-planner bags dair V2X-Seq-SPD --out recordings/spd --split-file cooperative-split-data-spd.json --split train val

Reads DAIR-V2X-C or V2X-Seq-SPD as published, told apart by their lists of pairs; point clouds are not needed. Writes one recording for
each stretch of a batch or sequence without a gap of 250 ms: both pictures, places, road users, the station, captions. The route is the way
driven, with LANE_FOLLOW everywhere. With the published split file each recording lies in the folder of its part, and training on those of
val and test is refused. What is left out is counted and printed."""
NUSCENES = """\
examples:
  kd-planner bags nuscenes nuscenes --out recordings/nuscenes
  kd-planner bags nuscenes nuscenes --set-version v1.0-mini --cameras front left right --out recordings/mini

Reads the JSON tables as published; point clouds and sweeps are not needed. Writes one recording for each scene, at the key frames:
pictures 704 pixels wide, places, road users that a LiDAR or radar point hit, lines of the map expansion where it is there. The route is the
way driven; its commands follow from the place 3 s ahead, as published planners have it. What is left out is counted and printed."""
NAVSIM = """\
examples:
  kd-planner bags navsim dataset --out recordings/navsim
  kd-planner bags navsim dataset --split mini --cameras front left right --out recordings/mini

Reads the logs as published (one pickle a log in navsim_logs), the pictures in sensor_blobs, and nuPlan's maps where they lie in maps; point
clouds are not needed. A pickle that names anything but numpy and builtin containers is refused. Writes one recording for each stretch of a
log without a gap, at 2 Hz: pictures 704 pixels wide, places, published speeds, road users, lines, the way driven with the published
commands. There are no signals. What is left out is counted and printed."""
EXAMPLE = """\
example:
  kd-planner bags dair-example dair

Writes six drives of up to 6 s past one station, drawn through real projections: road users whom the station alone sees, a drive by night, a
standing car, station's pictures 37 and 180 ms old, a gap, a missing calibration, empty and other offsets, a drive shorter than 4.5 s."""
PLANNERS = "front"
"""The camera that the shipped planners look through."""
DRIVEN = "evaluate open-loop, replay"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
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
    _configure_dair(ways)
    _configure_nuscenes(ways)
    _configure_navsim(ways)


def _configure_nuscenes(ways: Any) -> None:
    from kd_planner_ros.bags.nuscenes.convert import CHANNELS

    sub = _published(ways, "nuscenes", "nuScenes", NUSCENES, "the folder that holds the folder of tables and samples", CHANNELS.values())
    sub.add_argument("--set-version", default="", metavar="TEXT",
                     help="folder of the tables, for example v1.0-mini (default: the only one)")
    sub.set_defaults(run=_nuscenes)


def _configure_navsim(ways: Any) -> None:
    from kd_planner_ros.bags.navsim.convert import CHANNELS

    sub = _published(ways, "navsim", "NAVSIM's logs", NAVSIM, "the folder that holds navsim_logs and sensor_blobs", CHANNELS.values())
    sub.add_argument("--split", default="", metavar="TEXT", help="split that is read, for example mini (default: the only one)")
    sub.set_defaults(run=_navsim)


def _published(ways: Any, name: str, what: str, epilog: str, path: str, cameras: Iterable[str]) -> argparse.ArgumentParser:
    """The command ``name``, which turns the data set ``what`` into recordings of ``cameras``."""
    summary, names = f"turn {what} into recordings", tuple(cameras)
    sub: argparse.ArgumentParser = ways.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=epilog)
    sub.add_argument("path", type=Path, metavar="PATH", help=path)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the recordings")
    sub.add_argument("--cameras", nargs="+", default=list(names), choices=names, metavar="NAME",
                     help=f"cameras whose pictures are written, the front one among them: {', '.join(names)} (default: all)")
    add_json(sub)
    return sub


def _navsim(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.bags.navsim.convert import convert

    return _tell(convert(args.path, args.out, args.split, args.cameras).facts(), args.out)


def _nuscenes(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.bags.nuscenes.convert import convert

    return _tell(convert(args.path, args.out, args.set_version, args.cameras).facts(), args.out)


def _configure_dair(ways: Any) -> None:
    from kd_planner_ros.bags.dair.splits import ASKED

    summary = "turn DAIR-V2X into recordings"
    sub = ways.add_parser("dair", help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=DAIR)
    sub.add_argument("path", type=Path, metavar="PATH", help="the folder that holds vehicle-side, infrastructure-side and cooperative")
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the recordings")
    sub.add_argument("--delay-frames", type=int, default=0, metavar="N", choices=range(11), help="take the station's picture of N frames "
                     "before the published one, 0 to 10 (VIC-Async)")
    sub.add_argument("--split-file", type=Path, metavar="FILE", help="published split, cooperative-split-data.json or "
                     "cooperative-split-data-spd.json (default: the one in PATH, where it lies there)")
    sub.add_argument("--split", nargs="+", default=[], choices=ASKED, metavar="PART", help=f"parts of the split that are written: "
                     f"{', '.join(ASKED)} (default: all)")
    add_json(sub)
    sub.set_defaults(run=_dair)
    summary = "write a tiny set in DAIR-V2X's layout"
    sub = ways.add_parser("dair-example", help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=EXAMPLE)
    sub.add_argument("path", type=Path, metavar="PATH", help="an empty folder, or one that is not there")
    sub.add_argument("--sequential", action="store_true", help="in the layout of V2X-Seq-SPD instead of DAIR-V2X-C's")
    add_json(sub)
    sub.set_defaults(run=_dair_example)


def _dair(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.bags.dair.convert import convert

    found = convert(args.path, args.out, args.delay_frames, split_file=args.split_file, parts=args.split)
    return _tell(found.facts(), args.out)


def _tell(found: dict[str, Any], out: Path) -> dict[str, Any]:
    """Print what was written and left out; gives ``found`` back."""
    print(f"{len(found['recordings'])} recordings with {found['pictures']} pictures in {out}")
    for why, count in found["left_out"].items():
        print(f"  {count} {why}")
    return found


def _dair_example(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.bags.dair.example import write_example

    pairs = write_example(args.path, args.sequential)
    print(f"{pairs} pairs of pictures in {args.path}")
    return {"path": str(args.path), "pairs": pairs}


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
    from kd_planner_ros.evaluation.fitting_models import fitting_models

    models = {f"model {name}": why for name, why in fitting_models(recording).items()}
    return {DRIVEN: _replayable(recording), **models, **{f"train --network {name}": why for name, why in trainable(recording).items()}}


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
