"""A learned network as a Planner: processor, engine, warm-up and parity check."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.core.errors import CardError
from kd_planner_ros.core.records import Frame, Plan
from kd_planner_ros.networks.planner import Planner, Processor
from kd_planner_ros.runtime.engines import Engine


class NetworkPlanner(Planner):
    """Runs one network on one engine. ``card`` and ``engine`` are there for reports and diagnostics."""

    def __init__(self, name: str, config: Any, processor: Processor, engine: Engine, card: ModelCard):
        self.name, self.rig, self.rate_hz = name, config.rig, config.rate_hz
        self.config, self.processor, self.engine, self.card = config, processor, engine, card

    def reset(self) -> None:
        """The networks here look at one frame; what the processor remembers is forgotten."""
        self.processor.reset()

    def plan(self, frame: Frame) -> Plan:
        """The plan for ``frame``, with the time from its pixels to its waypoints in ``inference_ms``.

        Raises:
            SensorError: a declared sensor is missing from the frame, or has the wrong size.
        """
        start = time.perf_counter()
        outputs = self.engine.run(self.processor.encode([frame]))
        plan = self.processor.decode(outputs, frame)
        return replace(plan, inference_ms=(time.perf_counter() - start) * 1e3)


def warm_up(engine: Engine, reference: Callable[..., dict[str, Tensor]], example: dict[str, Tensor],
            name: str) -> float:
    """Run ``engine`` twice on seeded noise, compare with ``reference`` (float32 torch) and give back the deviation.

    The deviation is the largest over all outputs of max|a - b| / (1 + max|b|).

    Raises:
        CardError: an output is not finite, or the deviation exceeds the engine's tolerance.
    """
    noise = torch.Generator().manual_seed(0)
    inputs = {key: torch.randn(tensor.shape, generator=noise) for key, tensor in example.items()}
    engine.run(inputs)
    found = engine.run(inputs)
    with torch.inference_mode():
        wanted = reference(**inputs)
    worst, where = 0.0, ""
    for key, value in found.items():
        if not value.isfinite().all():
            raise CardError(f"finite outputs of '{name}'", f"NaN or infinity in '{key}' with {engine.describe}",
                            "restore the weights, or train again")
        error = float((value - wanted[key]).abs().max() / (1.0 + wanted[key].abs().max()))
        if error > worst:
            worst, where = error, key
    if worst > engine.tolerance:
        raise CardError(f"'{name}' on {engine.describe} within {engine.tolerance:g} of torch float32",
                        f"{worst:.2g} in '{where}'", "use engine torch")
    return worst
