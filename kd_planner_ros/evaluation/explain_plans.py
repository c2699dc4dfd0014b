"""What a planner plans in frames of a recording, over the camera's picture and from above, with a teacher's candidates beside."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kd_planner_ros.bags.cameras import samples_for, triggering
from kd_planner_ros.bags.reader import open_bag
from kd_planner_ros.bags.source import Source
from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.files import whole_file
from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS
from kd_planner_ros.evaluation.explain_wanted import Wanted
from kd_planner_ros.evaluation.overlay import PLAN_NEAR
from kd_planner_ros.evaluation.plan_picture import beside, from_above, over_camera
from kd_planner_ros.imaging.plan_colours import LINES, OTHER_INTENT, USERS, VEHICLE, score_colours
from kd_planner_ros.networks.planner import Planner

HEIGHT_PX, BAR_PX, MARK_PX = 640, 30, 20
INK, PANEL = (245, 245, 244), (28, 25, 23)


@dataclass(frozen=True)
class _Drawn:
    """One wanted frame: its number, the frame and the plan."""

    number: int
    frame: Frame
    plan: Plan


def write_plans(planner: Planner, teacher: Planner | None, source: Source, out: Path, frames: Sequence[int],
                stamps_s: Sequence[float]) -> list[dict[str, Any]]:
    """Write ``plan_N.png`` for each wanted frame of the recording and give back what ``explain.json`` holds of each.

    Every frame before is planned too, for planners that remember. ``teacher`` plans in the same frames; None: nobody does.

    Raises:
        BagError: the recording lacks what a planner needs, a wanted frame, or the teacher's plan in one.
        PlannerError: from a planner.
    """
    wanted, drawn = Wanted(frames, stamps_s), []
    for one in _planned(planner, source):
        if wanted.meets(one.number, one.frame.stamp_ns):
            drawn.append(one)
        if not wanted.left:
            break
    wanted.require_met(source.path)
    taught = {} if teacher is None else _plans_at(teacher, source, [one.frame.stamp_ns for one in drawn])
    Path(out).mkdir(parents=True, exist_ok=True)
    found = []
    for one in drawn:
        name, other = f"plan_{one.number}.png", taught.get(one.frame.stamp_ns)
        title = f"{Path(source.path).name}, frame {one.number}, {one.frame.stamp_ns / 1e9:.2f} s"
        with whole_file(Path(out) / name) as part:
            Image.fromarray(_sheet(one, planner, other, teacher, title)).save(part, "PNG")
        found.append({"frame": one.number, "stamp_s": one.frame.stamp_ns / 1e9, "plan_png": name, **_facts(one.plan),
                      **({} if other is None else {"teacher": _facts(other)})})
    return found


def _planned(planner: Planner, source: Source) -> Iterator[_Drawn]:
    """Every frame of the recording with its plan, in order."""
    planner.reset()
    with open_bag(source) as recording:
        cameras = triggering(recording, tuple(spec.id for spec in planner.rig.cameras))
        clouds = tuple(spec.id for spec in planner.rig.lidars)
        for number, sample in enumerate(samples_for(recording, cameras, clouds, planner.rig)):
            yield _Drawn(number, sample.frame, planner.plan(sample.frame))


def _plans_at(planner: Planner, source: Source, stamps: Sequence[int]) -> dict[int, Plan]:
    """The plan of ``planner`` at each of ``stamps``.

    Raises:
        BagError: it has none at one of them.
    """
    found: dict[int, Plan] = {}
    for one in _planned(planner, source):
        found |= {stamp: one.plan for stamp in stamps if abs(stamp - one.frame.stamp_ns) <= STAMP_TOLERANCE_NS}
        if len(found) == len(stamps):
            return found
    missing = next(stamp for stamp in stamps if stamp not in found)
    raise BagError(f"a plan of '{planner.name}' at {missing / 1e9:g} s of {source.path}", "none",
                   "give another --frame, or leave --teacher out")


def _facts(plan: Plan) -> dict[str, Any]:
    """What ``explain.json`` holds of a plan."""
    count, scores = 0 if plan.candidates is None else len(plan.candidates), plan.scores
    return {"mode": plan.mode, "candidates": count, "chosen": _best(scores),
            "scores": None if scores is None else [float(one) if np.isfinite(one) else None for one in scores],
            "users": None if plan.detections is None else len(plan.detections), "lines": None if plan.lines is None else len(plan.lines),
            "notes": {name: float(value) for name, value in plan.notes.items()}}


def _best(scores: np.ndarray | None) -> int | None:
    return None if scores is None or not np.isfinite(scores).any() else int(np.nanargmax(scores))


# --- drawing ---------------------------------------------------------------------------------------------------------

def _sheet(one: _Drawn, planner: Planner, other: Plan | None, teacher: Planner | None, title: str) -> np.ndarray:
    """Title, camera and views from above, legend; uint8 [H, W, 3]."""
    panels = [_named(from_above(one.plan), planner.name)]
    panels += [_named(from_above(other), f"teacher: {teacher.name}")] if other is not None and teacher is not None else []
    drawn = beside(_camera(one, planner), panels)
    head = _bar(drawn.shape[1], [(f"{title}: {one.plan.mode}" if one.plan.mode else title, PANEL)])
    return np.concatenate([head, drawn, _legend(drawn.shape[1], one.plan)])


def _camera(one: _Drawn, planner: Planner) -> np.ndarray:
    """The first camera's picture with the plan over it, ``HEIGHT_PX`` high; grey where the frame has no picture."""
    frame = one.frame
    name = next((spec.id for spec in planner.rig.cameras if spec.id in frame.images), next(iter(frame.images), ""))
    camera = frame.calibrations.get(name) or next((spec for spec in planner.rig.cameras if spec.id == name), None)
    if not name:
        return np.full((HEIGHT_PX, HEIGHT_PX, 3), PANEL, np.uint8)
    picture = frame.images[name]
    width = round(picture.shape[1] * HEIGHT_PX / picture.shape[0])
    picture = cv2.resize(picture, (width, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    return picture if camera is None else over_camera(picture, camera, one.plan)


def _named(panel: np.ndarray, name: str) -> np.ndarray:
    image = Image.fromarray(panel)
    ImageDraw.Draw(image).text((8, 6), name, INK, ImageFont.load_default(16))
    return np.asarray(image)


def _legend(width: int, plan: Plan) -> np.ndarray:
    words: list[tuple[str, tuple[int, ...]]] = [("plan", PLAN_NEAR)]
    if plan.candidates is not None:
        colours = [tuple(map(int, one)) for one in score_colours(np.array([0.0, 0.5, 1.0]), 3)]
        words += [("candidates: lowest", colours[0]), ("middle", colours[1]), ("best score", colours[2]), ("another intent", OTHER_INTENT)]
    if plan.detections is not None:
        words += [("vehicle", VEHICLE), *((kind.name.lower(), colour) for kind, colour in USERS.items() if kind.name != "MOTORCYCLE")]
    if plan.lines is not None:
        words += [(f"{kind.name.lower()} line" if kind.name != "CROSSING" else "crossing", colour) for kind, colour in LINES.items()]
    return _bar(width, words)


def _bar(width: int, words: Sequence[tuple[str, tuple[int, ...]]]) -> np.ndarray:
    """A bar with ``words``, each behind a mark of its colour; further rows where one is too narrow."""
    font, places, x, y = ImageFont.load_default(14), [], 10.0, 0
    for text, colour in words:
        length = font.getlength(text) + MARK_PX
        if x + length > width and x > 10.0:
            x, y = 10.0, y + BAR_PX
        places.append((x, y + 7, text, colour))
        x += length + 18.0
    image = Image.new("RGB", (width, y + BAR_PX), PANEL)
    for left, top, text, colour in places:
        draw = ImageDraw.Draw(image)
        draw.rectangle((left, top + 6, left + MARK_PX - 6, top + 12), colour)
        draw.text((left + MARK_PX, top), text, INK, font)
    return np.asarray(image)
