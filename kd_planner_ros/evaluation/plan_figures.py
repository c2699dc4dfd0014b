"""The figures of an evaluation of plans as lines of text: ``evaluate open-loop`` and ``replay`` print them alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kd_planner_ros.evaluation import detected, nuscenes


def lines(result: Mapping[str, Any], left: str) -> list[str]:
    """A table by time, and what else ``open_loop.run`` or ``replay_score.score`` gave; ``left`` ends the line of counts."""
    found = [f"{'time s':<10} {'L2 m':>8} {'touches':>8} {'plans':>6}"]
    found += [f"{name:<10} {_number(result['l2_m'][name])} {_number(result['collision_rate'][name])} {plans:>6}"
              for name, (plans, _) in result["counted"].items()]
    found += [*nuscenes.table(result["nuscenes"]), *detected.table(result["detected"])]
    if result["min_ade_plans"]:
        found.append(f"minADE {_number(result['min_ade_m']).strip()} m, the best candidate of each of {result['min_ade_plans']} plans")
    found.append(f"steering error {_number(result['steer_mae']).strip()} of full lock over {result['steered']} plans; "
                 f"{result['refused']} plans refused, {left}")
    return found


def replayed(result: Mapping[str, Any]) -> list[str]:
    """``lines`` of what ``replay`` gave, then what was played, heard, noted and written."""
    found = lines(result, f"{result['unanswered']} ticks without a control in time")
    found.append(f"{result['frames']} pictures asked {result['planner']} for a plan, {result['dropped']} got none; {result['extra']} plans "
                 f"at other times; {result['unreadable']} pictures unreadable; played in {result['wall_s']:.0f} s")
    if "perceptions" in result:
        found.append(f"{result['perceptions']} perceptions, {result['pictures_unseen']} pictures without one")
    if "radio" in result:
        found.append("radio: " + (", ".join(f"{count} {what}" for what, count in result["radio"].items()) or "nothing was sent"))
    if result.get("roadside_unheard"):
        found.append(f"{result['roadside_unheard']} messages of roadside stations were not taken in time")
    found += [f"calibration: {name}: {said}" for name, said in result["calibration"].items()]
    found += [str(note) for note in result.get("notes", ())]
    if "out" in result:
        found.append(f"written: {result['out']}, {sum(result['written'].values())} messages of {len(result['written'])} topics")
        found += [f"not written: {topic}: {kind}" for topic, kind in result.get("not_written", {}).items()]
    return found


def _number(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.3f'):>8}"
