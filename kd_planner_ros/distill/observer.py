"""What a training run tells while it runs, and what it can be asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class Observer:
    """Told by the leading process of a run; this one listens to nothing and never stops it.

    All methods are called from the thread that trains, between two steps.
    """

    paused = False
    """While true the run saves a checkpoint and calls ``wait`` before its next step."""
    stopped = False
    """Once true the run saves a checkpoint and ends, as on Ctrl-C."""

    def began(self, step: int, total: int, samples: int, held_out: int) -> None:
        """The data are read; training goes on at ``step`` of ``total``, behind the head start of a new run, which ``paused`` and
        ``stopped`` hold up without a checkpoint: stopped, it begins anew the next time. ``samples`` to learn from, ``held_out`` to validate."""

    def stepped(self, step: int, progress: float, values: Mapping[str, float]) -> None:
        """Step number ``step`` is done, ``progress`` in [0, 1] of the schedule; ``values``: loss and its parts."""

    def validated(self, step: int, scores: Mapping[str, float]) -> None:
        """The held-out routes were scored."""

    def saved(self, step: int, folder: Path) -> None:
        """A checkpoint was written to ``folder``."""

    def wait(self) -> None:
        """Return when ``paused`` is false again, or ``stopped`` true."""
