"""SUMO's command line tools and the folder where what they make is kept. Imported by maps and town."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from kd_planner_ros.core.errors import MapError
from kd_planner_ros.core.files import writing
from kd_planner_ros.core.foreign import reading

TIMEOUT_S = 120.0


def sumo_home() -> Path:
    """The folder of the installed ``eclipse-sumo``.

    Raises:
        MapError: the package is not installed.
    """
    try:
        import sumo
    except ImportError:
        raise MapError("the Python package eclipse-sumo", "no such package", "run 'pip install eclipse-sumo'") from None
    return Path(sumo.SUMO_HOME)


def run_tool(name: str, *arguments: str, folder: Path, source: Path | None = None) -> None:
    """Runs one of SUMO's binaries (``netgenerate``, ``netconvert``) to its end.

    Args:
        folder: where it runs. Name files relative to it: SUMO splits a path at commas, replaces ``${NAME}`` in it, and takes
            an output file with a colon for a network address.
        source: the user's map file, to be named in an error.

    Raises:
        MapError: the tool failed; the message carries its first error line.
    """
    environment = dict(os.environ, SUMO_HOME=str(sumo_home()))
    command = [str(sumo_home() / "bin" / name), *arguments, "--xml-validation", "never"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment,
                              cwd=folder, errors="replace")
    except subprocess.TimeoutExpired:
        raise MapError(f"{name} to end within {TIMEOUT_S:.0f} s" + (f" on {source}" if source else ""), "a longer run",
                       "use a smaller map, or wait until the machine is less busy") from None
    except OSError as error:
        raise MapError(f"{name} to run", str(error).splitlines()[0], "reinstall eclipse-sumo") from None
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error")] or ["no message"]
        raise MapError(f"a road network {name} can read" + (f" in {source}" if source else ""), lines[0].removeprefix("Error: "),
                       "correct the map file, or export it anew")


@contextmanager
def sumo_path(path: str) -> Iterator[str]:
    """A name under which SUMO opens the file ``path`` while the context lasts: an open descriptor's where SUMO would split the
    path at a comma or replace ``${NAME}`` in it."""
    if "," not in path and "$" not in path:
        yield path
        return
    with Path(path).open("rb") as file:
        yield f"/dev/fd/{file.fileno()}"


def cache_folder() -> Path:
    """The user's cache folder for made maps; the temporary folder where a home cannot be written."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for folder in (root / "kd_planner_ros" / "maps", Path(tempfile.gettempdir()) / f"kd_planner_ros-{os.getuid()}"):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK):
                return folder
        except OSError:
            continue
    raise MapError("a writable cache folder", str(root), "set XDG_CACHE_HOME")


def cached_file(key: bytes, suffix: str, make: Callable[[Path], None]) -> Path:
    """The file whose content follows from ``key``; ``make(path)`` writes it the first time, then it is renamed."""
    target = cache_folder() / (hashlib.sha256(key).hexdigest()[:24] + suffix)
    if target.exists():
        return target
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        fresh = Path(folder) / ("fresh" + suffix)
        with writing(target):
            make(fresh)
            os.replace(fresh, target)
    return target


def kept_arrays(key: bytes, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays that follow from ``key``, made the first time and read from the cache folder after that; always made
    for an empty key."""
    if not key:
        return make()
    path = cached_file(key, ".npz", lambda target: np.savez(target, **make()))
    try:
        with reading(MapError, f"arrays in {path}", "delete the file"), np.load(path) as kept:
            return {name: kept[name] for name in kept.files}
    except MapError as error:  # it is only a cache
        print(f"{path} is made again: {error.got}", file=sys.stderr)
        path.unlink()
        with np.load(cached_file(key, ".npz", lambda target: np.savez(target, **make()))) as kept:
            return {name: kept[name] for name in kept.files}
