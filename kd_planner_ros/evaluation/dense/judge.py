"""Compares perceptions with labels, output by output, and keeps some frames for the strip of pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.evaluation.dense.claims import Claim, Reading
from kd_planner_ros.evaluation.dense.config import DenseConfig
from kd_planner_ros.evaluation.dense.instants import Instant
from kd_planner_ros.evaluation.dense.measure import Judged
from kd_planner_ros.evaluation.dense.pictures import Panel, panels

UNREADY, UNLABELLED = "not_ready", "frames_without_label"


class Judge:
    """Counts ``frames`` and those that are ``unlabelled``: no output of them could be compared."""

    def __init__(self, config: DenseConfig):
        self._config = config
        self._judged: dict[str, Judged] = {}
        self._refused: dict[str, Counter[str]] = {}
        self._frames: dict[str, list[int]] = {}
        self.strip: list[list[Panel]] = []

    @property
    def frames(self) -> int:
        """Frames that were seen."""
        return sum(seen for seen, _ in self._frames.values())

    def take(self, seen: Perception, instant: Instant) -> None:
        """One perception beside what is known.

        Raises:
            ConfigError: an output of another shape than the camera's picture.
        """
        counted = self._frames.setdefault(instant.recording, [0, 0])
        counted[0] += 1
        claims = [] if instant.labels is None else list(Reading(seen, instant, instant.labels, self._config).claims())
        for one in claims:
            if one.measure is None:
                self._refused.setdefault(one.name, Counter())[one.why] += 1
                continue
            judged = self._judged.get(one.name)
            if judged is None:
                judged = self._judged[one.name] = Judged(one.measure())
            judged.add(one.found, one.truth, instant.share >= 0.5, instant.recording)
        compared = [one for one in claims if one.measure is not None]
        counted[1] += not compared
        self._draw(instant, compared)

    def _draw(self, instant: Instant, compared: list[Claim]) -> None:
        drawn = len(self.strip) // 2
        if compared and self._config.out is not None and drawn < self._config.pictures * instant.share:
            kinds = {name: judged.measure for name, judged in self._judged.items()}
            self.strip += panels(instant, compared, kinds)

    def result(self) -> dict[str, Any]:
        """``frames``, ``unlabelled``, ``outputs`` (``Judged.result`` by name), ``not_scored`` (why, by name), and ``recordings``: the
        figures of each."""
        outputs = {name: judged.result() for name, judged in self._judged.items()}
        reasons = {name: next(iter(whys)) for name, whys in self._refused.items()}
        for name, one in outputs.items():
            one["left_out"][UNLABELLED] = self._refused.get(name, Counter()).total()
        for name in [name for name, one in outputs.items() if not one["frames"]]:
            left_out = outputs.pop(name)["left_out"]
            unready = left_out.get(UNREADY, 0)
            reasons[name] = f"the network was not ready in any of {unready} frames" if unready else "no pixel of any frame has a label"
        return {"frames": self.frames, "unlabelled": sum(bare for _, bare in self._frames.values()), "outputs": outputs,
                "not_scored": {name: reason for name, reason in reasons.items() if name not in outputs},
                "recordings": {name: self._of_recording(name, outputs) for name in self._frames}}

    def _of_recording(self, name: str, outputs: Mapping[str, Any]) -> dict[str, Any]:
        frames, unlabelled = self._frames[name]
        figures = {output: self._judged[output].of_recording(name) for output in outputs}
        return {"frames": frames, "unlabelled": unlabelled, "outputs": {one: found for one, found in figures.items() if found is not None}}
