"""A strip of the perceiver's outputs every few seconds, for the report of the drive."""

from __future__ import annotations

from pathlib import Path

from kd_planner_ros.core.outputs import Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.imaging.dense_strip import strip_panels, write_strip
from kd_planner_ros.ros.diagnostics import WARN, Health
from kd_planner_ros.ros.stamps import CLOCK_START_NS


class PerceptionStrips:
    """Writes ``<ms>.png`` into ``folder`` (simulated time since the drive began) where the last one is ``every_s`` old; nothing without a
    folder. A disk that cannot be written is a warning of the diagnostics: the outputs are sent all the same."""

    def __init__(self, folder: str, every_s: float, health: Health):
        self._folder, self._every_ns, self._health = folder, round(every_s * 1e9), health
        self._last_ns: int | None = None

    def take(self, seen: Perception, frame: Frame) -> None:
        """Perhaps draw ``seen``, made of ``frame``."""
        stamp = seen.stamp_ns
        late = self._last_ns is None or not 0 <= stamp - self._last_ns < self._every_ns
        if not self._folder or not late or not seen.outputs or seen.camera not in frame.images:
            return
        self._last_ns = stamp
        path = Path(self._folder) / f"{max(stamp - CLOCK_START_NS, 0) // 1_000_000:08d}.png"
        try:
            write_strip(path, [strip_panels(frame.images[seen.camera], seen.outputs)])
        except OSError as error:
            self._health.set("strips", WARN, f"the strip of outputs cannot be written to {path}: {error.strerror or error}")
        else:
            self._health.clear("strips")
