"""A plan and what lies beside it as tables, one topic each; exact to the bit.

``plan`` is a table of one row: its columns are the trajectory, the goal, the network's own control, and every note by name.
Text is a column of UTF-8 bytes. A column that has nothing to say is left out. The row's ``parts`` names the topics that carry
the rest of this plan under the same stamp, so that a reader knows what to wait for (``wire/join.py``).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from kd_planner_ros.core.ego import Command, NavigationGoal
from kd_planner_ros.core.errors import PlannerError, SensorError
from kd_planner_ros.core.outputs import DETECTION_DTYPE, Detections, MapLines
from kd_planner_ros.core.records import Control, Plan, Trajectory
from kd_planner_ros.wire.codec.base import Make, stamp_of
from kd_planner_ros.wire.codec.pictures import pixels_of
from kd_planner_ros.wire.codec.tables import rows_of, table
from kd_planner_ros.wire.tables import cast_table, require_columns

PARTS = ("candidates", "detections", "lines")
"""Topics beside ``plan`` that a plan may need; ``attention`` is for people and is never waited for."""
_NOTE = "note/"
_EXACT = 2**53
_NAMES = DETECTION_DTYPE.names or ()
_ROWS = np.dtype([(name, "f8" if name == "id" else DETECTION_DTYPE[name].str) for name in _NAMES])  # PointField has no int64


class Candidates(NamedTuple):
    """Trajectories [K, T, 2] in ``base_link`` and their scores [K], None where the planner gives none."""

    points: np.ndarray
    scores: np.ndarray | None


@dataclass(frozen=True)
class Fault:
    """The planner has no plan for ``stamp_ns``; ``name`` says why."""

    stamp_ns: int
    name: str


class PlanHead(NamedTuple):
    """What the topic ``plan`` holds: the plan without its parts, and the names of those that belong to it."""

    plan: Plan
    parts: tuple[str, ...]


def parts_of(plan: Plan) -> dict[str, Any]:
    """The records that travel beside ``plan``, by topic of ``PARTS``."""
    found = {"candidates": None if plan.candidates is None else Candidates(plan.candidates, plan.scores),
             "detections": plan.detections, "lines": plan.lines}
    return {name: record for name, record in found.items() if record is not None}


def with_parts(plan: Plan, parts: dict[str, Any]) -> Plan:
    """``plan`` with the records ``parts`` (those of ``PARTS``, and ``attention``) in their places."""
    fields = dict(parts)
    if "candidates" in fields:
        fields["candidates"], fields["scores"] = fields["candidates"]
    return replace(plan, **fields)


def _table(columns: dict[str, np.ndarray], count: int) -> np.ndarray:
    """Arrays [count, ...] by name as one structured array [count]; arrays without numbers a row are left out."""
    kept = {name: values for name, values in columns.items() if int(np.prod(values.shape[1:]))}
    rows = np.zeros(count, np.dtype([(name, values.dtype, values.shape[1:]) for name, values in kept.items()]))
    for name, values in kept.items():
        rows[name] = values
    return rows


def _text(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8)[None]


def _numbers(rows: np.ndarray, name: str) -> np.ndarray:
    """Column ``name`` of the first row, flat; empty where it was left out."""
    return np.atleast_1d(rows[name][0]).reshape(-1) if name in (rows.dtype.names or ()) else np.zeros(0)


def _words(rows: np.ndarray, name: str) -> str:
    return _numbers(rows, name).astype(np.uint8).tobytes().decode()


def plan(make: Make, record: Plan | Fault, stamp_ns: int, frame: str) -> Any:
    """The message of a plan without its parts, or of a fault."""
    if isinstance(record, Fault):
        return table(make, _table({"fault": _text(record.name)}, 1), stamp_ns, frame)
    columns: dict[str, np.ndarray] = {"points": np.asarray(record.trajectory.points, float).reshape(1, -1),
                                      "times_s": np.asarray(record.trajectory.times_s, float).reshape(1, -1),
                                      "target": np.asarray(record.goal.target_point, float).reshape(1, 2),
                                      "command": np.array([int(record.goal.command)], np.int8),
                                      "inference_ms": np.array([record.inference_ms], float)}
    if record.control is not None:
        columns["wish"] = np.array([[record.control.throttle, record.control.steer, record.control.brake]], float)
    columns |= {_NOTE + name: np.array([value], float) for name, value in record.notes.items()}
    columns |= {"follow": _text(record.follow), "mode": _text(record.mode), "parts": _text(",".join(parts_of(record)))}
    return table(make, _table(columns, 1), stamp_ns, frame)


def plan_of(message: Any) -> PlanHead | Fault:
    """The plan without its parts, or the planner's fault.

    Raises:
        SensorError: a column is missing, or the columns do not fit together.
    """
    rows, stamp_ns = rows_of(message), stamp_of(message)
    names = rows.dtype.names or ()
    if len(rows) != 1:
        raise SensorError("one row in a plan", str(len(rows)), "check the node that published it")
    if "fault" in names:
        return Fault(stamp_ns, _words(rows, "fault"))
    require_columns(rows, ("target", "command", "inference_ms", "follow"))
    points, times, target = _numbers(rows, "points").reshape(-1, 2), _numbers(rows, "times_s"), _numbers(rows, "target")
    if len(points) != len(times) or len(target) != 2:
        raise SensorError("a time for every point and a target of two numbers in a plan",
                          f"{len(points)} points, {len(times)} times, {len(target)} numbers", "check the node that published it")
    wish = _numbers(rows, "wish").tolist()
    goal = NavigationGoal(target.copy(), Command(int(rows["command"][0])))
    notes = {name[len(_NOTE):]: float(rows[name][0]) for name in names if name.startswith(_NOTE)}
    found = Plan(stamp_ns, Trajectory(stamp_ns, points.copy(), times.copy()), goal,
                 control=Control(stamp_ns, *wish) if wish else None, inference_ms=float(rows["inference_ms"][0]),
                 notes=notes, follow=_words(rows, "follow"), mode=_words(rows, "mode"))
    return PlanHead(found, tuple(filter(None, _words(rows, "parts").split(","))))


def candidates(make: Make, record: Candidates, stamp_ns: int, frame: str) -> Any:
    """One row a candidate."""
    points = np.asarray(record.points, float)
    columns: dict[str, np.ndarray] = {"points": points.reshape(len(points), int(np.prod(points.shape[1:])))}
    if record.scores is not None:
        columns["score"] = np.asarray(record.scores, float).reshape(-1)
    return table(make, _table(columns, len(points)), stamp_ns, frame)


def candidates_of(message: Any) -> Candidates:
    """The candidates."""
    rows = rows_of(message)
    points = _column(rows, "points", np.dtype("f8"))
    scores = rows["score"].astype(float) if "score" in (rows.dtype.names or ()) else None
    return Candidates(points.reshape(len(rows), points.shape[1] // 2, 2), scores)


def detections(make: Make, record: Detections, stamp_ns: int, frame: str) -> Any:
    """One row a road user: DETECTION_DTYPE's columns, then its forecasts with their scores and times.

    Raises:
        SensorError: an id beyond 2^53.
    """
    if len(record) and np.abs(record.rows["id"]).max() > _EXACT:
        raise SensorError("ids of detections below 2^53", str(record.rows["id"].max()), "number the tracks anew")
    columns: dict[str, np.ndarray] = {name: record.rows[name].astype(_ROWS[name]) for name in _NAMES}
    if record.forecasts is not None:
        modes, steps = record.forecasts.shape[1:3]
        columns["forecasts"] = np.asarray(record.forecasts, np.float32).reshape(len(record), 2 * modes * steps)
        columns["forecast_times_s"] = np.tile(np.asarray(record.forecast_times_s, float), (len(record), 1))
        if record.forecast_scores is not None:
            columns["forecast_scores"] = np.asarray(record.forecast_scores, np.float32)
    return table(make, _table(columns, len(record)), stamp_ns, frame)


def detections_of(message: Any) -> Detections:
    """The road users. Where there are none, there are no forecasts either.

    Raises:
        SensorError: a column of DETECTION_DTYPE is missing, forecasts do not fit their times, or these do not increase from 0 on.
    """
    rows = rows_of(message)
    plain = cast_table(rows, _ROWS).astype(DETECTION_DTYPE)
    if "forecasts" not in (rows.dtype.names or ()) or not len(rows):
        return Detections(plain)
    times = _column(rows, "forecast_times_s", np.dtype("f8"))[0].copy()
    flat = _column(rows, "forecasts", np.dtype("f4"))
    if not len(times) or flat.shape[1] % (2 * len(times)):
        raise SensorError(f"forecasts of {len(times)} positions", f"{flat.shape[1]} numbers", "check the node that published them")
    forecasts = flat.reshape(len(rows), -1, len(times), 2)
    scores = None
    if "forecast_scores" in (rows.dtype.names or ()):
        scores = _column(rows, "forecast_scores", np.dtype("f4"))
        if scores.shape != forecasts.shape[:2]:
            raise SensorError(f"{forecasts.shape[1]} forecast scores", str(scores.shape[1]), "check the node that published them")
    try:
        return Detections(plain, forecasts, scores, times)
    except PlannerError as error:
        raise SensorError(error.expected, error.got, "check the node that published them") from None


def lines(make: Make, record: MapLines, stamp_ns: int, frame: str) -> Any:
    """One row a line."""
    points = np.asarray(record.points, np.float32)
    columns: dict[str, np.ndarray] = {"kind": np.asarray(record.kinds, np.uint8), "score": np.asarray(record.scores, np.float32),
               "points": points.reshape(len(points), 2 * points.shape[1])}
    return table(make, _table(columns, len(points)), stamp_ns, frame)


def lines_of(message: Any) -> MapLines:
    """The lines.

    Raises:
        SensorError: a column is missing.
    """
    rows = rows_of(message)
    require_columns(rows, ("kind", "score"))
    flat = _column(rows, "points", np.dtype("f4")) if "points" in (rows.dtype.names or ()) else np.zeros((len(rows), 0), np.float32)
    return MapLines(flat.reshape(len(rows), flat.shape[1] // 2, 2), rows["kind"].astype(np.uint8), rows["score"].astype(np.float32))


def attention_of(message: Any) -> np.ndarray:
    """Attention float32 [h, w]."""
    return pixels_of(message).astype(np.float32, copy=False)


def _column(rows: np.ndarray, name: str, kind: np.dtype) -> np.ndarray:
    """Column ``name`` as an array [K, count], its own memory."""
    require_columns(rows, (name,))
    count = int(np.prod(rows.dtype[name].shape, dtype=int))
    return np.array(rows[name], kind).reshape(len(rows), count)
