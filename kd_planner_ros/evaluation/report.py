"""A run folder as one HTML page: scores, what the car saw and planned, where it drove, and what went wrong."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from kd_planner_ros import __version__
from kd_planner_ros.core.card import CARD
from kd_planner_ros.core.files import write_text
from kd_planner_ros.evaluation import animation, plots, report_facts, report_radio
from kd_planner_ros.evaluation.overlay import project, ribbon
from kd_planner_ros.evaluation.run_folder import Run, read_run
from kd_planner_ros.evaluation.run_plans import command_text
from kd_planner_ros.evaluation.score import outcome
from kd_planner_ros.imaging import dense_strip
from kd_planner_ros.runtime.facts import card_by_name

KEY_PICTURES = 6
MOST_FRAMES = 900


def write(run_dir: Path) -> Path:
    """Write ``report.html`` and ``drive.webp`` into the run folder ``run_dir``; gives back the page's path.

    The page needs no network. Key pictures, plots and map are inside it; the film strip and the animation are files
    beside it, and so is ``card.json``, a copy of the planner's card. A drive that was cut short, has no pictures or no plans gives a
    page that says so.

    Raises:
        ConfigError: ``run_dir`` is no run folder.
    """
    run = read_run(run_dir)
    animated = animation.write(run, run.folder / "drive.webp")
    environment = jinja2.Environment(loader=jinja2.PackageLoader("kd_planner_ros.evaluation"), autoescape=True,
                                     undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    drawing, view = plots.route_map(run)
    card = dict(run.info.card) or card_by_name(run.info.planner, str(run.info.facts.get("model", "")))
    if card:
        write_text(run.folder / CARD, json.dumps(card, indent=2, sort_keys=True) + "\n")
    page = environment.get_template("report.html.j2").render(
        run=run, version=__version__, animated=animated, left=plots.LEFT, right=plots.RIGHT, width=plots.PLOT_SIZE[0],
        cards=score_cards(run), status=_status(run), map=drawing,
        legend=plots.speed_levels(run.telemetry["speed_mps"]).tolist(), charts=_charts(run),
        events=_events(run), pictures=_key_pictures(run), strips=_strips(run), strip_key=dense_strip.KEY, weather=_weather(run),
        facts=report_facts.facts_of(run, card), groups=report_facts.score_groups(card), card=CARD if card else "",
        radio=report_radio.of_drive(run, KEY_PICTURES),
        film=json.dumps(_film(run, view)).replace("</", "<\\/"))
    path = run.folder / "report.html"
    write_text(path, page)
    return path


def record(run: Run) -> dict[str, Any]:
    """The leaderboard's record of this route out of the statistics; empty while the drive has not ended."""
    records = ((run.statistics or {}).get("_checkpoint") or {}).get("records") or [{}]
    return records[0]


def score_cards(run: Run) -> list[dict[str, str]]:
    """What stands on top of the page: ``label``, ``value`` with ``unit``, and a ``note``."""
    scores, table = record(run).get("scores", {}), run.telemetry
    cards = []
    if scores:
        cards += [{"label": "Driving score", "value": f'{scores["score_composed"]:.1f}', "unit": "/ 100",
                   "note": "completion times penalty", "hero": True},
                  {"label": "Completion", "value": f'{scores["score_route"]:.1f}', "unit": "%",
                   "note": f"of {run.info.route.length_m:.0f} m"},
                  {"label": "Penalty", "value": f'{scores["score_penalty"]:.2f}', "unit": "",
                   "note": "1 is a clean drive"}]
    cards.append({"label": "Infractions", "value": str(len(run.events)), "unit": "", "note": "listed below"})
    if len(table["stamp_s"]) > 1:
        driven = np.hypot(np.diff(table["x"]), np.diff(table["y"])).sum()
        lasted = table["stamp_s"][-1] - table["stamp_s"][0]
        cards.append({"label": "Driven", "value": f"{driven:.0f}", "unit": "m",
                      "note": f"in {lasted:.0f} s, {3.6 * driven / max(lasted, 1e-6):.0f} km/h on average"})
    if any(plan["inference_ms"] for plan in run.plans):
        p50, p95 = np.percentile([plan["inference_ms"] for plan in run.plans], [50, 95])
        cards.append({"label": "Inference", "value": f"{p50:.1f}", "unit": "ms", "note": f"median; 95 % below {p95:.1f} ms"})
    return cards


def _status(run: Run) -> str:
    return outcome(record(run).get("status") or "the drive has not ended")


def _weather(run: Run) -> str:
    weather = run.info.weather
    above = weather.sun_altitude_deg > 0.0
    sun = f"sun {weather.sun_altitude_deg:.0f}° high" if above else "night, the sun is below the horizon"
    return (f"{weather.name}, {sun}, cloudiness {weather.cloudiness:.0f} %, "
            f"rain {weather.precipitation:.0f} %")


