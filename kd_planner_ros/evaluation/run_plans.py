"""A plan as one line of ``plans.jsonl``, and back. Numbers but the times of forecasts are rounded to 0.1 mm; NaN travels as null.

Every line has ``PLAN_KEYS``. What a planner does not give is left out: ``candidates`` with ``scores``, ``detections``, ``lines``,
``notes``, ``mode``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_planner_ros.core.ego import Command, NavigationGoal
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections, MapLines
from kd_planner_ros.core.records import Plan, Trajectory

PLAN_KEYS = ("stamp_s", "points", "times_s", "goal", "command", "attention", "inference_ms")
COMMAND_TEXT = {"LANE_FOLLOW": "follow the lane"}
_COLUMNS = DETECTION_DTYPE.names or ()


def command_text(name: str) -> str:
    """The navigation command ``name`` of a line, in words for a reader."""
    return COMMAND_TEXT.get(name, name.replace("_", " ").lower())


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as an object of plain lists; points and goal in ``base_link`` at ``stamp_s``."""
    found = {
        "stamp_s": round(plan.stamp_ns / 1e9, 3), "points": rounded(plan.trajectory.points),
        "times_s": rounded(plan.trajectory.times_s), "goal": rounded(plan.goal.target_point),
        "command": Command(plan.goal.command).name,
        "attention": None if plan.attention is None else np.round(np.asarray(plan.attention, float), 5).tolist(),
        "inference_ms": round(float(plan.inference_ms), 3)}
    if plan.candidates is not None:
        found["candidates"] = _nullable(plan.candidates)
    if plan.scores is not None:
        found["scores"] = _nullable(plan.scores)
    if plan.detections is not None:
        found["detections"] = _detections_to_json(plan.detections)
    if plan.lines is not None:
        found["lines"] = {"points": _nullable(plan.lines.points), "kinds": np.asarray(plan.lines.kinds, int).tolist(),
                          "scores": _nullable(plan.lines.scores)}
    if plan.notes:
        found["notes"] = {name: _nullable(np.float64(value)) for name, value in plan.notes.items()}
    if plan.mode:
        found["mode"] = plan.mode
    return found


def plan_from_json(entry: Mapping[str, Any]) -> Plan:
    """The plan of one line; the network's own control and the name of the controller are not in it."""
    stamp_ns = round(entry["stamp_s"] * 1e9)
    attention, lines = entry.get("attention"), entry.get("lines")
    return Plan(
        stamp_ns, Trajectory(stamp_ns, _array(entry["points"], 2), _array(entry["times_s"])),
        NavigationGoal(_array(entry["goal"]), Command[entry["command"]]), inference_ms=entry["inference_ms"],
        attention=None if attention is None else np.array(attention, np.float32),
        candidates=candidates_of(entry), scores=_array(entry["scores"]) if "scores" in entry else None,
        detections=_detections_from_json(entry["detections"]) if "detections" in entry else None,
        lines=None if lines is None else _lines_from_json(lines),
        notes={name: float("nan") if value is None else value for name, value in entry.get("notes", {}).items()},
        mode=entry.get("mode", ""))


def candidates_of(entry: Mapping[str, Any]) -> np.ndarray | None:
    """The candidates [K, T, 2] of one line, None where the planner gave none."""
    if "candidates" not in entry:
        return None
    found = _array(entry["candidates"])
    return found.reshape(len(found), -1, 2) if found.size else np.zeros((len(found), 0, 2))


def rounded(values: Any) -> list:
    """Numbers of any shape to four decimals."""
    return np.round(np.asarray(values, float), 4).tolist()


def _nullable(values: Any) -> Any:
    numbers = np.round(np.asarray(values, float), 4)
    return np.where(np.isfinite(numbers), numbers.astype(object), None).tolist()


def _array(values: Any, columns: int = 0) -> np.ndarray:
    numbers = np.array(values, float)
    return numbers.reshape(-1, columns) if columns else numbers


def _detections_to_json(found: Detections) -> dict[str, Any]:
    rows = found.rows
    out = {name: rows[name].tolist() if name in ("id", "kind") else _nullable(rows[name]) for name in _COLUMNS}
    if found.forecasts is not None:
        times_s = np.asarray(found.forecast_times_s, float).tolist()  # rounded ones may be 0, or equal, which Detections refuses
        out |= {"forecasts": _nullable(found.forecasts), "forecast_times_s": times_s}
    if found.forecast_scores is not None:
        out["forecast_scores"] = _nullable(found.forecast_scores)
    return out


def _detections_from_json(entry: Mapping[str, Any]) -> Detections:
    rows = np.zeros(len(entry["id"]), DETECTION_DTYPE)
    for name in _COLUMNS:
        rows[name] = np.array(entry[name], np.int64 if name in ("id", "kind") else float)
    if not entry.get("forecasts"):
        return Detections(rows)
    scores = np.array(entry["forecast_scores"], np.float32) if "forecast_scores" in entry else None
    return Detections(rows, np.array(entry["forecasts"], np.float32), scores, _array(entry["forecast_times_s"]))


def _lines_from_json(entry: Mapping[str, Any]) -> MapLines:
    points = np.array(entry["points"], np.float32)
    return MapLines(points.reshape(len(points), -1, 2) if points.size else np.zeros((len(points), 0, 2), np.float32),
                    np.array(entry["kinds"], np.uint8), np.array(entry["scores"], np.float32))
