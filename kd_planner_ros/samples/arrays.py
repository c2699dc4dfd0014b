"""Arrays on disk that a training run reads rows of."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
from pathlib import Path

import numpy as np

from kd_planner_ros.core.errors import TrainingError
from kd_planner_ros.core.files import writing
from kd_planner_ros.core.foreign import reading

WHOLE_BYTES = 2**22


def open_array(path: Path) -> np.ndarray:
    """The array in a .npy file: a memory map, or all of it where it is small, for a map holds a file open.

    Raises:
        TrainingError: the file is missing or broken.
    """
    with reading(TrainingError, f"a whole array in {path}", f"delete {path.parent}: it is made again"):
        whole = path.stat().st_size <= WHOLE_BYTES
        return np.load(path, mmap_mode=None if whole else "r")


class ArrayWriter:
    """An array [N, ...] written row by row to a .npy file, so that memory never holds it; the same bytes as ``np.save`` writes.

    Use it as a context: the file is complete when the context ends.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype):
        self._path, self._shape, self._dtype, self._count = path, shape, dtype, 0
        self._file = path.open("wb")
        self._write_header()
        self._data_at = self._file.tell()

    def __enter__(self) -> ArrayWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, rows: np.ndarray) -> None:
        """Write ``rows`` [K, ...].

        Raises:
            ValueError: another shape or type than the first rows'.
        """
        if rows.shape[1:] != self._shape or rows.dtype != self._dtype:
            raise ValueError(f"{self._dtype} {list(self._shape)} a row, got {rows.dtype} {list(rows.shape[1:])}")
        with writing(self._path):
            self._file.write(np.ascontiguousarray(rows).data)
        self._count += len(rows)

    def close(self) -> None:
        """Write the number of rows into the header, and close the file."""
        if self._file.closed:
            return
        with writing(self._path):
            self._file.seek(0)
            self._write_header()
            if self._file.tell() != self._data_at:  # numpy keeps room for the number of rows
                raise ValueError(f"a header of {self._data_at} bytes, got {self._file.tell()}")
            self._file.close()

    def _write_header(self) -> None:
        facts = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": (self._count, *self._shape)}
        np.lib.format.write_array_header_1_0(self._file, facts)


def put_in_place(partial: Path, folder: Path) -> None:
    """Rename ``partial``, which is complete, to ``folder``; where another process was faster, its equal copy stays.

    Raises:
        OSError: the rename failed and ``folder`` is not there.
    """
    try:
        os.rename(partial, folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(partial, ignore_errors=True)


def allow_open_files() -> None:
    """Raise this process's limit of open files as far as it may: hundreds of recordings have more maps than 1024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # the limit stays as it was
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
