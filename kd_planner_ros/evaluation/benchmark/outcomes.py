"""The result of one model and one seed, kept as one JSON file; a result that is there is not measured again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.files import write_text
from kd_planner_ros.core.foreign import reading
from kd_planner_ros.evaluation import score
from kd_planner_ros.evaluation.score import RouteRecord


@dataclass(frozen=True)
class Outcome:
    """The ``figures`` of one model and one seed by name (None: nothing was behind the figure), over ``count`` drives, plans or
    frames."""

    model: str
    seed: int
    suite: str
    weights_sha256: str
    figures: Mapping[str, float | None]
    count: int

    @classmethod
    def of_drives(cls, model: str, seed: int, suite: str, weights_sha256: str, records: Sequence[RouteRecord]) -> Outcome:
        """The outcome of driven routes: ``score.summary`` of ``records``."""
        return cls(model, seed, suite, weights_sha256, score.summary(records), len(records))


def result_path(out: Path, model: str, seed: int) -> Path:
    """Where the outcome of ``model`` with ``seed`` is kept."""
    return Path(out) / "results" / model / f"seed_{seed}.json"


def read_outcomes(out: Path) -> list[Outcome]:
    """Every outcome in ``out``, by model and seed.

    Raises:
        ConfigError: a file is broken.
    """
    paths = sorted((Path(out) / "results").glob("*/seed_*.json"), key=lambda p: (p.parent.name, int(p.stem[5:])))
    return [read_outcome(path) for path in paths]


def is_done(out: Path, model: str, seed: int, weights: str) -> bool:
    """Whether the outcome of these ``weights`` is there.

    Raises:
        ConfigError: the outcome that is there belongs to other weights.
    """
    path = result_path(out, model, seed)
    if not path.exists():
        return False
    if read_outcome(path).weights_sha256 != weights:
        raise ConfigError(f"the weights of {model} that {path} was measured with", "other weights",
                          f"delete {path.parent} and {Path(out) / 'drives' / model}, or give another --out")
    return True


def keep(out: Path, content: Mapping[str, Any], model: str, seed: int, suite: str, weights: str) -> None:
    """Write the outcome: ``content`` (leaderboard statistics, or ``figures`` and ``count``), the model and the seed."""
    path = result_path(out, model, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {"model": model, "seed": seed, "suite": suite, "weights_sha256": weights}
    write_text(path, json.dumps({**content, **facts}, indent=1, sort_keys=True) + "\n")


def read_outcome(path: Path) -> Outcome:
    """The outcome in the file at ``path``.

    Raises:
        ConfigError: it is broken.
    """
    with reading(ConfigError, f"the outcome of a model in {path}", "delete the file; the next run writes it again"):
        data = json.loads(path.read_text())
        whose = data["model"], int(data["seed"]), data["suite"], data["weights_sha256"]
        if "figures" in data:
            return Outcome(*whose, dict(data["figures"]), int(data["count"]))
    return Outcome.of_drives(*whose, score.read_records(path))
