"""Readers of foreign bytes: whatever a library raises over a broken file becomes one named error about that file.

Libraries raise many kinds for one broken file: their own, ``KeyError``, ``struct.error``, ``AssertionError``, ``RecursionError``,
``MemoryError``, and those written in Rust a panic that is no ``Exception``. To list them is to miss one.
"""

from __future__ import annotations

import errno
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError, KdPlannerError

OF_THE_MACHINE = (errno.ENOSPC, errno.EACCES, errno.EMFILE)
"""Errors that say nothing about the file: the disk is full, the user may not, too many files are open."""
LONGEST = 200
"""Characters of a library's sentence that are kept."""


@contextmanager
def reading(kind: type[KdPlannerError], expected: str, remedy: str) -> Iterator[None]:
    """Turn everything that the block raises into ``kind``: expected ``expected``, got what the library said, do ``remedy``.

    Our own errors pass: they say more. So do Ctrl-C, and errors of the machine.
    """
    try:
        yield
    except KdPlannerError:
        raise
    except BaseException as error:  # see the module's text: a panic of Rust is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            raise
        raise kind(expected, cause(error), remedy) from None


def cause(error: BaseException) -> str:
    """What ``error`` says in one line, its kind before it where the words alone say little (``KeyError`` says a name only)."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror if error.errno != 2 else "no such file"
    words = " ".join(str(error).split())
    short = words if len(words) <= LONGEST else words[:LONGEST] + " ..."
    if not short:
        return type(error).__name__
    return short if len(short.split()) > 2 else f"{type(error).__name__} {short}"


def read_yaml(path: Path, kind: type[KdPlannerError] = ConfigError, what: str = "YAML") -> Any:
    """What the YAML (or JSON) file at ``path`` holds; every key in it is a text.

    Raises:
        ConfigError: (or ``kind``) the file is broken, or has a key that is no text.
    """
    import yaml

    with reading(kind, f"{what} in {path}", "correct the file"):
        data = yaml.safe_load(path.read_text())
        strange = next((key for key in _keys(data) if not isinstance(key, str)), None)
    if strange is not None:
        raise kind(f"keys that are text in {path}", reprlib.repr(strange), "correct the key, or put it into quotation marks")
    return data


def _keys(data: Any) -> Iterator[Any]:
    if isinstance(data, dict):
        yield from (key if key is not None else 0 for key in data)  # None would pass for "nothing strange"
        data = list(data.values())
    for one in data if isinstance(data, list) else ():
        yield from _keys(one)
