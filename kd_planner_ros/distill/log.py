"""The log of a training run: CSV that any tool reads, and TensorBoard where it is importable."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_planner_ros.core.files import write_bytes

PRETRAIN = "pretrain"
"""Kind of the rows from before the student's first step; older logs say "head start"."""


class Log:
    """Rows (step, kind, name, value) appended to ``log.csv``; rows of steps after ``first_step`` are dropped at the
    start, so that a resumed run does not log the same step twice. None: a new run, all rows are."""

    def __init__(self, folder: Path, first_step: int | None):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "log.csv"
        kept = []
        if path.is_file() and first_step is not None:
            with path.open(newline="") as file:
                kept = [row for row in csv.reader(file) if row and row[0].isdigit() and (
                    row[1] in (PRETRAIN, "head start") or int(row[0]) <= first_step)]
        text = io.StringIO(newline="")
        csv.writer(text).writerows([("step", "kind", "name", "value"), *kept])
        write_bytes(path, text.getvalue().encode())  # the earlier rows are not lost to a run that is killed here
        self._file = path.open("a", newline="")
        self._writer = csv.writer(self._file)
        self._board: Any = _tensorboard(folder)

    def write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Add ``values`` of ``kind`` (train, validation, ``PRETRAIN``)."""
        for name, value in values.items():
            self._writer.writerow((step, kind, name, f"{value:.6g}"))
            if self._board is not None:
                self._board.add_scalar(f"{kind}/{name}", value, step)
        self._file.flush()

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board is not None:
            self._board.close()


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"))
