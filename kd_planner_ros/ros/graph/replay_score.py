"""What the plans that came in a replay are worth: the figures of an open-loop evaluation of the same recording."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.bags.reader import Recording
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.core.timeline import Series
from kd_planner_ros.wire.topics import TRUTH_OBJECTS

if TYPE_CHECKING:
    from kd_planner_ros.ros.graph.player import Player


def score(max_drops: float, recording: Recording, player: Player, frames: Sequence[int], rig: SensorRig) -> dict[str, Any]:
    """The figures of ``evaluation.metrics.score_plans``, ``nuscenes`` and ``detected`` as of ``evaluation.open_loop.run``, and counts.

    Args:
        max_drops: largest share of ``frames``, the stamps that asked for plans, without one.
        rig: the planner's sensors.

    Raises:
        ConfigError: more frames have no plan.
        BagError: object lists that cannot be read.
    """
    from kd_planner_ros.driving.supervisor import WISHES
    from kd_planner_ros.evaluation import detected, nuscenes
    from kd_planner_ros.evaluation.open_loop import score_along

    answered, dropped = sorted(player.plans), sum(stamp not in player.plans for stamp in frames)
    if not frames or dropped > max_drops * len(frames):
        why = f"; the planner said {sorted(set(player.faults.values()))}" if player.faults else ""
        raise ConfigError(f"at most {100 * max_drops:g} % of the frames without a plan", f"{dropped} of {len(frames)}{why}",
                          "play in lock-step (--rate 0) or slower, or raise --max-drops")
    controls = [player.controls.get(stamp) for stamp in answered]
    steers = [None if one is None or one.reason not in WISHES else one.steer for one in controls]
    found = score_along(recording, [player.plans[stamp] for stamp in answered], steers, _actors(recording, answered), rig)
    return {**found, "nuscenes": nuscenes.figures([found["nuscenes"]]), "detected": detected.figures([found["detected"]]),
            "frames": len(frames), "dropped": dropped, "extra": len(set(answered) - set(frames)), "unanswered": player.unanswered,
            "unreadable": player.unreadable, **({"notes": recording.notes} if recording.notes else {}), "calibration": player.calibration}


def _actors(recording: Recording, stamps: Sequence[int]) -> list[tuple[int, np.ndarray]]:
    """The recorded object list of each of ``stamps``, as an evaluation without the graph has them; none where nothing was recorded."""
    tables = recording.records_by_stamp("objects") if recording.usable(TRUTH_OBJECTS) else {}
    known = np.array(sorted(tables), np.int64)
    rows = Series(known, known).at(np.array(stamps, np.int64)).tolist()
    return [(stamp, tables[int(known[row])]) for stamp, row in zip(stamps, rows, strict=True) if row >= 0]
