"""What a perceiver sees in chosen frames of a recording, as the unified encoder's Figure 3: a strip a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.timeline import STAMP_TOLERANCE_NS
from kd_planner_ros.evaluation.perceive.inputs import open_shots
from kd_planner_ros.evaluation.perceive.run import looked, only_camera, seen_in
from kd_planner_ros.imaging.dense_strip import strip_panels, write_strip
from kd_planner_ros.networks.planner import Perceiver


def write_strips(perceiver: Perceiver, bag: Path, out: Path, frames: tuple[int, ...], stamps_s: tuple[float, ...],
                 cameras: tuple[str, ...] = (), role_name: str = "") -> list[dict[str, Any]]:
    """Write ``strip_N.png`` for each wanted picture of the recording: the picture and the outputs in the order of ``strip_panels``.
    ``frames`` are counted from 0; the picture before each is looked at too, for what moves.

    Raises:
        BagError: a wanted picture is not in the recording. SensorError: a picture that cannot be used.
    """
    own = only_camera(perceiver)
    if not Path(bag).exists():
        raise BagError(f"a recording at {bag}", "nothing", "correct --bag")
    shots = open_shots(bag, 0.0, perceiver.rate_hz, cameras, own, role_name)
    numbers, stamps = set(frames or (() if stamps_s else (0,))), {round(stamp * 1e9) for stamp in stamps_s}
    found, before, last_ns = [], None, 0
    for number, (shot, frame, shown) in enumerate(looked(perceiver, shots, 0)):
        last_ns = shot.stamp_ns
        near = {stamp for stamp in stamps if abs(stamp - last_ns) <= STAMP_TOLERANCE_NS}
        if number in numbers or near:
            perceiver.reset()
            if before is not None:
                perceiver.perceive(before)
            seen = seen_in(perceiver, shot, frame, shown)
            write_strip(out / f"strip_{number}.png", [strip_panels(frame.images[own.id], seen.outputs)])
            found.append({"frame": number, "stamp_s": last_ns / 1e9, "strip_png": f"strip_{number}.png", "unknown": dict(seen.unknown)})
            numbers.discard(number)
            stamps -= near
        before = frame
        if not numbers and not stamps:
            return found
    wanted = [f"frame {number}" for number in sorted(numbers)] + [f"{stamp / 1e9:g} s" for stamp in sorted(stamps)]
    raise BagError(f"{', '.join(wanted)} in {bag}", f"frames up to {last_ns / 1e9:g} s", "correct --frame or --stamp")
