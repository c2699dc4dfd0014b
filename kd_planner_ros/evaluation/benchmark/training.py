"""Trains the models of the recipe that are not there yet, teachers first; an interrupted training is resumed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from kd_planner_ros.core.card import read_card
from kd_planner_ros.core.errors import ConfigError, KdPlannerError
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.distill.methods.registry import find_method
from kd_planner_ros.evaluation.benchmark.models import ModelStore, drives_without_weights
from kd_planner_ros.evaluation.benchmark.recipe import ModelRecipe
from kd_planner_ros.networks.registry import find_training, folders, is_weightless
from kd_planner_ros.runtime.paths import models_folder

UNFINISHED = "unfinished"
"""A file of this name beside a card marks an interrupted training; older versions wrote it in place of the card's own field."""


@dataclasses.dataclass(frozen=True)
class TrainingPaths:
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
    role_name: str = ""
    camera: tuple[str, ...] = ()

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


def missing(names: Sequence[str], recipe: Mapping[str, ModelRecipe], paths: TrainingPaths, train: bool = True,
            store: ModelStore | None = None) -> list[ModelRecipe]:
    """The models that ``names`` need and that are not there or not finished, with their teachers and the models they
    start from, in training order.

    Args:
        train: whether they will be trained. Then a model that is there must have its teacher and its start beside it, for
            those that are trained now would be others; one that is not finished must be of the recipe too, for its training
            is resumed.
        store: the cards of ``paths.models_dir``, where they were read before.

    Raises:
        ConfigError: a name that is neither in the recipe nor a finished model, or a model that was trained by another recipe,
            taught by another teacher or begun as another model.
        CardError: a model's card is broken.
    """
    store = store or ModelStore(paths.models_dir)
    wanted: set[str] = set()
    left = list(names)
    while left:
        name = left.pop()
        if drives_without_weights(name):
            continue
        finished = _finished(name, store)
        if name in recipe and (finished or train):
            _require_same(recipe[name], paths, store, finished)
            if train:
                _require_family(recipe[name], recipe, store)
        if finished:
            continue
        if name not in recipe:
            raise _unknown(name, recipe, store)
        wanted.add(name)
        left += [other for other in (recipe[name].teacher, recipe[name].warm_start) if other in recipe]
    return [recipe[name] for name in recipe if name in wanted]


def _finished(name: str, store: ModelStore) -> bool:
    found = store.get(name)
    return found is not None and found.card.finished and not (found.folder / UNFINISHED).exists()


def _unknown(name: str, recipe: Mapping[str, ModelRecipe], store: ModelStore) -> ConfigError:
    """Why ``name``, which is not in the recipe, cannot be measured."""
    if store.get(name) is not None:
        return ConfigError(f"a finished model '{name}' in {store.folder}", "one with interrupted training",
                           f"give its 'kd-planner train --name {name}' again, or leave it out of --models")
    return ConfigError(f"a model of the recipe ({', '.join(recipe)}) or of {store.folder}", repr(name), "correct --models")


def _require_same(model: ModelRecipe, paths: TrainingPaths, store: ModelStore, finished: bool) -> None:
    """Refuse the model of this name, where there is one, if its card does not say that it was made as ``model`` is; one that
    is not ``finished`` may have been meant for another length."""
    from kd_planner_ros.distill.config import plain
    from kd_planner_ros.distill.recipes import differences

    found = store.get(model.name)
    if found is None:
        return
    training, config = found.card.training, train_config(model, paths, False)
    length = config.length if finished else {}
    theirs = training.get("recipe", {}) | (training.get("planned", length) if finished else {})
    ours = plain(config.recipe | length)
    other = differences(theirs, ours)
    for whose, folder in {"teacher": config.teacher, "start": config.warm_start}.items():
        folder = Path(folder) if folder and (Path(folder) / "card.json").is_file() else None
        if folder is not None and training.get(whose, {}).get("sha256") != read_card(folder).weights_sha256:
            other.append(f"weights of the {whose}")
    if other:
        raise ConfigError(f"{found.folder} trained as the recipe says", f"other {', '.join(other)}",
                          f"give its own --recipe, another --models-dir, or delete it and {paths.runs_dir / model.name} to "
                          "train it anew")


def _require_family(model: ModelRecipe, recipe: Mapping[str, ModelRecipe], store: ModelStore) -> None:
    """Refuse a model that exists already while its teacher or its start model would still have to be trained."""
    if store.get(model.name) is None:
        return
    for whose, name in {"teacher": model.teacher, "start": model.warm_start}.items():
        if name in recipe and not _finished(name, store):
            raise ConfigError(f"a finished {whose} model '{name}' for '{model.name}' in {store.folder}", "none",
                              f"train '{name}' first (--models {name}), give an empty folder with --models-dir to train the whole "
                              "comparison, or drive only finished models with --no-train")


