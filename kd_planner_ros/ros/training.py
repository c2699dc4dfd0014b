"""A training run on its own thread, as a node sees it: start, pause, go on, end, and how far it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import sentence_of
from kd_planner_ros.distill.config import TrainConfig, TrainReport
from kd_planner_ros.distill.observer import Observer
from kd_planner_ros.distill.train import train
from kd_planner_ros.networks.training import Stage


class Training(Observer):
    """One run. Its facts are replaced whole, never changed, so they may be read from another thread.

    Args:
        on_news: called with no arguments from the training thread after every step, validation and change of state.
    """

    def __init__(self, config: TrainConfig, on_news: Callable[[], None] = lambda: None):
        self.config, self._on_news = config, on_news
        self.state = "idle"
        self.step, self.total, self.progress = 0, 0, 0.0
        self.values: Mapping[str, float] = {}
        self.scores: Mapping[str, float] = {}
        self.stage, self.stage_of, self.share = "", "", 0.0
        self.selection: tuple[float, float, int] | None = None
        """Selection score of the newest validation and of the best one, and the best one's step."""
        self.checkpoint: Path | None = None
        self.report: TrainReport | None = None
        self.error = ""
        self._go = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, or go on after a pause."""
        self.paused = False
        self._go.set()
        if self._thread is None:
            self.state = "reading recordings"
            self._thread = threading.Thread(target=self._train, name="training", daemon=True)
            self._thread.start()

    def pause(self) -> None:
        """Save a checkpoint after the present step and wait."""
        self._go.clear()
        self.paused = True

    def stop(self, timeout_s: float) -> bool:
        """Save a checkpoint after the present step and end; whether it has ended within ``timeout_s``."""
        self.stopped = True
        self._go.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return self._thread is None or not self._thread.is_alive()

    @property
    def over(self) -> bool:
        """Whether the thread has begun and ended."""
        return self.state in ("finished", "ended early", "failed")

    # --- what the run tells ------------------------------------------------------------------------------------------

    def began(self, step: int, total: int, samples: int, held_out: int) -> None:
        """See Observer."""
        self.step, self.total = step, total
        self._tell("training")

    def stepped(self, step: int, progress: float, values: Mapping[str, float]) -> None:
        """See Observer."""
        self.step, self.progress, self.values = step, progress, dict(values)
        self._on_news()

    def validated(self, step: int, scores: Mapping[str, float]) -> None:
        """See Observer."""
        self.scores = {f"validation/{name}": value for name, value in scores.items()}
        self._on_news()

    def stage_began(self, stage: Stage, index: int, count: int) -> None:
        """See Observer."""
        self.stage, self.stage_of, self.share = stage.name, f"{index + 1} of {count}", stage.share
        self._on_news()

    def selected(self, step: int, score: float, best_step: int, best_score: float) -> None:
        """See Observer."""
        self.selection = score, best_score, best_step
        self._on_news()

    def saved(self, step: int, folder: Path) -> None:
        """See Observer."""
        self.checkpoint = folder

    def wait(self) -> None:
        """See Observer."""
        self._tell("paused")
        self._go.wait()
        self._tell("training")

    def _tell(self, state: str) -> None:
        self.state = state
        self._on_news()

    def _train(self) -> None:
        try:
            self.report = self._call()
        except Exception as error:  # noqa: BLE001  an exception here must reach the diagnostics, not only a dead thread's stderr
            self._fail(sentence_of(error))
        else:
            self.step, self.progress = self.report.steps, 1.0 if self.report.finished else self.progress
            self._tell("finished" if self.report.finished else "ended early")

    def _call(self) -> Any:
        return train(self.config, self)

    def _fail(self, sentence: str) -> None:
        self.error = sentence
        self._tell("failed")
