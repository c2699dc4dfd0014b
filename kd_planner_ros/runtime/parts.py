"""A network in parts: an engine for each, and only those run that are due."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kd_planner_ros.runtime.engines import Engine
from kd_planner_ros.runtime.network_model import noise_like


@dataclass(frozen=True)
class Ready:
    """The inputs of each part."""

    parts: Mapping[str, Mapping[str, Tensor]]


Build = Callable[[str, Mapping[str, Tensor]], Engine]
"""(name of a part, example inputs) -> its engine, checked."""


class PartsEngine(Engine):
    """One engine a part. Tensors between parts stay on the engines' device. Of the parts it keeps names alone: weights that an engine
    does not hold itself can be let go.

    Args:
        takes: the inputs of each part, in the order in which the parts run.
        outputs: the network's outputs; others stay inside.
        example: the network's inputs, for the shapes.
        build: makes the engine of a part.
    """

    def __init__(self, takes: Mapping[str, Sequence[str]], outputs: Collection[str], example: Mapping[str, Tensor], build: Build):
        self._takes, self._outputs = {part: tuple(names) for part, names in takes.items()}, tuple(outputs)
        self._engines: dict[str, Engine] = {}
        known = noise_like(example)
        for part, names in self._takes.items():
            own = {name: known[name] for name in names}
            engine = self._engines[part] = build(part, own)
            with torch.inference_mode():  # an example for the parts behind it
                known |= {name: value.cpu() for name, value in engine.run(own).items()}
        first = next(iter(self._engines.values()))
        self.describe, self.tolerance = f"{first.describe}, {len(self._engines)} parts", first.tolerance
        self.spent_ms: dict[str, float] = {}

    def ready(self, inputs: Mapping[str, Tensor]) -> Ready:
        """What each part is given where the network runs on ``inputs``."""
        known, found = dict(inputs), {}
        for part, names in self._takes.items():
            found[part] = {name: known[name] for name in names}
            known |= self._engines[part].run(found[part])
        return Ready(found)

    def run_part(self, name: str, ready: Ready) -> dict[str, Tensor]:
        """The outputs of part ``name`` alone."""
        return self._engines[name].run(ready.parts[name])

    def run(self, inputs: Mapping[str, Tensor], due: Collection[str] | None = None) -> dict[str, Tensor]:
        """The network's outputs that the parts in ``due`` give, all where it is None; ``spent_ms`` has each part's time.

        A part in ``due`` finds what it needs: ``Schedule`` sees to that.
        """
        known, spent = dict(inputs), {}
        for part, names in self._takes.items():
            if due is None or part in due:
                start = time.perf_counter()
                known |= self._engines[part].run({name: known[name] for name in names})
                spent[part] = (time.perf_counter() - start) * 1e3
        self.spent_ms = spent
        return {name: known[name].cpu() for name in self._outputs if name in known}
