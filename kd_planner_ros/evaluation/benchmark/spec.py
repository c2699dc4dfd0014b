"""What a benchmark is: a YAML file with its suites, figures, labels, recipe and published numbers.

``config/benchmarks/<name>.yaml`` holds the benchmarks of this package. Another package offers one through the entry
point group ``kd_planner_ros.benchmarks`` (``NAME = package``; the package's folder holds ``NAME.yaml``), and a path to a file
works too.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError, PluginError
from kd_planner_ros.core.fields import require_types
from kd_planner_ros.core.foreign import read_yaml
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.plugins import BENCHMARKS, Plugin, plugins
from kd_planner_ros.runtime.paths import config_folder

KINDS = ("drive", "open_loop", "cooperative", "dense")
"""How a model is measured: closed loop over routes, plans against recordings, plans with roadside data against recordings, or dense outputs
against recorded labels."""
_EXAMPLE = "see the smallest benchmark in docs/guides/add_a_benchmark.md, or config/benchmarks/plankd.yaml"
CURVES = ("", "line", "points")


@dataclass(frozen=True)
class Figure:
    """One figure of the tables, named as the measurement names it.

    ``text`` is its heading on the page ("": in table.csv and table.json alone), ``short`` its heading on the terminal,
    ``digits`` its decimals; ``paper``: the published tables give it; ``brief``: it is in table.md; ``limit``: the upper end
    of the drawings' axis, None for the largest value.
    """

    name: str
    text: str = ""
    short: str = ""
    digits: int = 3
    paper: bool = False
    brief: bool = True
    limit: float | None = None


@dataclass(frozen=True)
class Label:
    """One kind of model, a row of the published tables. ``curve``: drawn over the parameters as a ``line``, as ``points``, or
    not (""). ``untaught``: beginnings of the names of figures that such a model has not, because no stage trains what gives them."""

    name: str
    text: str = ""
    colour: str = "#555550"
    curve: str = ""
    untaught: tuple[str, ...] = ()


@dataclass(frozen=True)
class SuiteSpec:
    """One suite. Driving: ``map`` ("default", "generated:SEED", or a town whose file lies in
    --maps-dir) and ``routes`` ("default", "hidden", or a file of
    --routes-dir). Recordings: ``bags``, a folder below --recordings-dir. ``held_out`` names the map, or the maps with spaces between,
    that no model may have been trained on (default: the town of ``map``); those of its recordings are held out in any case. ``options``
    are fields of the evaluation's own config."""

    name: str
    map: str = ""
    routes: str = ""
    bags: str = ""
    held_out: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BenchmarkSpec:
    """One benchmark; ``recipe`` and ``paper`` are paths or None, ``models`` are measured beside those of the recipe,
    ``command`` is what a card gives as the command of its figures, ``baseline`` the suite with which every other one is compared drive
    by drive ("": none)."""

    name: str
    kind: str
    suites: Mapping[str, SuiteSpec]
    figures: tuple[Figure, ...]
    labels: Mapping[str, Label]
    recipe: Path | None = None
    models: tuple[str, ...] = ()
    title: str = ""
    summary: str = ""
    paper: Path | None = None
    out: Path = Path("runs/benchmark")
    networks: tuple[str, ...] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    command: str = ""
    baseline: str = ""

    @property
    def paper_figures(self) -> tuple[str, ...]:
        """Names of the figures that the published tables give, in their order."""
        return tuple(figure.name for figure in self.figures if figure.paper)

    def label_text(self, label: str) -> str:
        """What a reader calls ``label``, "" for a model without one."""
        return self.labels[label].text or label if label in self.labels else ""


def benchmark_files() -> dict[str, Path]:
    """Every benchmark's file by name: this package's, then those of other packages. A plugin that cannot be used is reported
    once and left out."""
    found = _own()
    for name, plugin in plugins(BENCHMARKS, found).items():
        try:
            found.setdefault(name, _plugin_file(plugin))
        except PluginError as error:
            report(error)
    return found


def find_spec(name: str) -> BenchmarkSpec:
    """The benchmark ``name``, or the one in the file at that path.

    Raises:
        ConfigError: no such benchmark, or a file that does not say what a benchmark must say.
        PluginError: the package that offers it cannot be used, or another one offers the same name.
    """
    others = plugins(BENCHMARKS, _own())
    if name in others:
        return read_spec(_plugin_file(others[name]))
    files = benchmark_files()
    if name in files:
        return read_spec(files[name])
    if Path(name).suffix in (".yaml", ".yml"):
        return read_spec(Path(name), command=f"kd-planner benchmark {name}")
    raise ConfigError(f"a benchmark out of {', '.join(files)}, or a .yaml file", repr(name), f"correct the name{_nearest(name, files)}")


