"""What a learned planner and a learned perceiver share: processor, engine, warm-up and parity check."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

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

    def run(self, frame: Frame) -> tuple[Out, float]:
        """What the network makes of ``frame``, and the time from pixels to result in milliseconds.

        Raises:
            SensorError: a declared sensor is missing from the frame, or has the wrong size.
        """
        start = time.perf_counter()
        outputs = self.engine.run(self.processor.encode([frame]))
        found = self.processor.decode(outputs, frame)
        return found, (time.perf_counter() - start) * 1e3


def warm_up(engine: Engine, reference: Callable[..., dict[str, Tensor]], example: dict[str, Tensor],
            name: str) -> float:
    """Run ``engine`` twice, compare with ``reference`` (float32 torch) and give back the deviation.

    Inputs are seeded noise of the shapes in ``example``. Inputs of whole numbers or truth values are the example's own: noise is
    no index of an embedding. The deviation is the largest over all outputs: max|a - b| / (1 + max|b|) for real numbers, the
    share of unequal elements for whole numbers.

    Raises:
        CardError: an output is not finite, or the deviation exceeds the engine's tolerance.
    """
    noise = torch.Generator().manual_seed(0)
    inputs = {key: torch.randn(tensor.shape, generator=noise) if tensor.is_floating_point() else tensor
              for key, tensor in example.items()}
    engine.run(inputs)
    found = engine.run(inputs)
    with torch.inference_mode():
        wanted = reference(**inputs)
    worst, where = 0.0, ""
    for key, value in found.items():
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
