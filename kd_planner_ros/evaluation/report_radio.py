"""What came by radio, for the reports: states of the V2X gateway, roadside views, and what was refused."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from kd_planner_ros.core.v2x import CoopState
from kd_planner_ros.driving.supervisor import Reason
from kd_planner_ros.evaluation import plots
from kd_planner_ros.evaluation.run_folder import Run
from kd_planner_ros.v2x import evidence
from kd_planner_ros.v2x.log import PICTURES
from kd_planner_ros.v2x.reasons import TEXTS

STYLES = {CoopState.COOP_FULL: "full", CoopState.COOP_OBJECTS: "lists", CoopState.EGO_ONLY: "alone", CoopState.MINIMAL_RISK: "risk"}
"""CSS class of each state."""


def of_drive(run: Run, most: int) -> dict[str, Any] | None:
    """What the page of one drive shows, with at most ``most`` roadside views; None where the drive had no gateway."""
    lines = [line for line in run.radio if "state" in line]
    if not lines:
        return None
    stamps = run.telemetry["stamp_s"]
    t0, t1 = (float(stamps[0]), float(stamps[-1])) if len(stamps) else (lines[0]["stamp_s"], lines[-1]["stamp_s"])
    spans = _spans(lines, max(t1, lines[-1]["stamp_s"]))
    rejected = _rejected(lines[-1]["rejected"])
    return {"strip": plots.time_strip(spans, t0, t1, marks_s=[event["stamp_s"] for event in run.events]), "states": _states(lines, spans),
            "accepted": lines[-1]["accepted"], "refused": sum(row["count"] for row in rejected), "rejected": rejected,
            "views": _views(run, most), "cautious": run.telemetry["reason"].count(Reason.HIDDEN_OBJECT),
            "red": run.telemetry["reason"].count(Reason.RED_SIGNAL),
            "evidence": evidence.FILE_NAME if (run.folder / evidence.FILE_NAME).is_file() else ""}


def of_drives(facts: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the page of an evaluation shows of the summed ``RadioLink.facts``; None where no car heard the radio."""
    if not facts:
        return None
    ticks = sum(facts["states"].values())
    states = [{"name": state.name, "ticks": count, "share": 100.0 * count / ticks}
              for state in CoopState if (count := facts["states"].get(state.name, 0))]
    rejected = _rejected(facts["refused"])
    return {"states": states, "accepted": facts["accepted"], "rejected": rejected, "refused": sum(row["count"] for row in rejected),
            "channel": ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in facts["channel"].items()) or "nothing sent",
            "bytes_sent": facts["bytes_sent"], "cautious": facts["cautious_ticks"]}


def _spans(lines: list[dict[str, Any]], end_s: float) -> list[plots.Span]:
    """One span for each stretch of a single state; each line holds until the next one."""
    spans: list[plots.Span] = []
    for line, until_s in zip(lines, [*(line["stamp_s"] for line in lines[1:]), end_s], strict=True):
        if spans and spans[-1].label == line["state"]:
            spans[-1] = plots.Span(line["state"], spans[-1].from_s, until_s, spans[-1].style)
        else:
            spans.append(plots.Span(line["state"], line["stamp_s"], until_s, STYLES[CoopState[line["state"]]]))
    return spans


def _states(lines: list[dict[str, Any]], spans: list[plots.Span]) -> list[dict[str, Any]]:
    """Seconds and share of each state that occurred, best first, with every sentence that was given for it."""
    seconds: dict[str, float] = defaultdict(float)
    for span in spans:
        seconds[span.label] += span.to_s - span.from_s
    whole = sum(seconds.values()) or 1.0
    return [{"name": state.name, "style": STYLES[state], "seconds": seconds[state.name], "share": 100.0 * seconds[state.name] / whole,
             "why": list(dict.fromkeys(line["why"] for line in lines if line["state"] == state.name and line["why"]))}
            for state in CoopState if state.name in seconds]


def _rejected(counts: Mapping[str, int]) -> list[dict[str, Any]]:
    """A row for each reason, the most frequent one first."""
    return [{"reason": reason, "count": count, "meaning": TEXTS.get(reason, "")}
            for reason, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]


def _views(run: Run, most: int) -> list[dict[str, str]]:
    """Evenly spread roadside views, as data URIs; those whose file is missing are left out."""
    there = [line for line in run.radio if "view" in line and (run.folder / PICTURES / line["view"]).is_file()]
    chosen = sorted({round(i) for i in np.linspace(0, len(there) - 1, min(most, len(there)))})
    return [{"uri": "data:image/jpeg;base64," + base64.b64encode((run.folder / PICTURES / line["view"]).read_bytes()).decode(),
             "text": f'{line["stamp_s"]:.1f} s, {line["station"]}/{line["camera"]}, {line["age_s"]:.2f} s old'}
            for line in (there[i] for i in chosen)]
