"""What every measure of a dense output shares: counts that add up over frames, figures of the sums, and baselines.

A frame is compared once; its counts go into the sums over all frames, over the second half and over its recording.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

Counts = Mapping[str, Any]
"""Numbers and arrays, which are added over frames, and lists, which are joined; by name."""


class Tally:
    """Sums of counts."""

    def __init__(self) -> None:
        self.sums: dict[str, Any] = {}

    def add(self, counts: Counts) -> None:
        """Take in the counts of one frame."""
        for name, value in counts.items():
            if isinstance(value, list):
                self.sums.setdefault(name, []).extend(value)
            else:
                self.sums[name] = self.sums[name] + value if name in self.sums else value


class Baseline(ABC):
    """Answers without looking at pictures. ``rule`` says how."""

    rule: str

    def fit(self, truth: Any) -> None:
        """A truth of the first half of the frames; most baselines need none."""

    def follow(self, truth: Any) -> None:
        """The truth of a frame that was judged, in the order of time."""

    @abstractmethod
    def guess(self, truth: Any) -> Any:
        """An answer of the form that the measure takes; ``truth`` gives its shape, and what ``rule`` says is known."""


class Measure(ABC):
    """How one output is compared with the truth about it."""

    kind: str
    """What is compared, in a word."""

    @abstractmethod
    def counts(self, found: Any, truth: Any) -> Counts:
        """What one frame adds."""

    @abstractmethod
    def figures(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Figures of the ``sums`` of counts, None where nothing counted; with ``frames`` and ``left_out``. Sums may be empty."""

    def baselines(self) -> dict[str, Baseline]:
        """Fresh baselines by name."""
        return {}

    def where_told(self, guess: Any, found: Any) -> Any:
        """A baseline's ``guess``, silent where ``found`` says nothing, so that both are judged over the same pixels."""
        return guess


class Judged:
    """One output over all frames, over the second half and by recording, with its baselines over the second half.

    The baselines are fitted to the first half.
    """

    def __init__(self, measure: Measure):
        self.measure = measure
        self._whole, self._later = Tally(), Tally()
        self._recordings: dict[str, Tally] = {}
        self._baselines = {name: (one, Tally()) for name, one in measure.baselines().items()}

    def add(self, found: Any, truth: Any, later: bool, recording: str) -> None:
        """One frame of ``recording``; ``later``: it belongs to the second half."""
        counts = self.measure.counts(found, truth)
        for tally in (self._whole, self._recordings.setdefault(recording, Tally()), *([self._later] if later else [])):
            tally.add(counts)
        for baseline, tally in self._baselines.values():
            if later:
                tally.add(self.measure.counts(self.measure.where_told(baseline.guess(truth), found), truth))
            else:
                baseline.fit(truth)
            baseline.follow(truth)

    def result(self) -> dict[str, Any]:
        """Figures over all frames, and under ``second_half`` over that half with those of each of ``baselines``."""
        figures = self.measure.figures
        trivial = {name: {"rule": one.rule, **figures(tally.sums)} for name, (one, tally) in self._baselines.items()}
        return {"kind": self.measure.kind, **figures(self._whole.sums),
                "second_half": {**figures(self._later.sums), "baselines": trivial}}

    def of_recording(self, recording: str) -> dict[str, Any] | None:
        """Figures over one recording; None where no frame of it was compared."""
        tally = self._recordings.get(recording)
        return None if tally is None else self.measure.figures(tally.sums)


def ratio(part: float, whole: float) -> float | None:
    """``part`` / ``whole``; None where ``whole`` is 0."""
    return float(part / whole) if whole else None


def mean(values: Any) -> float | None:
    """The mean of ``values``; None where there are none."""
    return float(np.mean(values)) if len(values) else None


def known_mean(values: Any) -> float | None:
    """The mean of those of ``values`` that are not None; None where all are."""
    return mean([value for value in values if value is not None])
