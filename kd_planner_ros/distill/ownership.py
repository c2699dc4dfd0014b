"""Whether the folders that a run writes to are its own: a run never replaces another run's weights, nor other files, in silence."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kd_planner_ros.core.card import ModelCard, read_card
from kd_planner_ros.core.errors import CardError, ConfigError, TrainingError
from kd_planner_ros.distill import checkpoint
from kd_planner_ros.distill.config import TrainConfig, plain
from kd_planner_ros.distill.recipes import differences
from kd_planner_ros.runtime.paths import models_folder
from kd_planner_ros.runtime.store import CARD, WEIGHTS

_REMEDY = "give another --name, or --fresh to replace it"
_RUN_FILES = (checkpoint.LAST, checkpoint.PREVIOUS, "log.csv")


def model_folder(config: TrainConfig) -> Path:
    """Where the model of ``config`` goes."""
    return Path(config.models_dir or models_folder()) / config.name


def require_own_folders(config: TrainConfig, state: Mapping[str, Any] | None) -> None:
    """Refuse to write into a folder that this run did not make, or that nobody can make: the model is written at the end of a training
    alone. ``state`` is the run's checkpoint, where there is one.

    Raises:
        ConfigError: the model's folder or the run's holds other files, or the model there is another run's and ``fresh`` does not
            ask to replace it.
        OSError: the folder of models or of runs cannot be made.
    """
    model, run = model_folder(config), Path(config.runs_dir) / config.name
    for folder, marks, option in ((model, (CARD, WEIGHTS), "--models-dir"), (run, _RUN_FILES, "--runs-dir")):
        if folder.exists() and not folder.is_dir():
            raise ConfigError(f"a folder for '{config.name}' at {folder}", "a file", f"give another --name or {option}")
        names = [path.name for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
        if names and not set(marks) & set(names) and not any(name.startswith("bad_batch") for name in names):
            raise ConfigError(f"a folder of its own for '{config.name}' at {folder}", f"other files, for example {sorted(names)[0]}",
                              f"give another --name or {option}")
    require_own_model(config, (state or {}).get("best") or {})
    for folder in (model, run):
        folder.parent.mkdir(parents=True, exist_ok=True)


def require_own_model(config: TrainConfig, best: Mapping[str, Any], data_sha256: str = "") -> None:
    """Refuse to replace a model of another training. This run's own is the one whose weights are those of its checkpoint (``best``),
    or whose card has this run's recipe (and recordings, where ``data_sha256`` gives them); ``fresh`` asks to replace any.

    Raises:
        ConfigError: the model there is another training's; it says in what it differs.
    """
    folder = model_folder(config)
    if config.fresh or not (folder / CARD).is_file():
        return
    try:
        card = read_card(folder)
    except CardError as error:
        raise ConfigError(f"the model of this run in {folder}, or none", error.got, _REMEDY) from None
    if best.get("step") and best.get("sha256", card.weights_sha256) == card.weights_sha256:  # older checkpoints lack the hash
        return
    if other := _other(card, config, data_sha256):
        raise ConfigError(f"the model of this run in {folder}, or none", f"a model trained with other {', '.join(other)}",
                          _REMEDY)


def _other(card: ModelCard, config: TrainConfig, data_sha256: str) -> list[str]:
    """In what the training of ``card`` differs from the one that ``config`` describes."""
    recipe = card.training.get("recipe")
    found = differences(recipe, plain(config.recipe)) if isinstance(recipe, dict) else ["facts than those of a recipe"]
    data = card.training.get("data")
    known = data.get("sha256") if isinstance(data, dict) else None
    return found + (["recordings"] if data_sha256 and known != data_sha256 else [])


def require_same_recipe(state: Mapping[str, Any] | None, recipe: Mapping[str, Any], folder: Path) -> None:
    """Refuse to go on from ``state`` with another ``recipe``; what only one of them knows is not compared (``recordings`` are known
    once their samples are made, ``network stages`` by newer checkpoints alone).

    Raises:
        TrainingError: the names that differ.
    """
    if state is None:
        return
    before, now = read_recipe_of(state, folder), dict(recipe)
    for name in ("recordings", "network stages"):
        if name not in before or name not in now:
            before.pop(name, None)
            now.pop(name, None)
    if changed := differences(before, now):
        raise TrainingError(f"the recipe of the checkpoint in {folder}", f"other values of {', '.join(changed)}",
                            "give the same options, another --name, or --fresh to start anew")


def read_recipe_of(state: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The recipe that checkpoint ``state`` belongs to.

    Raises:
        TrainingError: it holds none.
    """
    try:
        recipe = json.loads(state["recipe"])
    except (KeyError, TypeError, ValueError):
        recipe = None
    if not isinstance(recipe, dict):
        raise TrainingError(f"a checkpoint of 'kd-planner train' in {folder}", "one without a recipe", "start anew with --fresh")
    return recipe


def say_other_length(config: TrainConfig, state: Mapping[str, Any], folder: Path) -> None:
    """Print that the run of checkpoint ``state`` goes on for another length than it was to have."""
    before = state.get("length") or {}  # older checkpoints lack it
    if changed := [f"{name} {before[name]:g} -> {value:g}" for name, value in config.length.items() if before.get(name, value) != value]:
        print(f"{folder}: the run goes on at step {state['step']} with {', '.join(changed)}: learning rate and stages follow the "
              "new length", file=sys.stderr)