def _charts(run: Run) -> list[dict[str, Any]]:
    table = run.telemetry
    marks = [event["stamp_s"] for event in run.events]

    def chart(title: str, unit: str, *series: plots.Series, **limits: float) -> dict[str, Any]:
        return {"title": title, "unit": unit, "series": series,
                "svg": plots.time_plot(table["stamp_s"], series, unit, marks_s=marks, **limits)}

    speed = [plots.Series("speed", table["speed_mps"], "s1")]
    if np.isfinite(table["target_speed_mps"]).any():
        speed.append(plots.Series("wanted speed", table["target_speed_mps"], "s2"))
    return [chart("Speed", "m/s", *speed, low=0.0),
            chart("Steering", "share of full lock, left positive", plots.Series("steering", table["steer"], "s1"),
                  low=-1.0, high=1.0),
            chart("Pedals", "share of full travel", plots.Series("throttle", table["throttle"], "s2"),
                  plots.Series("brake", table["brake"], "s3"), low=0.0, high=1.0)]


def _events(run: Run) -> list[dict[str, str]]:
    return [{"time": f'{event["stamp_s"]:.2f} s', "kind": event["kind"].replace("_", " "),
             "place": f'{event["x"]:.1f}, {event["y"]:.1f}', "text": event["text"]} for event in run.events]


def _key_pictures(run: Run) -> list[dict[str, str]]:
    """Evenly spread pictures with the plan over them, and the ones nearest to infractions, as data URIs."""
    stamps = sorted(run.frames)
    if not stamps:
        return []
    wanted = [stamps[round(i)] for i in np.linspace(0, len(stamps) - 1, min(KEY_PICTURES, len(stamps)))]
    for event in run.events[:3]:
        wanted.append(min(stamps, key=lambda stamp: abs(stamp - 1000 * event["stamp_s"])))
    pictures = []
    for stamp in sorted(set(wanted)):
        packed = io.BytesIO()
        Image.fromarray(animation.annotated(run, stamp)).save(packed, "JPEG", quality=80)
        plan = animation.plan_at(run, stamp)
        command = plan["command"] if plan else ""
        pictures.append({"uri": "data:image/jpeg;base64," + base64.b64encode(packed.getvalue()).decode(),
                         "time": f"{stamp / 1000:.1f} s",
                         "command": command_text(command)})
    return pictures


def _strips(run: Run) -> list[dict[str, str]]:
    """Evenly spread strips of what a perceiver saw, as data URIs; none where none ran."""
    stamps = sorted(run.strips)
    chosen = sorted({stamps[round(i)] for i in np.linspace(0, len(stamps) - 1, min(KEY_PICTURES, len(stamps)))})
    return [{"uri": "data:image/png;base64," + base64.b64encode(run.strips[stamp].read_bytes()).decode(), "time": f"{stamp / 1000:.1f} s"}
            for stamp in chosen]


def _film(run: Run, view: plots.MapView) -> dict[str, Any]:
    """What the page's player needs: for each picture its plan in pixels, the attention, the car on the map."""
    stamps = sorted(run.frames)
    stamps = stamps[::max(1, -(-len(stamps) // MOST_FRAMES))]
    table, camera = run.telemetry, run.info.camera
    frames = []
    for stamp in stamps if len(table["stamp_s"]) else ():
        row = min(int(np.searchsorted(table["stamp_s"], stamp / 1000.0)), len(table["stamp_s"]) - 1)
        at = view(np.array([table["x"][row], table["y"][row]]))[0]
        frame = {"t": stamp / 1000.0, "src": f"frames/{run.frames[stamp].name}", "x": round(at[0], 1), "y": round(at[1], 1),
                 "yaw": round(-float(np.degrees(table["yaw"][row])), 1), "v": round(float(table["speed_mps"][row]), 1),
                 "steer": round(float(table["steer"][row]), 3), "throttle": round(float(table["throttle"][row]), 3),
                 "brake": round(float(table["brake"][row]), 3), "reason": table["reason"][row].replace("_", " ")}
        plan = animation.plan_at(run, stamp)
        if plan and camera:
            frame |= _plan_pixels(plan, camera)
        frames.append(frame)
    size = [camera.width, camera.height] if camera else [16, 9]
    return {"size": size, "frames": frames}


def _plan_pixels(plan: dict[str, Any], camera: Any) -> dict[str, Any]:
    points = np.asarray(plan["points"], float).reshape(-1, 2)
    left, right = (project(edge, camera) for edge in ribbon(points, step_m=0.8))
    good = np.isfinite(left).all(axis=1) & np.isfinite(right).all(axis=1) if len(left) else np.zeros(0, bool)
    strip = np.vstack([left[good], right[good][::-1]]) if good.any() else np.zeros((0, 2))
    dots = project(points, camera) if len(points) else np.zeros((0, 2))
    goal = project(np.array([[*plan["goal"], 0.0], [*plan["goal"], 2.5]]), camera)
    found = {"strip": plots.path_text(np.clip(strip, -9999, 9999)),
             "dots": np.round(dots[np.isfinite(dots).all(axis=1)], 1).tolist(),
             "goal": np.round(goal, 1).tolist() if np.isfinite(goal).all() else None,
             "command": command_text(plan["command"])}
    if plan["attention"] is not None:
        weights = np.asarray(plan["attention"], float)
        strength = np.clip((weights * weights.size / max(weights.sum(), 1e-9) - 1.0) / 7.0, 0.0, 1.0)
        found |= {"att": base64.b64encode((strength * 255).astype(np.uint8).tobytes()).decode(),
                  "grid": list(weights.shape)}
    return found
