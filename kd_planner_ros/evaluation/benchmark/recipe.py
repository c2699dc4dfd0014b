"""The recipe (which models there are and how each is trained) and the published numbers, both read from YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import require_types
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.evaluation.benchmark.spec import BenchmarkSpec, load_yaml

MOVED = {"benchmark_plankd.yaml": "gpu.yaml", "benchmark_plankd_cpu.yaml": "cpu.yaml",
         "benchmark_plankd_turns_cpu.yaml": "turns_cpu.yaml", "benchmark_interfuser_cpu.yaml": "interfuser_cpu.yaml",
         "benchmark_paper.yaml": "paper.yaml"}
"""Names that the files of config/benchmarks/plankd/ had in config/."""
_EXAMPLE = "see config/benchmarks/plankd/gpu.yaml"


@dataclass(frozen=True)
class ModelRecipe:
    """One model: ``options`` are fields of TrainConfig; ``teacher`` is another model of the recipe, one of the models folder, or "".

    ``warm_start`` is the model whose weights it begins with as far as they fit, named alike. ``label`` is a label of the benchmark, or ""
    for a model without a published row.

    ``measured``: False for a model that others need and that is no row. ``traffic``: the seed of the one drive of each route, in place
    of as many as the command asks for; a comparison over training seeds then costs no more drives than one over traffic seeds.
    """

    name: str
    network: str = ""
    size: str = ""
    method: str = ""
    teacher: str = ""
    warm_start: str = ""
    label: str = ""
    measured: bool = True
    traffic: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Paper:
    """Published numbers: ``results`` by (network, size, label) and suite, each a mapping from the figure's name; ``costs`` by
    (network, size): gflops and ms."""

    results: Mapping[tuple[str, str, str], Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    costs: Mapping[tuple[str, str], Mapping[str, float]] = field(default_factory=dict)

    def figures(self, network: str, size: str, label: str, suite: str) -> dict[str, float]:
        """The published row of a model, empty where there is none. A teacher of a size that was published only as a student
        stands beside that student trained by plain imitation, which is what it is."""
        row = self.results.get((network, size, label)) or (
            self.results.get((network, size, "imitation")) if label == "teacher" else None)
        return dict(row[suite]) if row and suite in row else {}

    def has_suite(self, suite: str) -> bool:
        """Whether any row was published for ``suite``."""
        return any(suite in row for row in self.results.values())


def read_recipe(spec: BenchmarkSpec, path: Path | None = None) -> dict[str, ModelRecipe]:
    """The models of the recipe at ``path`` (default: that of ``spec``, which may have none) by name, each behind its teacher
    and the model it starts from.

    Raises:
        ConfigError: no such file, no YAML, an unknown label, or a teacher that stands behind the model.
    """
    path = Path(path) if path is not None else spec.recipe
    if path is None:
        return {}
    _require_not_moved(path)
    data = _load(path, "models")
    common, networks = data.get("train") or {}, data.get("networks") or {}
    found: dict[str, ModelRecipe] = {}
    _require_mappings({"models": data["models"], "train": common, "networks": networks}, path)
    _require_mappings(networks | data["models"], path)
    for name, entry in data["models"].items():
        entry = dict(entry or {})
        require_types(ModelRecipe, {key: value for key, value in entry.items() if value is not None}, f"model {name} of {path}")
        options = {**common, **(networks.get(entry.get("network")) or {}), **entry}
        own = {key: str(options.pop(key, None) or "")
               for key in ("network", "size", "method", "teacher", "warm_start", "label")}
        measured, traffic = bool(options.pop("measured", True)), options.pop("traffic", None)
        model = ModelRecipe(str(name), **own, measured=measured, traffic=traffic, options=options)
        _check(model, entry, spec, found, data["models"], path)
        found[model.name] = model
    return found


def _require_mappings(parts: Mapping[str, Any], path: Path) -> None:
    if wrong := [name for name, part in parts.items() if not isinstance(part or {}, dict)]:
        raise ConfigError(f"names with values under {wrong[0]} in {path}", type(parts[wrong[0]]).__name__, _EXAMPLE)


def _check(model: ModelRecipe, entry: Mapping[str, Any], spec: BenchmarkSpec, found: Mapping[str, ModelRecipe],
           names: Mapping[str, Any], path: Path) -> None:
    if not model.network or not model.size:
        raise ConfigError(f"network and size of model {model.name} in {path}", str(dict(entry)), "add them")
    if model.label and model.label not in spec.labels:
        raise ConfigError(f"a label out of {', '.join(spec.labels)} for {model.name} in {path}", repr(model.label), "correct it")
    if model.teacher == model.name or (model.teacher in names and model.teacher not in found):
        raise ConfigError(f"a teacher of {model.name} that stands before it in {path}", repr(model.teacher),
                          "move it up")
    if model.warm_start == model.name or (model.warm_start in names and model.warm_start not in found):
        raise ConfigError(f"a start of {model.name} that stands before it in {path}", repr(model.warm_start), "move it up")


def read_paper(spec: BenchmarkSpec) -> Paper:
    """The published numbers of ``spec``, none where it names no file.

    Raises:
        ConfigError: the file is missing or broken.
    """
    if spec.paper is None:
        return Paper()
    data = _load(spec.paper, "results")
    with reading(ConfigError, f"rows of {len(spec.paper_figures)} published figures a suite in {spec.paper}", "restore the file"):
        results = {(row["network"], row["size"], row["method"]):
                   {suite: _published(spec.paper_figures, row[suite]) for suite in spec.suites if suite in row} for row in data["results"]}
        costs = {(row["network"], row["size"]): {"gflops": float(row["gflops"]), "ms": float(row["ms"])}
                 for row in data.get("costs") or ()}
    return Paper(results, costs)


def _published(names: Sequence[str], values: Sequence[float | None]) -> dict[str, float]:
    """The figures of one row that were published: null stands for the others."""
    return {name: float(value) for name, value in zip(names, values, strict=True) if value is not None}


def _require_not_moved(path: Path) -> None:
    if path.name in MOVED and not path.exists():
        raise ConfigError("a recipe of config/benchmarks/plankd/", str(path),
                          f"give config/benchmarks/plankd/{MOVED[path.name]}, where this recipe lies now")


def _load(path: Path, key: str) -> dict[str, Any]:
    data = load_yaml(path)
    if not data.get(key):
        raise ConfigError(f"'{key}' in {path}", "none", _EXAMPLE)
    return data
