"""``kd-planner v2x keys``: keys of roadside stations."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from kd_planner_ros.cli.options import add_json

EPILOG = """\
examples:
  kd-planner v2x keys ~/v2x_keys                           keys for the stations of the built-in world's own map
  kd-planner v2x keys ~/v2x_keys --stations town.yaml --days 90      for those of a stations file

Each station gets two files: private/<station>.json goes to the station, allowed/<station>.json to the cars. Their owner alone can
read them; keep it so. The folder must lie outside every git repository."""
DAY_S = 86_400.0


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the subcommand."""
    parser.epilog = EPILOG
    ways = parser.add_subparsers(dest="way", metavar="WHAT", required=True, help="what to do")
    summary = "make the keys with which stations sign, and the allow-list of a gateway"
    sub = ways.add_parser("keys", help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=EPILOG)
    sub.add_argument("folder", type=Path, metavar="DIR", help="where the keys are written; no key is ever overwritten")
    sub.add_argument("--stations", type=Path, metavar="PATH", help="stations file (default: the stations of the map)")
    sub.add_argument("--map", default="default", metavar="TEXT",
                     help="map of the stations: default, generated:SEED, or a path to a .net.xml or .xodr file, also with .gz")
    sub.add_argument("--days", type=_days, default=365.0, metavar="X", help="days for which the keys hold, from now")
    add_json(sub)
    sub.set_defaults(run=_keys)


def _days(text: str) -> float:
    try:
        days = float(text)
    except ValueError:
        days = 0.0
    if not 0.0 < days <= 3650.0:
        raise argparse.ArgumentTypeError(f"expected days above 0, at most 3650; got {text!r}; give another number")
    return days


def _keys(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.v2x.key_files import make_keys

    stations = _stations(args)
    now_s = time.time()
    files = make_keys(args.folder, stations, now_s, now_s + args.days * DAY_S)
    print(f"{len(stations)} stations: keys in {args.folder / 'private'}, allow-list in {args.folder / 'allowed'}")
    return {"stations": [one.id for one in stations], "files": [str(path) for path in files]}


def _stations(args: argparse.Namespace) -> Any:
    from kd_planner_ros.core.errors import ConfigError
    from kd_planner_ros.core.stations import read_stations_file
    from kd_planner_ros.world.maps import load_map

    found = read_stations_file(args.stations) if args.stations else load_map(args.map).stations
    if not found:
        raise ConfigError("at least one station", "none", "give a stations file with --stations, or another map")
    return found
