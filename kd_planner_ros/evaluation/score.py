"""The leaderboard's arithmetic: from the facts of each route to scores, infraction rates and the statistics file.

Source: CARLA leaderboard 1.0 ``statistics_manager.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.foreign import reading

PENALTIES = {
    "collisions_pedestrian": 0.50, "collisions_vehicle": 0.60, "collisions_layout": 0.65, "red_light": 0.70,
    "stop_infraction": 0.80,
}
"""Factor per event. Leaving the lanes multiplies by 1 - share outside; how a route ends has no factor."""

INFRACTIONS = ("collisions_layout", "collisions_pedestrian", "collisions_vehicle", "outside_route_lanes", "red_light",
               "route_dev", "route_timeout", "stop_infraction", "vehicle_blocked")
"""Order of the leaderboard's file."""

COLLISIONS = ("collisions_pedestrian", "collisions_vehicle", "collisions_layout")
RULES = ("red_light", "stop_infraction", "outside_route_lanes")
"""What PlanKD's tables call Collision Rate and Infraction Rate."""

LABELS = ("Avg. driving score", "Avg. route completion", "Avg. infraction penalty", "Collisions with pedestrians",
          "Collisions with vehicles", "Collisions with layout", "Red lights infractions", "Stop sign infractions",
          "Off-road infractions", "Route deviations", "Route timeouts", "Agent blocked")


def outcome(status: str) -> str:
    """The leaderboard's ``status`` of a route in the words of reports and consoles: "Started" is a drive that was ended early."""
    return {"Started": "stopped before the end"}.get(status, status)


@dataclass(frozen=True)
class RouteRecord:
    """One drive in the leaderboard's terms. Scores in per cent, ``score_penalty`` in [0, 1], lengths in metres,
    durations in seconds; ``infractions`` maps each of ``INFRACTIONS`` to the sentences of its events."""

    route_id: str
    index: int
    status: str
    score_route: float
    score_penalty: float
    infractions: Mapping[str, Sequence[str]]
    route_length_m: float
    key_length_m: float
    duration_game_s: float
    duration_system_s: float
    seed: int = 0
    town: str = ""
    notes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def score_composed(self) -> float:
        """Driving score of the route in per cent."""
        return self.score_route * self.score_penalty

    def to_json(self) -> dict[str, Any]:
        """The record as the leaderboard writes it under ``_checkpoint.records``, with our few additions beside."""
        return {
            "index": self.index, "route_id": self.route_id, "status": self.status,
            "infractions": {kind: list(self.infractions.get(kind, ())) for kind in INFRACTIONS},
            "meta": {"route_length": self.route_length_m, "key_point_length": self.key_length_m,
                     "duration_game": round(self.duration_game_s, 3), "duration_system": round(self.duration_system_s, 3),
                     "seed": self.seed, "town": self.town, **self.notes},
            "scores": {"score_composed": self.score_composed, "score_route": self.score_route,
                       "score_penalty": self.score_penalty},
        }


def route_record(facts: Mapping[str, Any], *, index: int = 0, seed: int = 0, repetition: int = 0,
                 duration_system_s: float = 0.0, notes: Mapping[str, Any] | None = None) -> RouteRecord:
    """The record of one drive from what ``RouteMonitor.result()`` gave.

    Args:
        facts: the monitor's dict.
        duration_system_s: wall time of the drive; leave 0 where two runs must give identical files.
    """
    infractions: dict[str, list[str]] = {kind: [] for kind in INFRACTIONS}
    penalty = 1.0
    for event in facts["events"]:
        infractions[event["kind"]].append(event["message"])
        penalty *= PENALTIES.get(event["kind"], 1.0)
    penalty *= 1.0 - float(facts["outside_share"])
    return RouteRecord(
        f"RouteScenario_{facts['route']}_rep{repetition}", index, facts["status"], 100.0 * facts["completion"], penalty,
        infractions, facts["route_length_m"], facts["key_length_m"], facts["duration_game_s"], duration_system_s, seed,
        facts["town"], dict(notes or {}))


def legacy_rate(records: Iterable[RouteRecord], kinds: Sequence[str]) -> float:
    """Infractions of ``kinds`` in the unit of PlanKD's tables: sum over routes of n / max(RC L, 0.001), RC in per cent
    and L in km on the key points. One event on one completed 70.7 m route gives 0.141."""
    return float(sum(
        sum(len(record.infractions.get(kind, ())) for kind in kinds)
        / max(record.score_route * record.key_length_m / 1000.0, 0.001) for record in records))


