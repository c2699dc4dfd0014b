"""The events that a training run reports while it runs, and the requests that it grants."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from kd_planner_ros.networks.training import Stage


class Observer:
    """Receives the events of the leading process. This base class ignores every event and never stops the run.

    All methods are called from the thread that trains, between two steps.
    """

    paused = False
    """While true the run saves a checkpoint and calls ``wait`` before its next step."""
    stopped = False
    """Once true the run saves a checkpoint and ends, as on Ctrl-C."""

    def began(self, step: int, total: int, samples: int, held_out: int) -> None:
        """The data are read; training begins at ``step`` of ``total``, after what the method of a new run learns first. ``paused``
        and ``stopped`` hold that up without a checkpoint: stopped there, the run begins anew the next time. ``samples`` are the
        samples to learn from, ``held_out`` those of the validation."""

    def stage_began(self, stage: Stage, index: int, count: int) -> None:
        """Stage ``index`` of ``count`` begins, or goes on after a resume."""

    def stepped(self, step: int, progress: float, values: Mapping[str, float]) -> None:
        """Step number ``step`` is done, ``progress`` in [0, 1] of the schedule; ``values``: loss and its parts."""

    def validated(self, step: int, scores: Mapping[str, float]) -> None:
        """The held-out routes were scored."""

    def selected(self, step: int, score: float, best_step: int, best_score: float) -> None:
        """The selection score of this validation (the smallest is shipped), and the best one so far."""

    def saved(self, step: int, folder: Path) -> None:
        """A checkpoint was written to ``folder``."""

    def wait(self) -> None:
        """Return when ``paused`` is false again, or ``stopped`` true."""
