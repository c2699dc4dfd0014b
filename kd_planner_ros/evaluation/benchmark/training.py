"""Trains the models of the recipe that are not there yet, teachers first; an interrupted training goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError, KdPlannerError
from kd_planner_ros.evaluation.benchmark.models import drives_without_weights, model_folder
from kd_planner_ros.evaluation.benchmark.recipe import ModelRecipe
from kd_planner_ros.networks.registry import folders, is_weightless
from kd_planner_ros.runtime.paths import models_folder

UNFINISHED = "unfinished"
"""File beside a card from before cards said whether their training came to its end: it did not."""


@dataclasses.dataclass(frozen=True)
class Workshop:
    """Where training reads and writes. ``bags`` are folders for every network, or NETWORK=FOLDER for one. ``options`` are
    NAME=VALUE words that win over the recipe's."""

    bags: tuple[Path, ...]
    models_dir: Path
    runs_dir: Path
    cache: Path
    device: str = "auto"
    options: tuple[str, ...] = ()
    allow_leak: bool = False
    maps_dir: Path | None = None

    def bags_of(self, network: str) -> tuple[Path, ...]:
        """The recordings that ``network`` is trained from.

        Raises:
            ConfigError: a network without a folder, or one that there is not.
        """
        found = []
        known = [name for name in folders() if not is_weightless(name)]
        for bag in self.bags:
            name, sign, folder = str(bag).partition("=")
            named = bool(sign) and name in known
            if named and not folder:
                raise ConfigError(f"a folder behind --bags {name}=", "none", "give one")
            if sign and not named and "/" not in name and not bag.exists():  # a folder may have such a name
                raise ConfigError(f"--bags NETWORK=FOLDER with a network out of {', '.join(known)}", f"'{name}' in '{bag}'",
                                  "correct the network's name, or the folder's")
            found += [Path(folder)] if named and name == network else [] if named else [bag]
        return tuple(found)


def missing(names: Sequence[str], recipe: Mapping[str, ModelRecipe], shop: Workshop, train: bool = True) -> list[ModelRecipe]:
    """The models that ``names`` need and that are not there or not finished, with their teachers and the models they
    start from, in training order.

    Args:
        train: whether they will be trained. Then a model that is there must have its teacher and its start beside it, for
            those that are trained now would be others; one that is not finished must be of the recipe too, for its training
            goes on.

    Raises:
        ConfigError: a name that is neither in the recipe nor a finished model, or a model that was trained by another recipe,
            taught by another teacher or begun as another model.
        CardError: a model's card is broken.
    """
    wanted: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if drives_without_weights(name):
            continue
        finished = _finished(name, shop)
        if name in recipe and (finished or train):
            _require_same(recipe[name], shop, finished)
            if train:
                _require_family(recipe[name], recipe, shop)
        if finished:
            continue
        if name not in recipe:
            raise _unknown(name, recipe, shop)
        wanted.add(name)
        left += [other for other in (recipe[name].teacher, recipe[name].warm_start) if other in recipe]
    return [recipe[name] for name in recipe if name in wanted]


def _finished(name: str, shop: Workshop) -> bool:
    folder = model_folder(name, shop.models_dir)
    return folder is not None and read_card(folder).finished and not (folder / UNFINISHED).exists()


def _unknown(name: str, recipe: Mapping[str, ModelRecipe], shop: Workshop) -> ConfigError:
    """Why ``name``, which is not in the recipe, cannot drive."""
    if model_folder(name, shop.models_dir) is not None:
        return ConfigError(f"a finished model '{name}' in {shop.models_dir}", "one whose training was interrupted",
                           f"give its 'kd-planner train --name {name}' again, or leave it out of --models")
    return ConfigError(f"a model of the recipe ({', '.join(recipe)}) or of {shop.models_dir}", repr(name), "correct --models")


