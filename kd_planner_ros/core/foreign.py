"""Readers of foreign bytes: whatever a library raises over a broken file becomes one named error about that file.

Libraries raise many kinds for one broken file: their own, ``KeyError``, ``struct.error``, ``AssertionError``, ``RecursionError``,
``MemoryError``, and those written in Rust a panic that is no ``Exception``. To list them is to miss one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from kd_planner_ros.core.errors import KdPlannerError

LONGEST = 200
"""Characters of a library's sentence that are kept."""


@contextmanager
def reading(kind: type[KdPlannerError], expected: str, remedy: str) -> Iterator[None]:
    """Turn everything that the block raises into ``kind``: expected ``expected``, got what the library said, do ``remedy``.

    Our own errors pass: they say more. So does Ctrl-C.
    """
    try:
        yield
    except KdPlannerError:
        raise
    except BaseException as error:  # see the module's text: a panic of Rust is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
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
