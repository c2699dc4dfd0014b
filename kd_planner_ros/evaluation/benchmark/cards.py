"""Puts what a model drove onto its card, so that the weights carry their scores with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from kd_planner_ros.core.card import read_card
from kd_planner_ros.evaluation.benchmark.models import model_folder
from kd_planner_ros.runtime.store import add_scores


def put_on_card(row: Mapping[str, Any], suite: str, models_dir: Path, weights_sha256: str) -> bool:
    """Write ``row`` of the table to the model's card as ``closed_loop_SUITE``; whether there was one to write to.

    Each figure is the mean over seeds; ``std`` holds the sample deviations. A card of other weights than those that
    drove (``weights_sha256``) is left alone.

    Raises:
        CardError: the card is broken.
    """
    folder = model_folder(row["model"], models_dir)
    if folder is None or read_card(folder).weights_sha256 != weights_sha256:
        return False
    scores = {name: round(value, 3) for name, value in row["mean"].items()}
    scores["std"] = {name: round(value, 3) for name, value in row["std"].items()}
    scores |= {"seeds": list(row["seeds"]), "routes": row["drives"] // len(row["seeds"]), "date": f"{date.today()}",
               "command": f"kd-planner benchmark plankd --suite {suite} --models {row['model']} --seeds {len(row['seeds'])}"}
    add_scores(folder, {f"closed_loop_{suite.replace('-', '_')}": scores})
    return True
