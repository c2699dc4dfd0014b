"""Model folders by name. Imports no torch, so that a launch file and a command line can look one up at once."""

from __future__ import annotations

from pathlib import Path

from kd_planner_ros.core.card import CARD
from kd_planner_ros.core.errors import PlannerError
from kd_planner_ros.networks.registry import folders, is_weightless
from kd_planner_ros.runtime.paths import models_folder


def find_model(name: str, models_dir: str | Path | None = None, shipped: bool = False) -> Path:
    """The folder of model ``name``: a folder of ``models_dir``, else a path that holds a card, else with ``shipped`` a shipped model.

    Raises:
        PlannerError: nothing of that name.
    """
    base = Path(models_dir) if models_dir is not None else models_folder()
    for folder in (base / name, Path(name), *((models_folder() / name,) if shipped else ())):
        if name and (folder / CARD).is_file():
            return folder
    if is_weightless(name):
        raise PlannerError("a model with weights", f"'{name}', which has none",
                           f"name one out of {', '.join(path.name for path in list_models(base)) or 'a folder of models'}")
    everywhere = [*list_models(base), *(list_models() if shipped else ())]
    known = sorted({path.name for path in everywhere}) + [folder for folder in folders() if is_weightless(folder)]
    raise PlannerError(f"a model out of {', '.join(known)}, or a folder with a {CARD}", repr(name),
                       "correct the name, or give --models-dir")


def list_models(models_dir: str | Path | None = None) -> list[Path]:
    """Folders of ``models_dir`` that hold a card, sorted by name."""
    base = Path(models_dir) if models_dir is not None else models_folder()
    return sorted(path.parent for path in base.glob(f"*/{CARD}")) if base.is_dir() else []
