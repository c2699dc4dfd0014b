"""Types and ranges of a settings dataclass, kept in the metadata of its fields and checked in one place."""

from __future__ import annotations

import dataclasses
import math
import reprlib
import types
import typing
from collections import abc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError, KdPlannerError

WORDS = (str, int, float, bool, Path)
LIMITS = {"low": "from", "above": "above", "high": "to", "below": "below"}


def check_fields(config: Any, prefix: str = "") -> None:
    """Refuse the first field of ``config`` whose value is of another type than its default or outside its range.

    Metadata that counts: ``low`` and ``high`` (included), ``above`` and ``below`` (not included), ``choices``, ``flag`` (the
    name of the option where it is not the field's). Numbers must be finite. Fields without a default are left alone, and
    None is a value of those whose default is None. ``prefix`` stands before the option's name, as in ``--tcp.input-height``.

    Raises:
        ConfigError: it names the option, ``--field-name``.
    """
    for field in dataclasses.fields(config):
        _check_field(field, getattr(config, field.name), option_of(field, prefix))


def check_values(kind: type, values: Mapping[str, Any], where: str, prefix: str = "") -> None:
    """``check_fields`` for those of ``values`` that are fields of the dataclass ``kind``; they were read from the file ``where``, in its
    section ``prefix``.

    Raises:
        ConfigError: it names the field as the file has it, and the file.
    """
    for field in dataclasses.fields(kind):
        if field.name in values:
            _check_field(field, values[field.name], f"'{prefix}{'.' * bool(prefix)}{field.name}' in {where}")


def _check_field(field: dataclasses.Field, value: Any, name: str) -> None:
    """Refuse a ``value`` of ``field``, called ``name``, that is of another type than its default or outside its range."""
    kind, choices = type(field.default), field.metadata.get("choices", ())
    if choices and value not in choices:
        raise ConfigError(f"{name} out of {', '.join(map(str, choices))}", repr(value), f"correct {name}")
    if kind is bool and not isinstance(value, bool):
        raise ConfigError(f"{name} true or false", repr(value), f"correct {name}")
    limits = {limit: field.metadata[limit] for limit in LIMITS if field.metadata.get(limit) is not None}
    if value is not None and (kind in (int, float) or limits) and not _is_number(value, kind, limits):
        raise ConfigError(f"{name} {_range(kind, limits)}", repr(value), f"correct {name}")


def unfit_options(kind: Any) -> str:
    """Why no options can be made from the fields of ``kind``; "" where they can. Each field needs a default, a help text, and a type
    that one word can be read into (or a tuple of such).
    """
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        return f"{getattr(kind, '__name__', repr(kind))} is no dataclass"
    try:
        hints = typing.get_type_hints(kind)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        return f"{kind.__name__} with types that cannot be read: {error}"
    for field in dataclasses.fields(kind):
        if field.default is dataclasses.MISSING or not field.metadata.get("help"):
            return f"{kind.__name__}.{field.name} without a {'default' if field.default is dataclasses.MISSING else 'help text'}"
        parts = [one for one in typing.get_args(hints[field.name]) if one is not type(None)]
        hint = parts[0] if typing.get_origin(hints[field.name]) in (typing.Union, types.UnionType) else hints[field.name]
        if hint not in WORDS and typing.get_origin(hint) is not tuple:
            return f"{kind.__name__}.{field.name} of a type that is no option: {field.type}"
    return ""


def require_types(kind: type, values: Mapping[str, Any], where: str, error: type[KdPlannerError] = ConfigError) -> None:
    """Refuse the first of ``values``, read from a file, whose type is not that of the field of its name in the dataclass ``kind``.

    Raises:
        ConfigError: (or ``error``) it names the field and ``where`` the values stand.
    """
    hints = typing.get_type_hints(kind)
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            raise error(f"{_words_of(hints[name])} under '{name}' in {where}", reprlib.repr(value), f"correct '{name}'")


def fits(value: Any, hint: Any) -> bool:
    """Whether ``value``, as JSON and YAML give it, is of the type ``hint``: lists are tuples, text is a path, numbers are finite."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, part) for part in parts)
    if origin in (tuple, list):
        return isinstance(value, (tuple, list)) and all(fits(one, parts[0]) for one in value)
    if origin in (dict, abc.Mapping):
        return isinstance(value, abc.Mapping) and all(fits(one, parts[1]) for one in value.values())
    if hint in (int, float):
        return _is_number(value, hint, {})
    if hint is Path:
        return isinstance(value, (str, Path))
    return not isinstance(hint, type) or isinstance(value, hint)


def _words_of(hint: Any) -> str:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words_of(part) for part in parts)
    if origin in (tuple, list):
        return f"a list, each {_words_of(parts[0])},"
    if origin in (dict, abc.Mapping):
        return "names with values"
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path", type(None): "nothing"}.get(
        hint, "a value")


def option_of(field: dataclasses.Field, prefix: str = "") -> str:
    """The option of ``field``: ``--field-name``, or ``--prefix.field-name``."""
    return f"--{prefix}" + ("." if prefix else "") + field.metadata.get("flag", field.name).replace("_", "-")


def _is_number(value: Any, kind: type, limits: Mapping[str, float]) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int,) if kind is int else (int, float)):
        return False
    return (math.isfinite(value) and limits.get("low", -math.inf) <= value <= limits.get("high", math.inf)
            and limits.get("above", -math.inf) < value < limits.get("below", math.inf))


def _range(kind: type, limits: Mapping[str, float]) -> str:
    words = "a whole number" if kind is int else "a number"
    told = {name: str(limit) if isinstance(limit, int) else f"{limit:g}" for name, limit in limits.items()}  # 2**31 - 1 in full
    parts = [f"{text} {told[name]}" for name, text in LIMITS.items() if name in told]
    return " ".join([words, *parts])
