"""Trains the models of the recipe that are not there yet, teachers first; an interrupted training goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.evaluation.benchmark.models import drives_without_weights, model_folder
from kd_planner_ros.evaluation.benchmark.recipe import ModelRecipe
from kd_planner_ros.evaluation.run_folder import write_text
from kd_planner_ros.runtime.paths import models_folder


UNFINISHED = "unfinished"


@dataclasses.dataclass(frozen=True)
class Workshop:
    """Where training reads and writes. ``options`` are NAME=VALUE words that win over the recipe's. A file
    ``models_dir``/NAME/``UNFINISHED`` says that the training of NAME has begun and not ended."""

    bags: tuple[Path, ...]
    models_dir: Path
    runs_dir: Path
    cache: Path
    device: str = "auto"
    options: tuple[str, ...] = ()
    allow_leak: bool = False
    maps_dir: Path | None = None


def missing(names: Sequence[str], recipe: Mapping[str, ModelRecipe], shop: Workshop) -> list[ModelRecipe]:
    """The models that ``names`` need and that are not there or not finished, with their teachers and the models they
    start from, in training order.

    Raises:
        ConfigError: a name that is neither in the recipe nor a model, or a model that was trained by another recipe or
            taught by another teacher.
    """
    wanted: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if drives_without_weights(name):
            continue
        if _finished(name, shop):
            if name in recipe:
                _require_same(recipe[name], shop)
            continue
        if name not in recipe:
            raise ConfigError(f"a model of the recipe ({', '.join(recipe)}) or of {shop.models_dir}", repr(name),
                              "correct --models")
        wanted.add(name)
        left += [other for other in (recipe[name].teacher, recipe[name].warm_start) if other in recipe]
    return [recipe[name] for name in recipe if name in wanted]


def _finished(name: str, shop: Workshop) -> bool:
    folder = model_folder(name, shop.models_dir)
    return folder is not None and not (folder / UNFINISHED).exists()


def _require_same(model: ModelRecipe, shop: Workshop) -> None:
    """Refuse the finished model of this name if its card does not say that it was made as ``model`` is."""
    from kd_planner_ros.distill.config import plain

    card = read_card(shop.models_dir / model.name)
    theirs, ours = card.training.get("recipe", {}), plain(train_config(model, shop, False).recipe)
    other = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
    teacher = model_folder(model.teacher, shop.models_dir) if model.teacher else None
    if teacher is not None and card.training.get("teacher", {}).get("sha256") != read_card(teacher).weights_sha256:
        other.append("weights of the teacher")
    if other:
        raise ConfigError(f"{shop.models_dir / model.name} trained as the recipe says", f"other {', '.join(other)}",
                          "give its own --recipe, another --models-dir, or delete it to train it anew")


def train_all(models: Sequence[ModelRecipe], shop: Workshop, train: Callable[[Any], Any] | None = None,
              progress: bool = True) -> None:
    """Train ``models`` one after the other; Ctrl-C keeps the checkpoint and is raised on.

    Raises:
        ConfigError: no recordings to train from, or an option that 'kd-planner train' does not know.
        BagError, TrainingError: from the training.
        KeyboardInterrupt: a training was interrupted.
    """
    if models and not shop.bags:
        raise ConfigError("recordings to train " + ", ".join(model.name for model in models) + " from", "no --bags",
                          "give --bags, or --no-train to drive only what is there, or name models with --models")
    if train is None:
        from kd_planner_ros.distill.cache import find_bags
        from kd_planner_ros.distill.train import train

        if models:
            find_bags(shop.bags)  # refused before anything is written
    configs = [train_config(model, shop, progress) for model in models]  # all are checked before the first one trains
    for model, config in zip(models, configs, strict=True):
        mark = shop.models_dir / model.name / UNFINISHED
        mark.parent.mkdir(parents=True, exist_ok=True)
        write_text(mark, "its training has begun and not ended\n")
        if not train(config).finished:
            raise KeyboardInterrupt
        mark.unlink()


def train_config(model: ModelRecipe, shop: Workshop, progress: bool) -> Any:
    """The TrainConfig of ``model``.

    Raises:
        ConfigError: an option that it does not have, or a value it refuses.
    """
    from kd_planner_ros.distill.config import TrainConfig

    fields = {field.name: field for field in dataclasses.fields(TrainConfig)}
    options: dict[str, Any] = {"size": model.size, "network": model.network, **model.options}
    if model.method:
        options["method"] = model.method
    if model.teacher:
        options["teacher"] = str(shop.models_dir / model.teacher)
    if model.warm_start:
        options["warm_start"] = _start_folder(model.warm_start, shop)
    options |= dict(_parse(word, fields) for word in shop.options)
    if unknown := sorted(set(options) - set(fields)):
        raise ConfigError(f"options of 'kd-planner train' for {model.name}", ", ".join(unknown),
                          "correct the recipe; 'kd-planner train --help' lists them")
    options = {name: _number(value, fields[name].default) for name, value in options.items()}
    return TrainConfig(**{**options, "name": model.name, "bags": shop.bags, "models_dir": shop.models_dir,
                          "runs_dir": shop.runs_dir, "cache": shop.cache, "device": shop.device,
                          "maps_dir": shop.maps_dir, "allow_leak": shop.allow_leak, "progress": progress})


def _number(value: Any, default: Any) -> Any:
    """YAML reads 1e-4 as text; a number is meant where the default is one."""
    if isinstance(value, str) and isinstance(default, float):
        try:
            return float(value)
        except ValueError:
            pass
    return value


def _start_folder(name: str, shop: Workshop) -> Path:
    """Where the model ``name`` is or will be: the benchmark's own, else a shipped one."""
    shipped = models_folder() / name
    return shipped if not (shop.models_dir / name).exists() and shipped.exists() else shop.models_dir / name


def _parse(word: str, fields: Mapping[str, dataclasses.Field]) -> tuple[str, Any]:
    import yaml

    name, sign, value = word.partition("=")
    name = name.replace("-", "_")
    if not sign or name not in fields:
        raise ConfigError("--train-options NAME=VALUE with an option of 'kd-planner train'", repr(word), "correct it")
    return name, yaml.safe_load(value)
