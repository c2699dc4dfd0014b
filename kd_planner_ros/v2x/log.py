"""What a gateway let through over a drive, for the report: ``v2x.jsonl`` and the pictures ``roadside/*.jpg`` of a run folder.

Each line of ``v2x.jsonl`` is one object, of one of two kinds: the gateway's ``state`` from ``stamp_s`` on, and why it is no better, with
the messages ``accepted`` and ``rejected`` (by reason code) since the start of the drive; or a roadside ``view`` that was let through, with
its file, station, camera and age.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from kd_planner_ros.core.files import write_bytes, writing
from kd_planner_ros.core.v2x import CooperativePicture, RoadsideView
from kd_planner_ros.imaging.compressed import compress
from kd_planner_ros.v2x.evidence import Evidence

FILE_NAME, PICTURES = "v2x.jsonl", "roadside"
COUNTS_S, VIEWS_S = 1.0, 2.0
"""Counts are written at least so often while the state stays the same, and pictures at most so often; seconds of the drive."""
QUALITY = 80
NS = 1_000_000_000


class GatewayLog:
    """Writes the lines as they come, so that a drive that is killed leaves a file that can be read. A folder has one log: another one
    begins the file anew.

    Args:
        folder: the run folder; it need not be there before the first answer.
        zero_ns: the gateway's time at the run's time 0.
        pictures: whether views are kept.

    Attributes:
        evidence: the refused messages of the drive, over all its gateways.
    """

    def __init__(self, folder: Path, zero_ns: int, pictures: bool = True):
        self._folder, self._zero_ns, self._pictures = Path(folder), zero_ns, pictures
        self._file: IO[str] | None = None
        self._mode = "w"
        self.evidence = Evidence()
        self._accepted, self._rejected = 0, Counter[str]()
        self._told: tuple[str, str, float] | None = None
        self._shown_s: float | None = None

    def carry(self, accepted: int, rejected: Mapping[str, int]) -> None:
        """The gateway that has accepted and, by reason, rejected so many messages is followed by one that counts from 0 again."""
        self._accepted += accepted
        self._rejected.update(rejected)

    def take(self, answer: CooperativePicture, accepted: int) -> None:
        """One answer of the gateway, which has accepted so many messages by then.

        Raises:
            OSError: the folder cannot be written to.
        """
        stamp_s = round((answer.objects.stamp_ns - self._zero_ns) / NS, 3)
        told = self._told
        if told is None or told[:2] != (answer.state.name, answer.why) or not 0.0 <= stamp_s - told[2] < COUNTS_S:
            self._told = (answer.state.name, answer.why, stamp_s)
            rejected = self._rejected + Counter(answer.rejected)
            self._write({"stamp_s": stamp_s, "state": answer.state.name, "why": answer.why, "accepted": self._accepted + accepted,
                         "rejected": dict(sorted(rejected.items()))})
        if self._pictures and answer.views and (self._shown_s is None or not 0.0 <= stamp_s - self._shown_s < VIEWS_S):
            self._shown_s = stamp_s
            for number, view in enumerate(answer.views):
                self._show(stamp_s, number, view)

    def _show(self, stamp_s: float, number: int, view: RoadsideView) -> None:
        if view.image is None or view.camera is None:
            return
        (self._folder / PICTURES).mkdir(parents=True, exist_ok=True)
        name = f"{round(stamp_s * 1000):08d}_{number}.jpg"
        write_bytes(self._folder / PICTURES / name, compress(view.image, quality=QUALITY).tobytes())
        self._write({"stamp_s": stamp_s, "view": name, "station": view.station, "camera": view.camera.id, "age_s": round(view.age_s, 3)})

    def _write(self, line: dict[str, Any]) -> None:
        with writing(self._folder / FILE_NAME):
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = (self._folder / FILE_NAME).open(self._mode, buffering=1)
                self._mode = "a"
            self._file.write(json.dumps(line) + "\n")

    def close(self) -> None:
        """Close the file; safe to call twice. A later answer goes on in it."""
        if self._file is not None:
            self._file.close()
        self._file = self._told = None
