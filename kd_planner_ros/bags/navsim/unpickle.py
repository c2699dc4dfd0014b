"""Pickles that hold numpy and builtin containers, and nothing else: a pickle that names another class or function is not read, for naming
one is how a pickle runs code."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np

from kd_planner_ros.core.errors import BagError
from kd_planner_ros.core.foreign import reading

REMEDY = "fetch the log anew from where it was published"
_NUMPY = {"numpy": ("dtype", "ndarray"), "multiarray": ("_reconstruct", "scalar"), "numeric": ("_frombuffer",)}
ALLOWED = frozenset({
    *(("numpy", name) for name in _NUMPY["numpy"]),
    *((f"numpy.{core}.{part}", name) for core in ("core", "_core") for part in ("multiarray", "numeric") for name in _NUMPY[part]),
    *((module, name) for module in ("builtins", "__builtin__") for name in ("complex", "bytearray", "set", "frozenset")),
    ("collections", "OrderedDict"), ("_codecs", "encode")})
"""Module and name of everything that a pickle may name: what arrays of numpy 1 and 2 in pickles of any protocol need (``_codecs.encode``
is how protocol 2 writes bytes, ``__builtin__`` how it calls builtins), and containers that have no opcode of their own."""

_CORE = "numpy._core." if int(np.__version__.split(".")[0]) >= 2 else "numpy.core."
"""Where this numpy has what pickles of both versions name."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise BagError("a pickle of numpy and builtin containers alone", f"one that names {module}.{name}",
                           f"{REMEDY}: a pickle with other classes can run code, and is not read")
        return super().find_class(re.sub(r"^numpy\._?core\.", _CORE, module), name)


def read_plain(path: Path) -> Any:
    """What the pickle at ``path`` holds.

    Raises:
        BagError: the file is missing or broken, or names something else than ``ALLOWED``.
    """
    with reading(BagError, f"a log of NAVSIM in {path}", REMEDY), Path(path).open("rb") as file:
        return _Unpickler(file).load()
