"""Which folders a command may write to: free ones, those of its own, and none that holds a drive."""

from __future__ import annotations

import tempfile
from collections.abc import Collection
from pathlib import Path

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import writing

RUN = "run.json"
"""The file that every drive writes to its folder first (``evaluation/run_folder.py``)."""


def require_free(folder: Path, kind: str) -> None:
    """Refuse a folder that holds files for a run of ``kind`` (a word for the sentence). Hidden files do not count.

    Raises:
        ConfigError: a file stands in the folder's place, or it names one of the other files.
    """
    if names := _names(folder, kind, "--out"):
        raise ConfigError(f"an empty folder, or one of an earlier {kind}, at {folder}",
                          f"one with other files, for example {names[0]}", "give another --out")


def require_undriven(folder: Path, option: str, leavings: Collection[str] = ()) -> None:
    """``require_new`` for a drive; a folder with all of ``leavings`` is what a drive left that never began."""
    require_new(folder, "drive", RUN, option, leavings)


def require_new(folder: Path, kind: str, mark: str, option: str = "--out", leavings: Collection[str] = ()) -> None:
    """Refuse a folder with files, as ``ros2 bag record -o`` refuses any that exists, but one that has all of ``leavings``.

    Args:
        kind: a word for what writes to it, for the sentence.
        mark: the file that says that an earlier one of this kind did.
        option: names the folder in the sentence.

    Raises:
        ConfigError: a file stands in the folder's place, or it holds an earlier one, or other files, of which one is named.
    """
    names = _names(folder, kind, option)
    if mark in names:
        raise ConfigError(f"a new or empty folder at {folder}", f"that of an earlier {kind}",
                          f"give another {option}, or delete the folder")
    if names and not (leavings and set(leavings) <= set(names)):
        raise ConfigError(f"a new or empty folder at {folder}", f"one with files, for example {names[0]}", f"give another {option}")


def make_folder(folder: Path) -> Path:
    """Make the folder that a command will write to, and give it back. Called before the work, whose result would be lost where nothing
    can be written.

    Raises:
        OSError: it cannot be made, or no file can be written in it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder), tempfile.TemporaryFile(dir=folder):
        return folder


def require_no_drive(folder: Path, kind: str) -> None:
    """Refuse a folder that holds a drive for ``kind`` (a word for the sentence), whose files may stand beside others.

    Raises:
        ConfigError: a file stands in the folder's place, or it holds a drive.
    """
    if RUN in _names(folder, kind, "--out"):
        raise ConfigError(f"a folder for {kind} at {folder}", "that of an earlier drive", "give another --out, or delete the folder")


def _names(folder: Path, kind: str, option: str) -> list[str]:
    """The names in ``folder`` but hidden ones, sorted; none where it does not exist yet."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"a folder for the {kind} at {folder}", "a file", f"give another {option}")
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith(".")) if folder.is_dir() else []