def _require_same(model: ModelRecipe, shop: Workshop, finished: bool) -> None:
    """Refuse the model of this name, where there is one, if its card does not say that it was made as ``model`` is; one that
    is not ``finished`` may have been meant for another length."""
    from kd_planner_ros.distill.config import plain

    if model_folder(model.name, shop.models_dir) is None:
        return
    training, config = read_card(shop.models_dir / model.name).training, train_config(model, shop, False)
    length = config.length if finished else {}
    theirs = training.get("recipe", {}) | (training.get("planned", length) if finished else {})
    ours = plain(config.recipe | length)
    other = sorted(key for key in {*theirs, *ours} if theirs.get(key) != ours.get(key))
    for whose, folder in {"teacher": config.teacher, "start": config.warm_start}.items():
        folder = Path(folder) if folder and (Path(folder) / "card.json").is_file() else None
        if folder is not None and training.get(whose, {}).get("sha256") != read_card(folder).weights_sha256:
            other.append(f"weights of the {whose}")
    if other:
        raise ConfigError(f"{shop.models_dir / model.name} trained as the recipe says", f"other {', '.join(other)}",
                          f"give its own --recipe, another --models-dir, or delete it and {shop.runs_dir / model.name} to "
                          "train it anew")


def _require_family(model: ModelRecipe, recipe: Mapping[str, ModelRecipe], shop: Workshop) -> None:
    """Refuse the model of this name, where there is one, if its teacher or its start would be trained behind it."""
    if model_folder(model.name, shop.models_dir) is None:
        return
    for whose, name in {"teacher": model.teacher, "start": model.warm_start}.items():
        if name in recipe and not _finished(name, shop):
            raise ConfigError(f"{shop.models_dir / model.name} with its {whose} '{name}' beside it", "none that is finished",
                              f"finish it first (--models {name}), give --models-dir with a folder of your own to train the "
                              "whole comparison, or --no-train to drive what there is")


def prepare(models: Sequence[ModelRecipe], shop: Workshop, sensors: bool = True, progress: bool = True) -> list[Any]:
    """The TrainConfig of each of ``models``, all checked before the first one trains; nothing is written.

    Args:
        sensors: whether the recordings must be there, with what their network is taught from.

    Raises:
        ConfigError: no recordings for a network, cameras that do not fit it, or an option that 'kd-planner train' does not know.
        BagError: a folder without recordings, or the first one lacks a topic; the model that it is for is named.
    """
    from kd_planner_ros.distill.methods.build import truth_needed
    from kd_planner_ros.distill.recorded import require_sensors

    if lonely := [model.name for model in models if not shop.bags_of(model.network)]:
        raise ConfigError("recordings to train " + ", ".join(lonely) + " from", "no --bags for their network",
                          "give --bags, or --no-train to drive only what is there, or name models with --models")
    configs = [train_config(model, shop, progress) for model in models]
    firsts: dict[Any, Any] = {}
    for config in configs if sensors else ():
        firsts.setdefault((config.network, truth_needed(config)), config)
    for config in firsts.values():
        try:
            require_sensors(config)
        except KdPlannerError as error:
            raise type(error)(f"{error.expected} for '{config.name}' of network {config.network}", error.got,
                              error.remedy) from None
    return configs


def train_all(models: Sequence[ModelRecipe], shop: Workshop, train: Callable[[Any], Any] | None = None,
              progress: bool = True) -> None:
    """Train ``models`` one after the other; Ctrl-C keeps the checkpoint and is raised on.

    Raises:
        ConfigError: no recordings to train from, or an option that 'kd-planner train' does not know.
        BagError, TrainingError: from the training.
        KeyboardInterrupt: a training was interrupted.
    """
    configs = prepare(models, shop, train is None, progress)
    if train is None:
        from kd_planner_ros.distill.train import train
    for model, config in zip(models, configs, strict=True):
        if not train(config).finished:
            raise KeyboardInterrupt
        (shop.models_dir / model.name / UNFINISHED).unlink(missing_ok=True)


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
    return TrainConfig(**{**options, "name": model.name, "bags": shop.bags_of(model.network), "models_dir": shop.models_dir,
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
    flags = {field.metadata.get("flag", own): own for own, field in fields.items()}
    name = flags.get(name.replace("-", "_"), name.replace("-", "_"))
    if not sign or name not in fields:
        raise ConfigError("--train-options NAME=VALUE with an option of 'kd-planner train'", repr(word), "correct it")
    return name, yaml.safe_load(value)
