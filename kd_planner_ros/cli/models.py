"""``kd-planner models list | params | check | sensors``: the models and networks there are."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sized
from pathlib import Path
from typing import Any

from kd_planner_ros.cli.network_options import add_input_options, input_fields
from kd_planner_ros.cli.options import add_json

EPILOG = """\
examples:
  kd-planner models list                          every shipped model with its size and scores
  kd-planner models params tcp --json             every size of a network: parameters and multiply-accumulates
  kd-planner models check                         do weights, cards and code fit each other?
  kd-planner models sensors tcp64_7m6 --out sensors.json    the sensor file for carla_spawn_objects"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the four subcommands."""
    parser.epilog = EPILOG
    ways = parser.add_subparsers(dest="way", metavar="WHAT", required=True, help="what to do")

    def way(name: str, run: Any, summary: str) -> argparse.ArgumentParser:
        sub = ways.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".", epilog=EPILOG)
        sub.set_defaults(run=run)
        add_json(sub)
        return sub

    sub = way("list", _list, "list the models of a folder, and those without weights")
    sub.add_argument("--markdown", metavar="LINK", help="print the table of docs/models.md instead; LINK is the path from the page to the "
                     "folder of models")
    _add_models(sub)
    sub = way("params", _params, "count the parameters and multiply-accumulates of every size of a network")
    sub.add_argument("name", metavar="NETWORK", help="a folder of networks/, for example tcp")
    add_input_options(sub)
    sub = way("check", _check, "load models and check weights against card and code")
    sub.add_argument("names", metavar="NAME", nargs="*", help="models to check (default: all)")
    _add_models(sub)
    sub = way("sensors", _sensors, "write a model's sensor file for carla_spawn_objects")
    sub.add_argument("name", metavar="NAME", help="a planner or a perceiver, as 'models list' names it")
    sub.add_argument("--role-name", default="ego_vehicle", help="the ego's role name in CARLA")
    sub.add_argument("--out", type=Path, help="file to write (default: print it)")
    _add_models(sub)


def _add_models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--models-dir", type=Path, metavar="DIR", help="folder of models (default: the shipped ones)")


def _list(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.networks.registry import folders, is_weightless, role_of
    from kd_planner_ros.runtime.find import list_models

    _require_folder(args.models_dir)
    if args.markdown:
        return _markdown(args.models_dir, args.markdown)
    rows = [_row(folder) for folder in list_models(args.models_dir)]
    rows += [{"name": name, "network": name, "role": role_of(name), "parameters": 0, "version": "", "licence": "", "scores": {}}
             for name in folders() if is_weightless(name)]
    for row in rows:
        if "error" in row:
            print(f"{row['name']:<28} broken: {row['error']}")
            continue
        size = f"{row['parameters']:,} parameters" if row["parameters"] else "no weights"
        print(f"{row['name']:<28} {row['network']:<20} {row['role']:<10} {size:<24} {_short(row['scores'])}")
    return {"models": rows}


def _markdown(models_dir: Path | None, link: str) -> dict[str, Any]:
    from dataclasses import asdict

    from kd_planner_ros.runtime.zoo import markdown, zoo

    rows = zoo(models_dir)
    print(markdown(rows, link), end="")
    return {"models": [asdict(row) for row in rows]}


def _require_folder(models_dir: Path | None) -> None:
    from kd_planner_ros.core.errors import ConfigError

    if models_dir is not None and not models_dir.is_dir():
        raise ConfigError(f"a folder of models at {models_dir}", "no such folder", "correct --models-dir")


def _row(folder: Path) -> dict[str, Any]:
    """What the card in ``folder`` says, or what is wrong with it: one broken card does not hide the others."""
    from kd_planner_ros.core.card import read_card
    from kd_planner_ros.core.errors import CardError, PlannerError
    from kd_planner_ros.networks.registry import role_of

    try:
        card = read_card(folder)
        role = role_of(card.network)
    except (CardError, PlannerError) as error:
        return {"name": folder.name, "error": str(error)}
    return {"name": card.name, "network": card.network, "role": role, "parameters": card.parameters, "version": card.weights_version,
            "licence": card.licence, "scores": card.scores}


def _short(scores: dict[str, Any]) -> str:
    """The card's driving scores, or what a perceiver sees, in a few words."""
    from kd_planner_ros.runtime.zoo import seen

    found = []
    for name, value in scores.items():
        number = value.get("driving_score", value.get("value")) if isinstance(value, dict) else value
        if isinstance(number, (int, float)):
            found.append(f"{name} {number:.1f}")
    return ", ".join((*found, *seen(scores)))


def _params(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.runtime.params import table

    rows = table(args.name, **input_fields(args, args.name))
    print(f"{'size':<8} {'input':<10} {'parameters':>12} {'paper':>12} {'GMACs':>8} {'paper':>8}")
    for row in rows:
        print(f"{row['size']:<8} {'x'.join(map(str, row['input'])):<10} {row['parameters']:>12,} "
              f"{_figure(row, 'paper_parameters', ','):>12} {row['macs'] / 1e9:>8.2f} {_figure(row, 'paper_gmacs', '.2f'):>8}")
    return {"network": args.name, "configurations": rows}


def _figure(row: dict[str, Any], name: str, form: str) -> str:
    """The paper's figure, or a dash where it has none for this input."""
    return format(row[name], form) if row.get(name) is not None else "-"


def _check(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.runtime.find import find_model, list_models
    from kd_planner_ros.runtime.store import load_model

    _require_folder(args.models_dir)
    found = [find_model(name, args.models_dir) for name in args.names] or list_models(args.models_dir)
    names = []
    for folder in found:
        _, _, card = load_model(folder)
        names.append(card.name)
        print(f"{card.name}: {card.parameters:,} parameters, weights {card.weights_sha256[:12]} fit card and code")
    if not found:
        print("no models to check: 'kd-planner train' makes one")
    return {"checked": names}


def _sensors(args: argparse.Namespace) -> dict[str, Any]:
    from kd_planner_ros.ros.carla_objects import to_objects, write_objects
    from kd_planner_ros.runtime.facts import model_facts, resolve_model
    from kd_planner_ros.wire.topics import require_role_name

    require_role_name(args.role_name)
    rig = model_facts(*resolve_model(args.name, str(args.models_dir or ""))).rig
    if args.out is None:
        print(json.dumps(to_objects(rig, args.role_name), indent=2))
    else:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_objects(args.out, rig, args.role_name)
        print(f"{args.out}: {_count(rig.cameras, 'camera')}, {_count(rig.lidars, 'LiDAR')} for {args.role_name}")
    return to_objects(rig, args.role_name)


def _count(things: Sized, name: str) -> str:
    return f"{len(things)} {name}{'s' * (len(things) != 1)}"
