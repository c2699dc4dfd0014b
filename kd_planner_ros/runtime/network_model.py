"""What a learned planner and a learned perceiver share: processor, engine, warm-up and parity check."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.core.errors import CardError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.core.sensors import SensorRig
from kd_planner_ros.networks.planner import Processor
from kd_planner_ros.runtime.engines import Engine

Out = TypeVar("Out")


class NetworkModel(Generic[Out]):
    """Runs one network on one engine. ``card`` and ``engine`` are there for reports and diagnostics."""

    def __init__(self, name: str, config: Any, processor: Processor[Out], engine: Engine, card: ModelCard):
        self.name: str = name
        self.rig: SensorRig = config.rig
        self.rate_hz: float = config.rate_hz
        self.config, self.processor, self.engine, self.card = config, processor, engine, card

    def reset(self) -> None:
        """Forget what the processor remembers; a network itself holds nothing between frames."""
        self.processor.reset()

    def run(self, frame: Frame, due: Collection[str] | None = None) -> tuple[Out, dict[str, float]]:
        """What the network makes of ``frame``, and the milliseconds of each step: ``encode``, the parts of the network (``network``
        where it runs as one), ``decode``.

        Args:
            due: names of the parts that run; None: all.

        Raises:
            SensorError: a declared sensor is missing from the frame, or has the wrong size.
        """
        clock = [time.perf_counter()]
        inputs = self.processor.encode([frame])
        clock.append(time.perf_counter())
        outputs = self.engine.run(inputs, due)
        clock.append(time.perf_counter())
        found = self.processor.decode(outputs, frame)
        clock.append(time.perf_counter())
        encode, network, decode = (1e3 * float(step) for step in np.diff(clock))
        return found, {"encode": encode, **(self.engine.spent_ms or {"network": network}), "decode": decode}


def noise_like(example: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Seeded noise of the shapes in ``example``; whole numbers and truth values are the example's own: noise is no index of an
    embedding."""
    noise = torch.Generator().manual_seed(0)
    return {name: torch.randn(value.shape, generator=noise) if value.is_floating_point() else value for name, value in example.items()}


def warm_up(engine: Engine, reference: Callable[..., dict[str, Tensor]], example: Mapping[str, Tensor],
            name: str) -> float:
    """``compare`` on ``noise_like(example)``, where ``reference`` takes its inputs by name."""
    return compare(engine, lambda inputs: reference(**inputs), noise_like(example), name)


def compare(engine: Engine, reference: Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]], inputs: Mapping[str, Tensor],
            name: str) -> float:
    """Run ``engine`` twice on ``inputs``, compare with ``reference`` (float32 torch) and give back the deviation: the largest over all
    outputs of max|a - b| / (1 + max|b|) for real numbers, of the share of unequal elements for whole numbers.

    Raises:
        CardError: an output is not finite, or the deviation exceeds the engine's tolerance.
    """
    engine.run(inputs)
    found = engine.run(inputs)
    with torch.inference_mode():
        wanted = reference(inputs)
    worst, where = 0.0, ""
    for key, value in found.items():
        value = value.cpu()
        if not value.isfinite().all():
            raise CardError(f"finite outputs of '{name}'", f"NaN or infinity in '{key}' with {engine.describe}",
                            "restore the weights, or train again")
        error = _deviation(value, wanted[key])
        if error > worst:
            worst, where = error, key
    if worst > engine.tolerance:
        raise CardError(f"'{name}' on {engine.describe} within {engine.tolerance:g} of torch float32",
                        f"{worst:.2g} in '{where}'", "use engine torch")
    return worst


def _deviation(found: Tensor, wanted: Tensor) -> float:
    if not wanted.is_floating_point():
        return float((found != wanted).float().mean())
    return float((found - wanted).abs().max() / (1.0 + wanted.abs().max()))
