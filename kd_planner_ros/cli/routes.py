"""``kd-planner routes``: what route files hold, and which of it is driven."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kd_planner_ros.cli.options import add_json

EPILOG = """\
examples:
  kd-planner routes town05_short.xml --map Town05.net.xml
  kd-planner routes longest6.xml bench2drive --maps-dir maps --json

Lists each route with its town, length, weathers and scenarios, what is left out and why, and how many scenarios of each type can
be played. Nothing is driven."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``routes``."""
    parser.epilog = EPILOG
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path, help="route files (.xml), or folders of them")
    parser.add_argument("--map", default="", help="map to plan the routes on; as in 'evaluate closed-loop'")
    parser.add_argument("--maps-dir", type=Path, metavar="DIR", help="folder with a map for each town, such as Town05.net.xml")
    parser.add_argument("--snap", action="store_true", help="take key points farther than 60 m from every lane to the nearest lane")
    add_json(parser)
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.world.route_listing import list_routes

    result = list_routes(args.files, args.map, args.maps_dir, args.snap)
    print(f"{'file':<24} {'route':<10} {'town':<8} {'key m':>7} {'route m':>8} {'weathers':>8}  scenarios")
    for row in result["routes"]:
        planned = "-" if row["route_m"] is None else f"{row['route_m']:.0f}"
        print(f"{Path(row['file']).name:<24} {row['route']:<10} {row['town']:<8} {row['key_m']:7.0f} {planned:>8} {row['weathers']:>8}  "
              f"{_numbers(row['scenarios']) or '-'}")
        for line in row["notes"]:
            print(f"  {line}")
    for one in result["left_out"]:
        print(f"left out: {' '.join(filter(None, (Path(one['file']).name, one['route'])))}: {one['reason']}")
    for name in ("playable", "not_supported"):
        print(f"scenarios {name.replace('_', ' ')}: {sum(result[name].values())} ({_numbers(result[name]) or 'none'})")
    planned = f"{result['planned']} planned on a map, " if result["maps"] else ""
    bad = sum(not one["route"] for one in result["left_out"])
    unread = f"; {bad} files not readable" if bad else ""
    print(f"{result['read']} routes read, {planned}{len(result['left_out']) - bad} left out{unread}")
    return result


def _numbers(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {number}" for kind, number in counts.items())
