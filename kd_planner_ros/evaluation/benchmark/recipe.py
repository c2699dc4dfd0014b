"""The recipe (which models there are and how each is trained) and the paper's numbers, both read from YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.runtime.paths import config_folder

FIGURES = ("driving_score", "route_completion", "infraction_score", "collision_rate_legacy", "infraction_rate_legacy")
"""What the paper's tables have for a model and suite, in their order; the names are those of ``score.summary``."""
LABELS = ("teacher", "imitation", "plankd", "at", "reviewkd", "dpk", "no_entropy", "no_attention", "no_bottleneck")
LABEL_TEXTS = {"teacher": "teacher", "imitation": "imitation", "plankd": "PlanKD", "at": "AT", "reviewkd": "ReviewKD",
               "dpk": "DPK", "no_entropy": "PlanKD w/o entropy", "no_attention": "PlanKD w/o safe attention",
               "no_bottleneck": "PlanKD w/o bottleneck"}


@dataclass(frozen=True)
class ModelRecipe:
    """One model: ``options`` are fields of TrainConfig; ``teacher`` is another model of the recipe or "".

    ``warm_start`` is the model whose weights it begins with as far as they fit: another one of the recipe, one of the
    models folder, or "". ``label`` is one of ``LABELS``, or "" for a model that the paper does not have.
    """

    name: str
    network: str = ""
    size: str = ""
    method: str = ""
    teacher: str = ""
    warm_start: str = ""
    label: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Paper:
    """The paper's numbers: ``results`` by (network, size, label) and suite, in the order of ``FIGURES``; ``costs`` by
    (network, size): gflops and ms."""

    results: Mapping[tuple[str, str, str], Mapping[str, tuple[float, ...]]]
    costs: Mapping[tuple[str, str], Mapping[str, float]]

    def figures(self, network: str, size: str, label: str, suite: str) -> dict[str, float]:
        """The paper's row for a model, empty where it has none. A teacher of a size that the paper has only as a
        student stands beside that student trained by plain imitation, which is what it is."""
        row = self.results.get((network, size, label)) or (
            self.results.get((network, size, "imitation")) if label == "teacher" else None)
        return dict(zip(FIGURES, row[suite], strict=True)) if row and suite in row else {}


def read_recipe(path: Path | None = None) -> dict[str, ModelRecipe]:
    """The models of the recipe at ``path`` (default: config/benchmark_plankd.yaml) by name, each behind its teacher and
    the model it starts from.

    Raises:
        ConfigError: no such file, no YAML, an unknown label, or a teacher that is not an earlier model.
    """
    path = Path(path) if path is not None else config_folder() / "benchmark_plankd.yaml"
    data = _load(path, "models")
    common, networks = data.get("train") or {}, data.get("networks") or {}
    found: dict[str, ModelRecipe] = {}
    parts = {"models": data["models"], "train": common, "networks": networks, **data["models"]} if isinstance(
        data["models"], dict) else {"models": data["models"]}
    if wrong := [name for name, part in parts.items() if not isinstance(part or {}, dict)]:
        raise ConfigError(f"names with values under {wrong[0]} in {path}", type(parts[wrong[0]]).__name__,
                          "see config/benchmark_plankd.yaml")
    for name, entry in data["models"].items():
        entry = dict(entry or {})
        options = {**common, **(networks.get(entry.get("network")) or {}), **entry}
        own = {key: str(options.pop(key, None) or "")
               for key in ("network", "size", "method", "teacher", "warm_start", "label")}
        model = ModelRecipe(str(name), **own, options=options)
        if not model.network or not model.size:
            raise ConfigError(f"network and size of model {name} in {path}", str(entry), "add them")
        if model.label and model.label not in LABELS:
            raise ConfigError(f"a label out of {', '.join(LABELS)} for {name} in {path}", repr(model.label),
                              "correct it")
        if model.teacher and model.teacher not in found:
            raise ConfigError(f"a teacher of {name} that stands before it in {path}", repr(model.teacher),
                              "move it up, or correct the name")
        if model.warm_start == model.name or (model.warm_start in data["models"] and model.warm_start not in found):
            raise ConfigError(f"a start of {name} that stands before it in {path}", repr(model.warm_start), "move it up")
        found[model.name] = model
    return found


def read_paper(path: Path | None = None) -> Paper:
    """The paper's numbers (default: config/benchmark_paper.yaml).

    Raises:
        ConfigError: the file is missing or broken.
    """
    path = Path(path) if path is not None else config_folder() / "benchmark_paper.yaml"
    data = _load(path, "results")
    suites = ("town05-long", "town05-short")
    try:
        results = {(row["network"], row["size"], row["method"]):
                   {suite: tuple(map(float, row[suite])) for suite in suites if suite in row}
                   for row in data["results"]}
        costs = {(row["network"], row["size"]): {"gflops": float(row["gflops"]), "ms": float(row["ms"])}
                 for row in data.get("costs", ())}
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"rows of the paper's tables in {path}", f"{type(error).__name__} {error}",
                          "restore the file") from None
    return Paper(results, costs)


def _load(path: Path, key: str) -> dict[str, Any]:
    try:
        data = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"a YAML file at {path}", "no such file", "check the path") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"YAML in {path}", str(error).splitlines()[0], "correct the file") from None
    if not isinstance(data, dict) or not data.get(key):
        raise ConfigError(f"'{key}' in {path}", "none", "see config/benchmark_plankd.yaml")
    return data
