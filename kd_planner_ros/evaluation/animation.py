"""A short animation of a drive: the camera's picture, the plan over it, and a status bar below. WebP plays in every
browser without a plug-in and needs no video codec."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kd_planner_ros.core.files import whole_file
from kd_planner_ros.evaluation.plan_picture import beside, from_above, over_camera
from kd_planner_ros.evaluation.run_folder import Run
from kd_planner_ros.evaluation.run_plans import command_text, plan_from_json

BAR_HEIGHT = 54
INK, QUIET, PANEL = (245, 245, 244), (168, 162, 158), (28, 25, 23)
GREEN, RED, BLUE = (52, 211, 153), (248, 113, 113), (56, 189, 248)


def write(run: Run, path: Path, width: int = 720, longest_s: float = 60.0) -> bool:
    """Write the animation of ``run`` to ``path`` (WebP); False, and no file, where the run has no pictures.

    Real time where the drive lasted at most ``longest_s``, else sped up; the status bar says so.
    """
    stamps = sorted(run.frames)
    if len(stamps) < 2:
        return False
    stride = max(1, math.ceil((stamps[-1] - stamps[0]) / 1000.0 / longest_s))
    kept = stamps[::stride]
    pictures = (Image.fromarray(picture) for picture in compose(run, kept, width, stride))
    times = np.diff([*kept, kept[-1] + 1000 * stride]) / stride
    with whole_file(path) as part:
        next(pictures).save(part, "WEBP", save_all=True, append_images=pictures, duration=[int(t) for t in times], loop=0,
                            quality=62, method=2)
    return True


def compose(run: Run, stamps_ms: list[int], width: int, pace: int = 1) -> Iterator[np.ndarray]:
    """One picture uint8 [H, width, 3] for each of ``stamps_ms``: camera, plan, attention, status bar."""
    for stamp in stamps_ms:
        rgb = annotated(run, stamp)
        height = round(rgb.shape[0] * width / rgb.shape[1] / 2) * 2
        sheet = Image.new("RGB", (width, height + BAR_HEIGHT), PANEL)
        sheet.paste(Image.fromarray(rgb).resize((width, height), Image.Resampling.LANCZOS))
        _status_bar(ImageDraw.Draw(sheet), run, stamp, height, width, pace)
        yield np.asarray(sheet)


def annotated(run: Run, stamp_ms: int) -> np.ndarray:
    """The picture at ``stamp_ms`` uint8 [H, W, 3] with the plan that held then drawn over it; beside it the view from above, where the
    planner of the run gives candidates."""
    rgb = np.asarray(Image.open(run.frames[stamp_ms]).convert("RGB"))
    entry = plan_at(run, stamp_ms)
    plan = None if entry is None else plan_from_json(entry)
    if plan is not None and run.info.camera is not None:
        rgb = over_camera(rgb, run.info.camera, plan)
    return beside(rgb, [from_above(plan)]) if any("candidates" in one for one in run.plans) else rgb


def plan_at(run: Run, stamp_ms: int, oldest_ms: int = 300) -> dict | None:
    """The newest plan at ``stamp_ms``, None where it is older than ``oldest_ms``."""
    index = bisect_right([plan["stamp_s"] for plan in run.plans], stamp_ms / 1000.0 + 1e-6) - 1
    if index < 0 or stamp_ms / 1000.0 - run.plans[index]["stamp_s"] > oldest_ms / 1000.0:
        return None
    return run.plans[index]


def _status_bar(draw: ImageDraw.ImageDraw, run: Run, stamp_ms: int, top: int, width: int, pace: int) -> None:
    table = run.telemetry
    row = min(int(np.searchsorted(table["stamp_s"], stamp_ms / 1000.0)), len(table["stamp_s"]) - 1)
    plan = plan_at(run, stamp_ms)
    big, small = ImageFont.load_default(24), ImageFont.load_default(12)
    speed = table["speed_mps"][row] if row >= 0 else 0.0
    draw.text((14, top + 10), f"{speed * 3.6:3.0f}", INK, big)
    draw.text((62, top + 21), "km/h", QUIET, small)
    for index, (label, name, colour) in enumerate((("throttle", "throttle", GREEN), ("brake", "brake", RED))):
        y = top + 12 + 20 * index
        draw.text((116, y - 2), label, QUIET, small)
        draw.rounded_rectangle((172, y, 292, y + 10), 3, (68, 64, 60))
        length = 120 * float(table[name][row]) if row >= 0 else 0.0
        if length >= 2:
            draw.rounded_rectangle((172, y, 172 + length, y + 10), 3, colour)
    draw.text((316, top + 20), "steer", QUIET, small)
    draw.rounded_rectangle((356, top + 22, 476, top + 32), 3, (68, 64, 60))
    steer = float(table["steer"][row]) if row >= 0 else 0.0
    draw.rectangle((416, top + 20, 417, top + 34), QUIET)
    ends = sorted((416 - 60 * steer, 416.0))
    draw.rectangle((ends[0], top + 22, ends[1] + 1, top + 32), BLUE)
    command = command_text(plan["command"]) if plan else "no plan"
    note = table["reason"][row].replace("_", " ") if row >= 0 and table["reason"][row] else command
    draw.text((500, top + 20), note, INK, ImageFont.load_default(14))
    text = f"{stamp_ms / 1000.0:.1f} s" + (f"  x{pace}" if pace > 1 else "")
    draw.text((width - 14 - draw.textlength(text, small), top + 21), text, QUIET, small)
