"""Command-line options from the fields of a config dataclass, so that each default and help text stands in one place.

A field becomes ``--field-name``, or ``--section.field-name`` in a section. Its metadata may hold ``help`` (say the unit),
``choices``, ``metavar``, ``flag`` (another name of the option), ``parse`` (reads one word into the value) and ``cli`` (False leaves
the field out). Types: str, int, float, bool (gives ``--x`` and ``--no-x``), Path, tuples of these (several words), and unions, of
which the first type but None counts.
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from kd_planner_ros.core.fields import option_of
from kd_planner_ros.core.notices import report

Config = TypeVar("Config")
GIVEN = "_given"
"""Attribute of parsed arguments: the options that were given, by the name of their value."""
METAVARS = {int: "N", float: "X", str: "TEXT", Path: "PATH"}


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that shows defaults, keeps the epilog's lines, and refuses in one line."""

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("formatter_class", _Formatter)
        super().__init__(*args, allow_abbrev=False, **kwargs)
        for name in (None, "store"):
            self.register("action", name, _Store)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"kd-planner: error: {message}; see '{self.prog} --help'\n")


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str):
        super().__init__(prog, max_help_position=30, width=110)

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        default = action.default
        if not action.option_strings or "(default" in text or default is None or default is False or default in (
                argparse.SUPPRESS, (), ""):
            return text
        words = " ".join(map(str, default)) if isinstance(default, tuple) else str(default)
        return f"{text} (default: {words.replace('%', '%%')})"


