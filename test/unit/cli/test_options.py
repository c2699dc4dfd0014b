"""Options made from a config's fields give the config back."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kd_planner_ros.cli.options import Parser, add_fields, from_args
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.record.jobs import RecordConfig


@dataclass(frozen=True)
class _Config:
    out: Path = field(metadata={"help": "folder"})
    speed_mps: float = field(default=4.5, metadata={"help": "speed in m/s"})
    names: tuple[str, ...] = field(default=("a",), metadata={"help": "names"})
    count: int | None = field(default=None, metadata={"help": "number"})
    fast: bool = field(default=True, metadata={"help": "hurry"})
    kind: str = field(default="x", metadata={"help": "kind", "choices": ("x", "y")})
    hidden: int = field(default=3, metadata={"cli": False})


def _parse(*words: str) -> _Config:
    parser = Parser(prog="test")
    add_fields(parser, _Config)
    return from_args(_Config, parser.parse_args(words))


def test_defaults_are_the_fields_own():
    assert _parse("--out", "d") == _Config(Path("d"))


def test_every_kind_of_value():
    assert _parse("--out", "d", "--speed-mps", "2", "--names", "b", "c", "--count", "7", "--no-fast", "--kind", "y") == \
        _Config(Path("d"), 2.0, ("b", "c"), 7, False, "y")


@pytest.mark.parametrize("words", [(), ("--out", "d", "--count", "x"), ("--out", "d", "--kind", "z"),
                                   ("--out", "d", "--hidden", "4"), ("--out", "d", "--spee", "4")])
def test_bad_words_are_refused_in_one_line(capsys, words):
    with pytest.raises(SystemExit) as stop:
        _parse(*words)
    assert stop.value.code == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and text.startswith("kd-planner: error: ") and "--help" in text


def test_help_shows_defaults_and_texts():
    parser = Parser(prog="test")
    add_fields(parser, _Config)
    text = parser.format_help()
    assert "speed in m/s (default: 4.5)" in text and "names (default: a)" in text and "--no-fast" in text


def test_an_option_that_is_given_twice_is_told(capsys):
    """argparse keeps the last value and says nothing."""
    assert _parse("--out", "a", "--kind", "y", "--kind", "y") and capsys.readouterr().err == ""
    assert _parse("--out", "a", "--out", "b", "--names", "x", "--names", "y", "z").names == ("y", "z")
    said = capsys.readouterr().err
    assert "--out is given twice: b is taken, a is not\n" in said
    assert "--names is given twice: y z is taken, x is not; give all values behind one" in said


def test_limits_are_written_in_full():
    with pytest.raises(ConfigError, match="from 0 to 2147483647; got -1"):
        RecordConfig(Path("a"), seed=-1)
