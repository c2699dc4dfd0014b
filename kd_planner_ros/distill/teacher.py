"""A teacher: a finished model, frozen and in evaluation mode, checked against the student before it may teach.

Nothing here changes it: no gradient reaches it and its batch-norm statistics stay (PlanKD's repository leaves its
teacher in training mode).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.core.errors import CardError, ConfigError
from kd_planner_ros.distill.maps import FeatureMaps, channel_mean, energy, stage_of, views
from kd_planner_ros.runtime.find import find_model
from kd_planner_ros.runtime.store import load_model

FREE_FIELDS = ("size", "rate_hz")
"""Config fields in which a student and a teacher that share their inputs may differ; all others shape input and output."""


class Teacher:
    """A frozen network: ``fields`` gives what distillers read of it."""

    def __init__(self, model: nn.Module, config: Any, card: ModelCard, device: torch.device | str = "cpu"):
        self.config, self.card = config, card
        self.model = model.requires_grad_(False).eval().to(device)
        self.device = torch.device(device)
        self.after_forward: Callable[[Mapping[str, Tensor]], None] = lambda outputs: None

    @property
    def name(self) -> str:
        """The model's name."""
        return self.card.name

    @property
    def network(self) -> str:
        """The network that it is."""
        return self.card.network

    @property
    def sha256(self) -> str:
        """The hash of its weights."""
        return self.card.weights_sha256

    @torch.no_grad()
    def fields(self, inputs: Mapping[str, Tensor], names: Iterable[str]) -> dict[str, FeatureMaps]:
        """The fields ``names`` of its answer to ``inputs``, float32, without gradient; see ``field``."""
        if self.model.training:
            raise RuntimeError("the teacher must stay in eval mode")
        names = tuple(names)
        outputs = self.model(**inputs, features=True) if any(map(is_map, names)) else self.model(**inputs)
        self.after_forward(outputs)
        return {name: field(outputs, name) for name in names}

    def shares_inputs(self, network: str, config: Any) -> bool:
        """Whether a student of ``network`` with ``config`` has the same inputs and outputs."""
        return self.network == network and not self.differences(config)

    def differences(self, config: Any) -> list[str]:
        """Fields, but ``FREE_FIELDS``, in which the student's ``config`` differs from the teacher's."""
        mine, theirs = dataclasses.asdict(config), dataclasses.asdict(self.config)
        return [key for key in mine if key not in FREE_FIELDS and mine[key] != theirs.get(key)]


def is_map(name: str) -> bool:
    """Whether the field ``name`` is a backbone's map, or made from one."""
    stage = name.rpartition("_")[2]
    return stage.startswith("stage") and stage[5:].isdigit()


def field(outputs: Mapping[str, FeatureMaps], name: str) -> FeatureMaps:
    """One field of a network's outputs.

    Args:
        name: ``mean_stageN``: channel means, flat [B, cells]; ``energy_stageN``: unit-length energies, flat [B, cells];
            anything else: that output itself (``waypoints``, ``depth``, ``stageN``).

    Raises:
        KeyError: the network gives back nothing of that name.
    """
    kind, _, stage = name.rpartition("_")
    if is_map(name):
        maps = stage_of(outputs, int(stage[5:]))
        if kind:
            return {"mean": channel_mean, "energy": energy}[kind](maps)
        found = views(maps)
        return found if len(found) > 1 else found[0]
    return outputs[name].float()


def load_teacher(name: str, device: torch.device | str = "cpu", evaluation_maps: Iterable[str] = (), allow_leak: bool = False,
                 models_dir: str | Path | None = None) -> Teacher:
    """The teacher ``name``: a model of ``models_dir``, a folder, or a shipped model.

    Raises:
        PlannerError: no such model.
        CardError: card, weights and code do not fit each other.
        ConfigError: it was trained on an evaluation map, and ``allow_leak`` is not given.
    """
    model, given, card = load_model(find_model(str(name), models_dir, shipped=True))
    leaks = sorted(card.maps_seen & set(evaluation_maps))
    if leaks and not allow_leak:
        raise ConfigError(f"a teacher that has not seen the evaluation maps {', '.join(evaluation_maps)}",
                          f"'{card.name}', trained on {', '.join(leaks)}",
                          "give another teacher, or --allow-leak if no score is to be reported on it")
    return Teacher(model, given, card, device)


def require_same_inputs(teacher: Teacher, network: str, config: Any) -> None:
    """Refuse a ``teacher`` that cannot read the inputs of a student of ``network`` with ``config``.

    Raises:
        CardError: it is another network, or takes another input or camera.
    """
    if teacher.network != network:
        raise CardError(f"a {network} teacher for a {network} student", f"'{teacher.name}', a {teacher.network}",
                        "give a teacher of the student's own network")
    if other := teacher.differences(config):
        raise CardError(f"a teacher with {', '.join(f'{key} {getattr(config, key)}' for key in other)}",
                        f"'{teacher.name}' with {', '.join(f'{key} {getattr(teacher.config, key, None)}' for key in other)}",
                        "give a teacher for this input and camera, or train the student with the teacher's")
