"""PDMS and EPDMS of planners over the scenes of recordings: reads scenes, has each planner plan, drives the plans, sums up."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.bags.source import find_sources
from kd_planner_ros.core.errors import BagError, ConfigError
from kd_planner_ros.core.fields import check_fields
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.folders import make_folder
from kd_planner_ros.evaluation.pdm.blocks import CONFIDENCE, Blocks
from kd_planner_ros.evaluation.pdm.config import CONSTANT_SPEED, LONGER, PdmsConfig, require_horizons
from kd_planner_ros.evaluation.pdm.drives import DriveScenes, Plans, plans_from_json, plans_of, plans_to_json, read_drives
from kd_planner_ros.evaluation.pdm.labels import Label, find_labels, pool
from kd_planner_ros.evaluation.pdm.measure import BEYOND, Judged, Key, Scores, judge_drivers, score_driver, score_plans
from kd_planner_ros.evaluation.pdm.motion import reaches
from kd_planner_ros.evaluation.pdm.score import MULTIPLIERS, V1_MULTIPLIERS, V1_WEIGHTS, WEIGHTS
from kd_planner_ros.evaluation.pdm.summary import WANTED_SCENES, summarise, tables
from kd_planner_ros.evaluation.run_folder import lock_settings
from kd_planner_ros.evaluation.seen_maps import marks, recorded_parts
from kd_planner_ros.networks.planner import PLANNER
from kd_planner_ros.networks.registry import find_network, is_weightless
from kd_planner_ros.runtime.facts import EXPERT, FALLBACK, cards_of, models_of, planner_facts
from kd_planner_ros.runtime.kept_parts import source_hash

__all__ = ["PdmsConfig", "run"]

LEAST_SHARE = 0.5
"""A row with plans in a smaller share of the scenes is not in the table."""


def run(config: PdmsConfig, progress: bool = True) -> dict[str, Any]:
    """The scores of every planner over every horizon, JSON-ready.

    ``horizons`` holds by horizon the ``planners`` with totals, intervals and parts (``summary.summarise``), over the ``scenes`` in which
    all of them have a plan that reaches so far, and ``not_scored`` with reasons: a planner with plans in fewer than ``LEAST_SHARE`` of
    the scenes is among those, so that the others keep theirs. ``with_plans`` counts each row's own scenes, ``beyond`` those of
    the table in which it left what the scene holds of the road; over fewer than ``wanted_scenes`` intervals are wide. ``left_out`` counts
    instants of the recordings by reason, ``without_plan`` the scenes that each planner has no plan for. ``trained_on`` names by planner
    those of the recordings' maps that it was trained on (``seen_maps.trained_on``). Where planners differ in the training seed alone,
    ``labels`` of a horizon holds their scores pooled (``labels.pool``); ``no_label`` says why a planner does not count in one.

    Raises:
        BagError: no recording, a broken one, one that lacks what scenes need, or no scene.
        PlannerError, CardError, SensorError: from a planner; a planner that was named and has its sensors in no recording.
        MapError: the map of a recording. ConfigError: an option out of range, or OUT holds another evaluation.
        OSError: OUT cannot be made.
    """
    check_fields(config)
    horizons = require_horizons(config.horizons)
    names = _planners(config)
    sources = find_sources(config.bag, config.role_name, config.camera)
    if config.out is not None:
        make_folder(config.out)
    drives = read_drives(sources, max(horizons.values()), config.every_s, config.disturbed, config.map)
    _draw(drives, config)
    if config.out is not None:
        lock_settings(Path(config.out) / "settings.json", _settings(config, drives), "evaluation by PDMS")
    plans, missing = _plan(names, drives, config, progress)
    cards = cards_of({name: names[name] for name in plans}, str(config.models_dir or ""))
    labels, doubled = find_labels(cards)
    scored = {f"{horizon:g}": _over(judge_drivers(drives, steps, config.ignore_touching), plans, config, labels)
              for horizon, steps in horizons.items()}
    result = _result(config, drives, plans, missing, {name: one for name, (one, _) in scored.items()})
    result |= {"no_label": doubled, "trained_on": marks(cards, recorded_parts(sources, ", ".join(map(str, config.bag))))}
    if config.out is not None:
        _write(Path(config.out), result, {name: rows for name, (_, rows) in scored.items()})
    return result


def _planners(config: PdmsConfig) -> dict[str, str]:
    """What a loader takes by the name of each row of the table."""
    shipped = [*(folder.name for folder in models_of(PLANNER, str(config.models_dir or ""))), FALLBACK, EXPERT]
    given = list(config.planners) or shipped
    found = {Path(name).name: name for name in given}
    if len(found) != len(given):
        raise ConfigError("--planners with different names", ", ".join(given), "name each planner once, and rename equal folders")
    return found


def _draw(drives: Sequence[DriveScenes], config: PdmsConfig) -> None:
    """Keep ``config.scenes`` scenes, drawn from the seed."""
    every = [(drive.name, stamp) for drive in drives for stamp in drive.found.scenes]
    if not every:
        left = sum((drive.found.left_out for drive in drives), Counter[str]())
        reasons = ", ".join(f"{count} {reason}" for reason, count in left.items()) or "no object lists"
        raise BagError("a scene in the recordings", f"none: {reasons}",
                       "record longer drives, without disturbances ('kd-planner record --no-disturb'), or give --disturbed")
    if config.scenes and config.scenes < len(every):
        chosen = np.random.default_rng([config.seed, 0x7363656E]).choice(len(every), config.scenes, replace=False)
        kept = {every[row] for row in chosen.tolist()}
        for drive in drives:
            drive.draw(stamp for stamp in list(drive.found.scenes) if (drive.name, stamp) in kept)


def _settings(config: PdmsConfig, drives: Sequence[DriveScenes]) -> dict[str, Any]:
    """What makes this evaluation itself."""
    wanted = hashlib.sha256(repr([(drive.name, drive.wanted.tolist()) for drive in drives]).encode()).hexdigest()
    return {"scenes": wanted, "engine": config.engine}


def _plan(names: Mapping[str, str], drives: Sequence[DriveScenes], config: PdmsConfig,
          progress: bool) -> tuple[dict[str, Mapping[str, Plans]], dict[str, str]]:
    """(plans by planner and drive; none for the recorded driver, why a planner has none)."""
    plans: dict[str, Mapping[str, Plans]] = {}
    missing: dict[str, str] = {}
    for name, place in names.items():
        found, why = ({}, "") if place == EXPERT else _plans_by_drive(name, place, drives, config, progress)
        if place != EXPERT and not any(found.values()):
            if config.planners:
                raise BagError(f"a recording with the sensors of '{name}'", why or "none",
                               f"record the drives with its sensors too, or leave '{name}' out of --planners")
            missing[name] = why or "no plan at any scene"
        else:
            plans[name] = found
    return plans, missing


def _plans_by_drive(name: str, place: str, drives: Sequence[DriveScenes], config: PdmsConfig,
                    progress: bool) -> tuple[dict[str, dict[int, Any]], str]:
    from tqdm import tqdm

    from kd_planner_ros.runtime.load import load_planner

    path = None if config.out is None else Path(config.out) / "plans" / f"{name}-{_source(place, config, drives)}.json"
    if path is not None and path.is_file():
        return plans_from_json(path), ""
    planner = load_planner(place, config.device, config.engine, config.models_dir)
    found, why = {}, ""
    for drive in tqdm(drives, unit="drive", desc=name, disable=not progress, dynamic_ncols=True):
        found[drive.name], reason = plans_of(planner, drive)
        why = why or reason
    if path is not None and any(found.values()):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, plans_to_json(found))
    return found, why


def _source(place: str, config: PdmsConfig, drives: Sequence[DriveScenes]) -> str:
    """What the plans of a planner on given scenes follow from beside the engine, as a short hash: weights, their config, code, cameras,
    device and recordings."""
    card = {} if is_weightless(place) else planner_facts(place, str(config.models_dir or "")).card
    code = source_hash(find_network(card["network"]) if card else None)
    recordings = [drive.content for drive in drives]
    made_by = [card.get("weights_sha256", ""), card.get("config", {}), code, list(config.camera), config.device, recordings]
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:12]


def _over(judged: Judged, plans: Mapping[str, Mapping[str, Plans]], config: PdmsConfig,
          labels: Sequence[Label] = ()) -> tuple[dict[str, Any], dict[str, Scores]]:
    """(the result over one horizon, the scores by row and scene behind it)."""
    rows: dict[str, Scores] = {}
    not_scored: dict[str, str] = {}
    for name, own in plans.items():
        found = score_driver(judged) if not own else score_plans(judged, own, extend=False)
        if found:
            rows[name] = found
            continue
        not_scored[name] = _why_not(own, judged.steps)
        if config.extend == CONSTANT_SPEED and (more := score_plans(judged, own, extend=True)):
            rows[_longer(name)] = more
    shown, common, thin = _together(rows, judged.scenes)
    not_scored |= thin
    facts: dict[str, Any] = {"with_plans": {name: len(one) for name, one in rows.items()}, "not_scored": not_scored}
    if not common:
        return {"scenes": 0, "blocks": 0, "planners": {}, **facts}, rows
    blocks = Blocks(common, config.block_s, config.resamples, config.seed)
    baseline = next((name for name in (config.baseline, _longer(config.baseline)) if name in shown), "")
    facts["beyond"] = {name: count for name, one in shown.items() if (count := sum(one[key].get(BEYOND, 0.0) > 0.0 for key in common))}
    standing = sum(judged.drivers[key].progress_m <= 0.5 for key in common)
    return {"scenes": len(common), "blocks": blocks.draws.shape[1], "driver_stands": standing,
            "planners": summarise(shown, blocks, baseline),
            **({"labels": pool(labels, shown, blocks, config.baseline, config.seed)} if labels else {}), **facts}, rows


def _together(rows: Mapping[str, Scores], scenes: Iterable[Key]) -> tuple[dict[str, Scores], list[Key], dict[str, str]]:
    """(the rows of the table, the scenes in which all of them are scored, why each other row is not in the table)."""
    most = max(map(len, rows.values()), default=0)
    shown = {name: one for name, one in rows.items() if len(one) >= LEAST_SHARE * most}
    common = [key for key in scenes if all(key in one for one in shown.values())] if shown else []
    why = {name: f"it has plans in {len(one)} of {most} scenes" + ", and in none have all" * (name in shown)
           for name, one in rows.items() if name not in shown or (not common and len(one) < most)}
    return shown, common, why


def _why_not(plans: Mapping[str, Plans], steps: int) -> str:
    """Why none of ``plans`` is scored over ``steps`` steps."""
    every = [plan for own in plans.values() for plan in own.values()]
    if not any(np.isfinite(plan.points).all() for plan in every):
        return "its plans are not finite"
    if any(reaches(plan, steps) for plan in every):
        return "in no scene are there its plan and the one before"
    return "its plans end earlier"


def _longer(name: str) -> str:
    """The row of planner ``name`` with plans that go on at constant speed."""
    return name + LONGER


def _result(config: PdmsConfig, drives: Sequence[DriveScenes], plans: Mapping[str, Mapping[str, Plans]], missing: Mapping[str, str],
            horizons: Mapping[str, Any]) -> dict[str, Any]:
    wanted = [(drive.name, stamp, drive.found.befores[stamp]) for drive in drives for stamp in drive.found.scenes]
    without = {name: sum(not {stamp, before} <= set(own.get(drive, {})) for drive, stamp, before in wanted)
               for name, own in plans.items() if own}
    left_out = sum((drive.found.left_out for drive in drives), Counter[str]())
    return {"drives": len(drives), "recordings": sum(len(drive.sources) for drive in drives), "scenes": len(wanted),
            "wanted_scenes": WANTED_SCENES, "left_out": dict(left_out), "without_plan": without, "no_sensors": dict(missing),
            "horizons": dict(horizons), "seed": config.seed, "every_s": config.every_s, "baseline": config.baseline,
            "extend": config.extend, "resamples": config.resamples, "confidence": CONFIDENCE, "block_s": config.block_s,
            "formula": {"PDMS": {"multipliers": list(V1_MULTIPLIERS), "weights": dict(V1_WEIGHTS)},
                        "EPDMS": {"multipliers": list(MULTIPLIERS), "weights": dict(WEIGHTS)}}}


def _write(out: Path, result: Mapping[str, Any], rows: Mapping[str, Mapping[str, Scores]]) -> None:
    write_text(out / "pdms.json", json.dumps(result, indent=1) + "\n")
    write_text(out / "pdms.md", "\n".join(tables(result)) + "\n")
    lines = [json.dumps({"horizon_s": float(horizon), "planner": name, "drive": key[0], "stamp_s": key[1] / 1e9, **scores})
             for horizon, by_name in rows.items() for name, found in by_name.items() for key, scores in found.items()]
    write_text(out / "scenes.jsonl", "\n".join(lines) + "\n")