def add_json(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the ``--json`` option."""
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object on the last line")


def add_fields(parser: argparse.ArgumentParser, config: type, skip: tuple[str, ...] = (), section: str = "",
               given_only: bool = False) -> None:
    """Give ``parser`` one option for each field of dataclass ``config`` but those in ``skip``.

    Args:
        section: stands before the names, ``--section.field-name``; the values are then called ``section.field_name``.
        given_only: leave the values of options that are not given out of the result (``given`` reads them); none is required.
    """
    hints = typing.get_type_hints(config)
    for field in dataclasses.fields(config):
        if field.name in skip or not field.init or field.metadata.get("cli") is False:
            continue
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        settings: dict[str, Any] = {"help": field.metadata.get("help", ""), "dest": f"{section}." * bool(section) + field.name}
        settings |= {"required": True} if required else {"default": _default(field)}
        settings |= _kind(hints[field.name])
        if "parse" in field.metadata:
            settings = {key: value for key, value in settings.items() if key != "nargs"} | {"type": field.metadata["parse"]}
        if given_only:
            settings |= {"help": _with_default(settings), "default": argparse.SUPPRESS, "required": False}
        if "choices" in field.metadata:
            choices = field.metadata["choices"]  # "" stands for not given, and nobody writes it
            settings |= {"choices": choices, "metavar": f"{{{','.join(filter(None, choices))}}}" if "" in choices else None}
        if "metavar" in field.metadata:
            settings["metavar"] = field.metadata["metavar"]
        parser.add_argument(option_of(field, section), **settings)


def given(args: argparse.Namespace, *configs: type, **sections: type) -> dict[str, Any]:
    """The options of ``configs`` and, under dotted names, of ``sections`` that were given, by name."""
    names = {field.name for config in configs for field in dataclasses.fields(config)}
    names |= {f"{section}.{field.name}" for section, config in sections.items() for field in dataclasses.fields(config)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in vars(args).items() if name in names}


def refuse_old_options(parser: argparse.ArgumentParser, table: Mapping[str, str]) -> None:
    """Have ``parser`` refuse the old option names of ``table`` (old name -> new name, with underscores) in one line."""
    for old, new in table.items():
        section, dot, name = new.replace("_", "-").rpartition(".")
        for option, renamed in ((old, f"{section}{dot}{name}"), (f"no_{old}", f"{section}{dot}no-{name}")):
            parser.add_argument("--" + option.replace("_", "-"), nargs="?", action=_Renamed, new=f"--{renamed}", help=argparse.SUPPRESS)


class _Store(argparse._StoreAction):
    """Keeps the value, and says which one is lost where an option is given again."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        before = vars(namespace).setdefault(GIVEN, {})
        if option_string and before.get(self.dest, values) != values:
            lost = before[self.dest]
            report(f"{option_string} is given twice: {_words(values)} is taken, {_words(lost)} is not"
                   + ("; give all values behind one" if self.nargs in ("*", "+") else ""))
        before[self.dest] = values
        super().__call__(parser, namespace, values, option_string)


def _words(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


class _Renamed(argparse.Action):
    """Refuses an old option by its new name."""

    def __init__(self, *args: Any, new: str, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.new, self.default = new, argparse.SUPPRESS

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        parser.error(f"expected {self.new}; got its old name {option_string}; use the new name")


class _YesOrNo(argparse.Action):
    """``--x`` and ``--no-x``; in a section ``--section.x`` and ``--section.no-x``."""

    def __init__(self, option_strings: Any, dest: str, **kwargs: Any):
        no = [f"--{section}{dot}no-{name}" for section, dot, name in (one[2:].rpartition(".") for one in option_strings)]
        super().__init__([*option_strings, *no], dest, nargs=0, **kwargs)
        self._no = frozenset(no)

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        setattr(namespace, self.dest, option_string not in self._no)

    def format_usage(self) -> str:
        return " | ".join(self.option_strings)


def subparsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The subcommands of ``parser`` by name; empty where it has none."""
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def refuse_unknown(parser: argparse.ArgumentParser, argv: Sequence[str], unknown: Sequence[str]) -> NoReturn:
    """Refuse the ``unknown`` words of ``argv`` by the subcommand's parser; the options nearest to them are named."""
    inner = parser
    for word in argv:
        inner = subparsers(inner).get(word, inner)
    known = [option for action in inner._actions if action.help is not argparse.SUPPRESS for option in action.option_strings]
    near = [(word, difflib.get_close_matches(re.sub(r"^--no-([^.]+)\.", r"--\1.no-", word.partition("=")[0]), known, 1))
            for word in unknown if word.startswith("--")]
    inner.error(f"unrecognized arguments: {' '.join(unknown)}" + "".join(
        f"; the nearest to '{word}' is '{found[0]}'" for word, found in near if found))


def _with_default(settings: Mapping[str, Any]) -> str:
    """The help text with the default in words, for an option whose value is left out where it is not given."""
    text, default = settings["help"], settings.get("default")
    if "(default" in text or default is None or default is False or default in ((), ""):
        return text
    return f"{text} (default: {str(default).replace('%', '%%')})"


def from_args(config: type[Config], args: argparse.Namespace, **fixed: Any) -> Config:
    """The ``config`` that ``args`` describe; ``fixed`` sets fields that have no option."""
    values = {}
    for field in dataclasses.fields(config):
        if field.init and field.name not in fixed and hasattr(args, field.name):
            value = getattr(args, field.name)
            values[field.name] = tuple(value) if isinstance(value, list) else value
    return config(**values, **fixed)


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _kind(hint: Any) -> dict[str, Any]:
    """The argparse settings of a type hint."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return _kind(next(part for part in typing.get_args(hint) if part is not type(None)))
    if hint is bool:
        return {"action": _YesOrNo}
    if typing.get_origin(hint) in (tuple, list):
        return {"nargs": "*", **_kind(typing.get_args(hint)[0])}
    if hint in METAVARS:
        return {"type": hint, "metavar": METAVARS[hint]}
    raise TypeError(f"no command-line option can be made for a field of type {hint!r}")


def show(result: Mapping[str, Any]) -> None:
    """Print ``result`` for a reader: one line a name."""
    for name, value in result.items():
        if isinstance(value, (Mapping, tuple, list)) and not value:
            value = "none"
        elif isinstance(value, Mapping):
            value = ", ".join(f"{key}: {inner:.4g}" if isinstance(inner, float) else f"{key}: {inner}"
                              for key, inner in value.items())
        print(f"{name:<26} {value:.4g}" if isinstance(value, float) else f"{name:<26} {value}")
