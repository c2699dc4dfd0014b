"""The simulated latency of plans: read from ``--latency``, assigned to the plans of a drive, rounded up to ticks.

Everything is a whole number of ticks of 0.05 s: a plan of 1 to 50 ms acts one tick after its picture. So one text gives
one drive, on any machine and with any number of jobs.
"""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.foreign import reading

if TYPE_CHECKING:
    from kd_planner_ros.evaluation.drives import ClosedLoopConfig
    from kd_planner_ros.networks.planner import Planner

TICK_MS = 50.0
MOST_MS = 10_000.0
MEASURED = "measured"
MEASURED_PLANS = 30


@dataclass(frozen=True)
class Latency:
    """``ms`` holds one number, or those of one plan after the other; ``kind`` is none, number, measured or file."""

    kind: str
    ms: tuple[float, ...]
    source: str = ""

    @property
    def longest_s(self) -> float:
        """The longest latency in seconds, on the grid of ticks."""
        return max(map(ticks_of, self.ms)) * TICK_MS / 1000.0

    def ticks(self, seed: int) -> Iterator[int]:
        """Latency of each plan of a drive in ticks, without end: the numbers in their order again and again, from a place
        that ``seed`` (the drive's traffic seed) draws."""
        index = int(np.random.default_rng([seed, 0x4C41]).integers(len(self.ms)))
        while True:
            yield ticks_of(self.ms[index % len(self.ms)])
            index += 1

    def facts(self) -> dict[str, Any]:
        """For statistics.json: ``kind``, ``ms`` and ``ticks`` (mean and most where they differ from plan to plan)."""
        found = [ticks_of(value) for value in self.ms]
        if len(self.ms) == 1:
            return {"kind": self.kind, "ms": self.ms[0], "ticks": found[0]}
        return {"kind": self.kind, "source": self.source, "plans": len(self.ms), "ms": float(np.mean(self.ms)),
                "ms_most": max(self.ms), "ticks": float(np.mean(found)), "ticks_most": max(found)}

    def __str__(self) -> str:
        facts = self.facts()
        if self.kind == "none":
            return "none: a plan acts in the tick of its picture"
        if len(self.ms) == 1:
            how = " (median measured on this machine)" if self.kind == "measured" else ""
            return f"{facts['ms']:g} ms a plan{how}: {facts['ticks']} tick{'s' * (facts['ticks'] != 1)} of 50 ms"
        return (f"{facts['ms']:.1f} ms a plan in the mean, {facts['ms_most']:.1f} ms at most, from {facts['source']}: "
                f"{facts['ticks']:.1f} ticks of 50 ms")


def ticks_of(ms: float) -> int:
    """The first tick at which a plan of ``ms`` milliseconds is ready: 0 -> 0, 10 -> 1, 50 -> 1, 50.1 -> 2, 100 -> 2."""
    return math.ceil(ms / TICK_MS - 1e-9)


def read_latency(text: str, planner: str) -> Latency:
    """The latency that ``--latency`` (or ``--fallback-latency``) names, for ``planner``.

    Args:
        text: milliseconds, ``measured:MS`` (what ``settled`` makes of ``measured``), or a JSON file
            {"planner": NAME, "latency_ms": [..]}.

    Raises:
        ConfigError: another text, no such file, a broken one, or one for another planner.
    """
    kind, _, number = text.rpartition(":") if text.startswith(MEASURED) else ("number", "", text)
    try:
        value = float(number)
    except ValueError:
        return _read_file(text, planner)
    if not 0.0 <= value <= MOST_MS:
        raise ConfigError(f"--latency from 0 to {MOST_MS:g} ms, {MEASURED}, or a file", repr(text), "correct --latency")
    if planner == "expert" and value:
        raise ConfigError("--latency 0 for the expert, which makes no plans", repr(text), "leave --latency out")
    return Latency("none" if not value else kind, (value,))


def _read_file(text: str, planner: str) -> Latency:
    wanted = 'a file {"planner": NAME, "latency_ms": [numbers]}'
    if not Path(text).is_file():
        raise ConfigError(f"--latency in ms, {MEASURED}, or {wanted}", f"{text!r}, and no such file", "correct --latency")
    with reading(ConfigError, f"{wanted} for --latency in {text}", "correct the file"):
        data = json.loads(Path(text).read_text())
        name, values = data["planner"], data["latency_ms"]
    if name != planner:
        raise ConfigError(f"a latency file for planner '{planner}'", f"{text} for {name!r}",
                          f"measure one for '{planner}', or evaluate {name!r}")
    good = isinstance(values, list) and values and all(
        isinstance(one, int | float) and not isinstance(one, bool) and 0.0 <= one <= MOST_MS for one in values)
    if not good:
        raise ConfigError(f"at least one number from 0 to {MOST_MS:g} under latency_ms in {text}", reprlib.repr(values),
                          "correct the file")
    return Latency("file", tuple(map(float, values)), Path(text).name)


def settled(config: ClosedLoopConfig, planner: Planner | None, fallback: Planner | None = None) -> ClosedLoopConfig:
    """``config`` with ``measured`` (``--latency``, ``--fallback-latency``) turned into a number: the one that the output folder was
    begun with, else the median of 30 plans on noise, measured now.

    One number for all plans, and not each plan's own time while driving: the worlds of parallel drives slow the planner
    down at random, and two runs would differ. The number is kept in evaluation.json, so that a resumed evaluation is
    one evaluation; on another day the number may differ.
    """
    if config.latency == MEASURED:
        if planner is None:
            raise ConfigError("--latency 0 for the expert, which makes no plans", MEASURED, "leave --latency out")
        config = replace(config, latency=_measured(config, planner, "latency"))
    if config.fallback_latency == MEASURED and fallback is not None:
        config = replace(config, fallback_latency=_measured(config, fallback, "fallback_latency"))
    return config


def _measured(config: ClosedLoopConfig, planner: Planner, name: str) -> str:
    from kd_planner_ros.runtime.bench import bench_latency

    if begun := _begun_with(Path(config.out) / "evaluation.json", name):
        return begun
    median_ms = bench_latency(planner, MEASURED_PLANS)["p50_ms"]
    planner.reset()
    return f"{MEASURED}:{median_ms:.3f}"


def _begun_with(path: Path, name: str) -> str:
    """The measured latency under ``name`` in evaluation.json at ``path``; "" where there is none."""
    try:
        text = str(json.loads(path.read_text())[name])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return text if text.startswith(MEASURED + ":") else ""


class Turns:
    """Which pictures a planner looks at, and when each plan is ready, in ticks: the planner node's worker and its slot.

    Pictures come every ``period`` ticks. A free planner takes a picture at once. A busy one lets it wait; when it becomes
    free it takes the newest that waits, older ones are dropped. Ask ``looks`` once a tick, in order.

    Example: a picture every 2 ticks, 3 ticks a plan. Picture 0 acts at 3; picture 2 waits until 3 and acts at 6; picture
    4 is dropped for 6, which acts at 9.
    """

    def __init__(self, period: int, latency: Iterator[int]):
        self._period, self._latency = period, latency
        self._free = 0

    def looks(self, tick: int) -> int | None:
        """None where no picture is taken at ``tick``, or the planner will not use it; else how many ticks later its plan acts."""
        newer = tick + self._period
        if tick % self._period or self._free >= newer:
            return None
        self._free = max(tick, self._free) + next(self._latency)
        return self._free - tick
