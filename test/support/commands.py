"""The commands of ``kd-planner`` and their parsers."""

import argparse
from collections.abc import Iterator

from kd_planner_ros.cli import main as cli
from kd_planner_ros.cli.options import subparsers


def parser_of(*words: str) -> argparse.ArgumentParser:
    """The parser of the command ``words``, for example ``evaluate``, ``open-loop``."""
    parser = cli.build_parser(words[0])
    for word in words:
        parser = subparsers(parser)[word]
    return parser


def all_parsers() -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """(words, parser) of every command and of every one below it."""
    for name in cli.COMMANDS:
        yield from _below((name,), parser_of(name))


def _below(words: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    yield words, parser
    for name, inner in subparsers(parser).items():
        yield from _below((*words, name), inner)
