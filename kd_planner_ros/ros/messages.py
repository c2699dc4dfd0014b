"""rclpy's message classes: what ``wire/codec`` makes the messages of a graph from."""

from __future__ import annotations

import importlib
from array import array
from functools import cache
from typing import Any

import numpy as np

_TYPECODES = {"u1": "B", "i1": "b", "u2": "H", "i2": "h", "u4": "I", "i4": "i", "f4": "f", "f8": "d"}


def find_type(kind: str) -> Any | None:
    """The class of ``kind``, such as ``std_msgs/msg/Header``; None where its package is not installed."""
    package, _, name = kind.split("/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name, None)
    except ImportError:
        return None


def type_name(found: type) -> str:
    """The name of a message class, such as ``std_msgs/msg/Header``."""
    return f"{found.__module__.split('.')[0]}/msg/{found.__name__}"


@cache
def _class(kind: str) -> tuple[Any, frozenset[str]]:
    """The class of ``kind`` and its fields of variable length."""
    found = find_type(kind)
    if found is None:
        raise ImportError(f"no message type {kind}")
    types = found.get_fields_and_field_types()
    return found, frozenset(name for name, text in types.items() if text.startswith("sequence<"))


def make(kind: str, /, **fields: Any) -> Any:
    """A message of type ``kind``. Numpy arrays in fields of variable length become ``array.array``, the one type that every
    distribution assigns fast."""
    found, sequences = _class(kind)
    for name in sequences:
        if isinstance(fields.get(name), np.ndarray):
            fields[name] = packed(fields[name])
    return found(**fields)


def packed(values: np.ndarray) -> array:
    """The numbers of ``values`` as ``array.array`` of their own type."""
    if values.nbytes < 1024:
        return array(_TYPECODES[values.dtype.str[1:]], values.tobytes())
    out = array(_TYPECODES[values.dtype.str[1:]])
    out.frombytes(memoryview(np.ascontiguousarray(values)).cast("B"))
    return out
