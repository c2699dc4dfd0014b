"""Parts of a perceiver that run on their own: which of them read what, and which of them run on which frame.

A network that can run in parts has a file ``parts.py`` in its folder with ``build_parts(model, config)``, which gives its
``NetworkPart`` s in the order in which they run. Other perceivers are one part, ``WHOLE``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kd_planner_ros.core.errors import ConfigError, PlannerError

if TYPE_CHECKING:
    from torch import nn

MOST = 1000
"""Largest rate divider."""


@dataclass(frozen=True)
class Part:
    """One piece of a perceiver.

    Args:
        name: lower case letters, digits and _.
        needs: parts whose results for the same frame it reads.
        needs_before: parts whose results for the frame before it reads.
        switch: whether users may turn it off or slow it down; a part without a switch runs where another one needs it.
        traced: whether traced torch runs it beside the graphs of another engine: for many small steps without weights. OpenVINO
            holds 100 MB of compiled kernels for a thousand of these, and is a millisecond faster.
    """

    name: str
    needs: tuple[str, ...] = ()
    needs_before: tuple[str, ...] = ()
    switch: bool = True
    traced: bool = False


WHOLE = (Part("network"),)
"""The parts of a perceiver that runs as one."""


@dataclass(frozen=True, kw_only=True)
class NetworkPart(Part):
    """A part of a network as a function of tensors.

    Args:
        module: takes the tensors ``inputs`` by position, gives a mapping with at least ``outputs``.
        inputs: the network's inputs, or outputs of earlier parts.
        outputs: what it adds; names of the network's outputs, or of tensors between parts.
    """

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class Schedule:
    """Which parts run on which frame. Every ``n``-th frame that is processed counts for a part of rate divider ``n``; 0 is off.

    A part that is off never runs, nor does one that needs it (``blocked``). A part also runs where another one that runs needs it,
    in the same frame or in the next.

    Raises:
        PlannerError: a part has a name twice, or needs one that does not stand before it.
    """

    def __init__(self, parts: Sequence[Part]):
        self._parts = {part.name: part for part in parts}
        if len(self._parts) != len(parts):
            raise PlannerError("one part of each name", ", ".join(part.name for part in parts), "rename one in the network's parts.py")
        known: set[str] = set()
        for part in parts:
            if missing := sorted(set(part.needs) - known | set(part.needs_before) - set(self._parts)):
                raise PlannerError(f"parts before '{part.name}' that it needs", f"no {', '.join(missing)}",
                                   "give the parts in the order in which they run")
            known.add(part.name)
        self._rates = {part.name: 1 for part in parts}
        self._frame = 0

    @property
    def switches(self) -> tuple[str, ...]:
        """Names of the parts that may be turned off or slowed down."""
        return tuple(name for name, part in self._parts.items() if part.switch)

    @property
    def rates(self) -> dict[str, int]:
        """Rate divider by switch."""
        return {name: self._rates[name] for name in self.switches}

    def set_rates(self, rates: Mapping[str, int]) -> None:
        """Change the rate dividers in ``rates``, from the next frame on.

        Raises:
            ConfigError: no such switch, or no whole number from 0 to ``MOST``.
        """
        for name, rate in rates.items():
            if name not in self.switches:
                raise ConfigError(f"a part out of {', '.join(self.switches)}", repr(name), "correct the name")
            if isinstance(rate, bool) or not isinstance(rate, int) or not 0 <= rate <= MOST:
                raise ConfigError(f"rate_divider.{name}: a whole number from 0 (off) to {MOST}", repr(rate), "correct the value")
        self._rates = {**self._rates, **rates}  # a new mapping: another thread may be reading the old one

    def blocked(self) -> dict[str, tuple[str, ...]]:
        """Switches that are on and never run: each with the parts that it needs and that are off."""
        off = {name for name, rate in self._rates.items() if not rate}
        needed = {name: self._closed([name]) & off for name, rate in self._rates.items() if rate and self._parts[name].switch}
        return {name: tuple(one for one in self._parts if one in lacks) for name, lacks in needed.items() if lacks}

    def hurried(self) -> dict[str, tuple[str, ...]]:
        """Switches that run on more frames than their rate divider says: each with the switches that need them there."""
        blocked = self.blocked()
        running = {name: rate for name, rate in self._rates.items() if rate and self._parts[name].switch and name not in blocked}
        found = {name: tuple(other for other, own in running.items() if other != name and own % rate and name in self._closed([other]))
                 for name, rate in running.items()}
        return {name: others for name, others in found.items() if others}

    def needed(self, names: Iterable[str]) -> frozenset[str]:
        """``names`` and everything that they need of the same frame."""
        return frozenset(self._closed(names))

    def next(self) -> frozenset[str]:
        """The parts that run on the next frame; none where everything is off."""
        now, self._frame = self._frame, self._frame + 1
        run, soon = self._due(now), self._due(now + 1)
        before = {name for part in soon for name in self._parts[part].needs_before}
        return frozenset(run | self._closed(before))

    def _due(self, frame: int) -> set[str]:
        rates, blocked = self._rates, self.blocked()
        wanted = [name for name in self.switches if rates[name] and name not in blocked and frame % rates[name] == 0]
        return self._closed(wanted)

    def _closed(self, names: Iterable[str]) -> set[str]:
        """``names`` and everything that they need of the same frame."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self._parts[name].needs
        return found
