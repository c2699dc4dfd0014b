"""What a perceiver sees in chosen frames of a recording, as the unified encoder's Figure 3: a strip a frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.evaluation.explain_wanted import Wanted
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
    wanted, found, before = Wanted(frames, stamps_s), [], None
    for number, (shot, frame, shown) in enumerate(looked(perceiver, shots, 0)):
        if wanted.meets(number, shot.stamp_ns):
            perceiver.reset()
            if before is not None:
                perceiver.perceive(before)
            seen = seen_in(perceiver, shot, frame, shown)
            write_strip(out / f"strip_{number}.png", [strip_panels(frame.images[own.id], seen.outputs)])
            found.append({"frame": number, "stamp_s": shot.stamp_ns / 1e9, "strip_png": f"strip_{number}.png",
                          "unknown": dict(seen.unknown)})
        before = frame
        if not wanted.left:
            break
    wanted.require_met(bag)
    return found