def prepare(models: Sequence[ModelRecipe], paths: TrainingPaths, sensors: bool = True, progress: bool = True) -> list[Any]:
    """The TrainConfig of each of ``models``, all checked before the first one trains; nothing is written.

    Args:
        sensors: whether the recordings must exist, with the topics that their network's targets need.

    Raises:
        ConfigError: no recordings for a network, cameras that do not fit it, or an option that 'kd-planner train' does not know.
        BagError: a folder without recordings, or the first one lacks a topic; the model that it is for is named.
    """
    from kd_planner_ros.distill.recorded import require_sensors

    if lonely := [model.name for model in models if not paths.bags_of(model.network)]:
        raise ConfigError("recordings to train " + ", ".join(lonely) + " from", "no --bags for their network",
                          "give --bags, or --no-train to drive only what is there, or name models with --models")
    configs = [train_config(model, paths, progress) for model in models]
    firsts: dict[Any, Any] = {}
    for config in configs if sensors else ():
        firsts.setdefault((config.network, config.method, repr(config.sections)), config)
    for config in firsts.values():
        try:
            require_sensors(config)
        except KdPlannerError as error:
            raise type(error)(f"{error.expected} for '{config.name}' of network {config.network}", error.got,
                              error.remedy) from None
    return configs


def train_all(configs: Sequence[Any], train: Callable[[Any], Any] | None = None) -> None:
    """Train the models of ``configs`` (from ``prepare``) one after the other; Ctrl-C keeps the checkpoint and is raised on.

    Raises:
        BagError, TrainingError: from the training.
        KeyboardInterrupt: a training was interrupted.
    """
    if train is None:
        from kd_planner_ros.distill.train import train
    for config in configs:
        if not train(config).finished:
            raise KeyboardInterrupt
        (Path(config.models_dir) / config.name / UNFINISHED).unlink(missing_ok=True)


def train_config(model: ModelRecipe, paths: TrainingPaths, progress: bool) -> Any:
    """The TrainConfig of ``model``.

    Raises:
        ConfigError: an option that it does not have, or a value it refuses.
    """
    from kd_planner_ros.distill import recipes

    options: dict[str, Any] = {"size": model.size, "network": model.network, **model.options}
    if model.method:
        options["method"] = model.method
    if model.teacher:
        options["teacher"] = str(_start_folder(model.teacher, paths))
    if model.warm_start:
        options["warm_start"] = _start_folder(model.warm_start, paths)
    given = given_options(paths.options)
    network, method = given.get("network", model.network), given.get("method", model.method or "imitation")
    given |= _site_options(network, method, paths)
    options = _of_this_run(recipes.dotted(options, f"the recipe of {model.name}") | given, network, method)
    return recipes.train_config(options, name=model.name, bags=paths.bags_of(model.network), models_dir=paths.models_dir,
                                runs_dir=paths.runs_dir, cache=paths.cache, device=paths.device, allow_leak=paths.allow_leak,
                                role_name=paths.role_name, camera=paths.camera,
                                progress=progress)


def _site_options(network: str, method: str, paths: TrainingPaths) -> dict[str, Any]:
    """``maps_dir`` of network and method, where they have such an option: it is a fact of the machine, not of the recipe."""
    kinds = {network: find_training(network).options, method: find_method(method).options}
    return {f"{section}.{one.name}": paths.maps_dir for section, kind in kinds.items() for one in dataclasses.fields(kind)
            if one.name == "maps_dir" and one.metadata.get("site")}


def given_options(words: Sequence[str]) -> dict[str, Any]:
    """The NAME=VALUE ``words`` of --train-options by dotted names.

    Raises:
        ConfigError: a word without =, an old name (the new one is named), or an unknown one.
    """
    from kd_planner_ros.distill import recipes

    return recipes.dotted(dict(_parse(word) for word in words), "--train-options")


def _of_this_run(options: dict[str, Any], network: str, method: str) -> dict[str, Any]:
    """``options`` without those of other networks and methods: a recipe's common ones are meant for whom they concern."""
    return {name: value for name, value in options.items() if "." not in name or name.partition(".")[0] in (network, method)}


def _start_folder(name: str, paths: TrainingPaths) -> Path:
    """Where the model ``name`` is or will be: the benchmark's own, else a shipped one."""
    shipped = models_folder() / name
    return shipped if not (paths.models_dir / name).exists() and shipped.exists() else paths.models_dir / name


def _parse(word: str) -> tuple[str, Any]:
    import yaml

    name, sign, value = word.partition("=")
    if not sign:
        raise ConfigError("--train-options NAME=VALUE with an option of 'kd-planner train'", repr(word), "correct it")
    with reading(ConfigError, f"a value for {name} in --train-options", "correct it"):
        return name, yaml.safe_load(value)