def true_rate(records: Iterable[RouteRecord], kinds: Sequence[str]) -> float:
    """Infractions of ``kinds`` per km driven: sum of n / sum of RC L, L the dense plan's length; 0 if nothing was driven."""
    records = list(records)
    count = sum(len(record.infractions.get(kind, ())) for record in records for kind in kinds)
    driven_km = sum(record.score_route / 100.0 * record.route_length_m for record in records) / 1000.0
    return count / driven_km if driven_km > 0.0 else 0.0


def summary(records: Sequence[RouteRecord]) -> dict[str, float]:
    """Means over routes: driving_score, route_completion (per cent), infraction_score, both rates in both units, and the red lights
    that were run, per km."""
    if not records:
        raise ConfigError("at least one driven route", "none", "drive a route first")
    return {
        "driving_score": float(np.mean([r.score_composed for r in records])),
        "route_completion": float(np.mean([r.score_route for r in records])),
        "infraction_score": float(np.mean([r.score_penalty for r in records])),
        "collision_rate_legacy": legacy_rate(records, COLLISIONS), "infraction_rate_legacy": legacy_rate(records, RULES),
        "collision_rate_per_km": true_rate(records, COLLISIONS), "infraction_rate_per_km": true_rate(records, RULES),
        "red_lights_per_km": true_rate(records, ("red_light",)),
        "completed": sum(r.status == "Completed" for r in records) / len(records),
    }


def statistics(records: Sequence[RouteRecord], total: int | None = None, sensors: Sequence[str] = ()) -> dict[str, Any]:
    """The whole statistics file of the leaderboard for ``records``; ``total`` is the number of routes planned.

    ``_checkpoint.global_record.infractions`` holds events per km (the corrected rate); PlanKD's unit lies beside it
    under ``infractions_legacy``.
    """
    total = len(records) if total is None else total
    checkpoint: dict[str, Any] = {"progress": [len(records), total], "records": [r.to_json() for r in records],
                                  "global_record": {}}
    values: list[str] = []
    if records:
        means = summary(records)
        rates = {kind: true_rate(records, [kind]) for kind in INFRACTIONS}
        checkpoint["global_record"] = {
            "index": -1, "route_id": -1, "status": "Completed" if len(records) >= total else "Started",
            "scores": {"score_composed": means["driving_score"], "score_route": means["route_completion"],
                       "score_penalty": means["infraction_score"]},
            "infractions": rates, "infractions_legacy": {kind: legacy_rate(records, [kind]) for kind in INFRACTIONS},
            "summary": means,
            "meta": {"exceptions": [[r.route_id, r.index, r.status] for r in records if r.status != "Completed"],
                     "duration_game": round(sum(r.duration_game_s for r in records), 3),
                     "route_length": sum(r.route_length_m for r in records)},
        }
        order = [*COLLISIONS, *RULES, "route_dev", "route_timeout", "vehicle_blocked"]
        numbers = [means["driving_score"], means["route_completion"], means["infraction_score"],
                   *(rates[kind] for kind in order)]
        values = [f"{number:.3f}" for number in numbers]
    return {"_checkpoint": checkpoint, "eligible": len(records) >= total, "entry_status": "Finished"
            if len(records) >= total else "Started", "labels": list(LABELS), "sensors": list(sensors), "values": values}


def read_records(path: Path) -> list[RouteRecord]:
    """The route records in a statistics file that ``statistics`` made.

    Raises:
        ConfigError: the file is missing or is no statistics file.
    """
    if not Path(path).is_file():
        raise ConfigError(f"a statistics file at {path}", "no file", "run 'kd-planner evaluate closed-loop'")
    with reading(ConfigError, f"leaderboard statistics in {path}", "delete the file and evaluate again"):
        rows = json.loads(Path(path).read_text())["_checkpoint"]["records"]
        return [_from_json(row) for row in rows]


def write_statistics(path: Path, records: Sequence[RouteRecord], total: int | None = None,
                     sensors: Sequence[str] = ()) -> None:
    """Write the statistics file in one step; the same records give the same bytes."""
    write_text(Path(path), json.dumps(statistics(records, total, sensors), indent=2, sort_keys=True) + "\n")


def _from_json(row: Mapping[str, Any]) -> RouteRecord:
    meta = dict(row["meta"])
    known = [meta.pop(key) for key in ("route_length", "key_point_length", "duration_game", "duration_system", "seed", "town")]
    return RouteRecord(row["route_id"], row["index"], row["status"], row["scores"]["score_route"],
                       row["scores"]["score_penalty"], row["infractions"], *known, meta)
