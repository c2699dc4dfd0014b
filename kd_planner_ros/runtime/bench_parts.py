"""What each part of a perceiver's network costs, alone and together. All are measured in turn in one run: ratios hold on a busy machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.parts import Schedule
from kd_planner_ros.runtime.parts import PartsEngine
from kd_planner_ros.runtime.perceiver import NetworkPerceiver

SEEN = ("depth", "segmentation")
"""Parts of the figure ``depth_and_segmentation_share``, with what they need."""


def bench_parts(perceiver: NetworkPerceiver, frames: Sequence[Frame], n: int) -> dict[str, Any]:
    """Median milliseconds on the last of ``frames``, after the one before it, over ``n`` rounds: ``parts_ms`` of each part alone on ready
    inputs, ``network_ms`` of all in a chain; ``over_the_sum`` is their ratio, ``depth_and_segmentation_share`` that of the encoder with
    these two decoders to all, and ``shared_saves_ms`` what one encoder saves against one for each decoder and one for the steering, whose
    head reads the same features. Empty for a network that runs as one."""
    engine = perceiver.engine
    if not isinstance(engine, PartsEngine):
        return {}
    for frame in frames[-2:-1]:
        perceiver.perceive(frame)
    inputs = perceiver.processor.encode([frames[-1]])
    ready = engine.ready(inputs)
    schedule = Schedule(perceiver.parts)
    some = [name for name in SEEN if name in schedule.switches]
    due = schedule.needed(some)
    work: dict[str, Callable[[], Any]] = {"": lambda: engine.run(inputs), **({"some": lambda: engine.run(inputs, due)} if some else {})}
    work |= {f"part {name}": lambda name=name: engine.run_part(name, ready) for name in ready.parts}
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(n):
        for name, one in work.items():
            start = time.perf_counter()
            one()
            times[name].append((time.perf_counter() - start) * 1e3)
    medians = {name: float(np.median(took)) for name, took in times.items()}
    alone = {name: medians[f"part {name}"] for name in ready.parts}
    shared = [part.name for part in perceiver.parts if not part.needs]
    saved = len(schedule.switches) * sum(alone[name] for name in shared)
    found = {"parts_ms": {name: round(took, 2) for name, took in alone.items()}, "network_ms": round(medians[""], 2),
             "over_the_sum": round(medians[""] / sum(alone.values()), 3), "shared_saves_ms": round(saved, 2)}
    return found | ({"depth_and_segmentation_share": round(medians["some"] / medians[""], 3)} if some else {})