def read_spec(path: Path, command: str = "") -> BenchmarkSpec:
    """The benchmark that the file at ``path`` describes; its paths are relative to the file.

    Raises:
        ConfigError: no such file, an unknown or a missing key, or a value of the wrong kind.
    """
    data, where = load_yaml(path), str(path)
    known = {one.name for one in fields(BenchmarkSpec)} - {"name"}
    require_known(data, known, where)
    require_types(_Keys, {key: value for key, value in data.items() if value is not None}, where)
    if missing := [key for key in ("kind", "suites", "figures") if not data.get(key)]:
        missing += [] if data.get("recipe") or data.get("models") else ["recipe (or models)"]
        raise ConfigError(f"the key{'s' * (len(missing) > 1)} {', '.join(missing)} in {where}", "none of that name", _EXAMPLE)
    if not (data.get("recipe") or data.get("models")):
        raise ConfigError(f"the key 'recipe' or 'models' in {where}", "neither", "name a recipe, or the models to measure")
    if data["kind"] not in KINDS:
        raise ConfigError(f"a kind out of {', '.join(KINDS)} in {where}", repr(data["kind"]), "correct it")
    name = path.stem
    suites = _entries(data, "suites", SuiteSpec, where)
    _require_suites(suites, data["kind"], where)
    labels = _entries(data, "labels", Label, where)
    if wrong := [label for label in labels.values() if label.curve not in CURVES]:
        raise ConfigError(f"curve: line or curve: points of label {wrong[0].name} in {where}", repr(wrong[0].curve), "correct it")
    recipe, paper = (path.parent / data[key] if data.get(key) else None for key in ("recipe", "paper"))
    return BenchmarkSpec(
        name, data["kind"], suites, tuple(_entries(data, "figures", Figure, where).values()), labels, recipe,
        tuple(data.get("models") or ()), str(data.get("title") or name), str(data.get("summary") or ""), paper,
        Path(data.get("out") or f"runs/benchmark/{name}"), tuple(data.get("networks") or ()), dict(data.get("notes") or {}),
        str(data.get("command") or command or f"kd-planner benchmark {name}"), _baseline(data, suites, where))


def _baseline(data: Mapping[str, Any], suites: Mapping[str, SuiteSpec], where: str) -> str:
    name = str(data.get("baseline") or "")
    if name and (name not in suites or data["kind"] != "drive"):
        raise ConfigError(f"baseline: one of the suites {', '.join(suites)} of a benchmark of kind drive in {where}",
                          f"{name!r}, kind {data['kind']}", "correct it, or leave it out")
    return name


@dataclass(frozen=True)
class _Keys:
    """Keys of a benchmark's file with plain values, by their types."""

    kind: str
    title: str
    summary: str
    command: str
    baseline: str
    recipe: Path
    paper: Path
    out: Path
    models: tuple[str, ...]
    networks: tuple[str, ...]
    notes: dict[str, str]


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file at ``path``.

    Raises:
        ConfigError: no such file, no YAML, or no mapping.
    """
    if not path.is_file():
        moved = next(iter(sorted(path.parent.glob(f"*/{path.name}"))), None)
        raise ConfigError(f"a YAML file at {path}", "no such file", f"use {moved}" if moved else "check the path")
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError(f"names with values in {path}", type(data).__name__, "see config/benchmarks/plankd.yaml")
    return data


def _entries(data: Mapping[str, Any], key: str, kind: type, where: str) -> dict[str, Any]:
    """The mapping under ``key`` as ``kind`` objects by name."""
    entries = data.get(key) or {}
    if not isinstance(entries, dict) or any(not isinstance(entry or {}, dict) for entry in entries.values()):
        raise ConfigError(f"names with values under '{key}' in {where}", reprlib.repr(entries), "see config/benchmarks/plankd.yaml")
    known = {one.name for one in fields(kind)} - {"name"}
    for name, entry in entries.items():
        require_known(entry or {}, known, f"'{key}' {name} of {where}")
        require_types(kind, entry or {}, f"'{key}' {name} of {where}")
    return {str(name): kind(str(name), **(entry or {})) for name, entry in entries.items()}


def _require_suites(suites: Mapping[str, SuiteSpec], kind: str, where: str) -> None:
    for suite in suites.values():
        wanted = ("map", "routes") if kind == "drive" else ("bags",)
        if lacking := [key for key in wanted if not getattr(suite, key)]:
            raise ConfigError(f"'{lacking[0]}' of suite {suite.name} in {where}, a benchmark of kind {kind}", "none", "add it")


def require_known(data: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    """Refuse a key of ``data`` that is not ``known``; the nearest one is named.

    Raises:
        ConfigError: there is one.
    """
    known = sorted(known)
    for key in data:
        if key not in known:
            raise ConfigError(f"keys out of {', '.join(known)} in {where}", repr(key), f"correct it{_nearest(str(key), known)}")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), 1)
    return f": '{close[0]}' is near" if close else ""


def _own() -> dict[str, Path]:
    return {path.stem: path for path in sorted((config_folder() / "benchmarks").glob("*.yaml"))}


def _plugin_file(plugin: Plugin) -> Path:
    """``NAME.yaml`` in the package that the plugin names.

    Raises:
        PluginError: the package cannot be imported, or has no such file.
    """
    places = list(getattr(plugin.load(), "__path__", ()))
    path = Path(places[0] if places else plugin.target) / f"{plugin.name}.yaml"
    if not path.is_file():
        raise plugin.broken(f"no file {plugin.name}.yaml in the package")
    return path
