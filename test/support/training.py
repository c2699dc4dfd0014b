"""Training runs for tests: settings with the options of network and method by their short names, and methods without a run."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

from kd_planner_ros.distill.config import TrainConfig
from kd_planner_ros.distill.methods.base import MethodContext
from kd_planner_ros.distill.methods.registry import find_method
from kd_planner_ros.distill.recipes import option_sections
from kd_planner_ros.networks.registry import find_network, find_training

_OWN = {one.name for one in fields(TrainConfig)}


def training(**values) -> TrainConfig:
    """The TrainConfig of ``values``; options of its network and method stand among them by their names."""
    return _of({}, values)


def training_in(folder: Path, **changes) -> TrainConfig:
    """A short training on the recordings of ``folder/bags`` that writes below ``folder`` alone: of the smallest TCP, where ``changes``
    name no other network."""
    tcp = {"size": "3.1m", "input_height": 32, "input_width": 64} if changes.get("network", "tcp") == "tcp" else {}
    return training(**{
        "bags": (folder / "bags",), "name": "student", **tcp, "batch": 4, "epochs": 2, "validation_share": 0.0, "seed": 1,
        "models_dir": folder / "models", "runs_dir": folder / "runs", "cache": folder / "cache", "progress": False, "threads": 1,
        "device": "cpu", "validate_minutes": 0, **changes})


def but(config: TrainConfig, **changes) -> TrainConfig:
    """``config`` with ``changes``; options of its network and method stand among them by their names."""
    return _of({one.name: getattr(config, one.name) for one in fields(TrainConfig)}, changes)


def _of(base, changes):
    own = {name: value for name, value in changes.items() if name in _OWN}
    merged = {**base, **own}
    used = (merged.get("network", "tcp"), merged.get("method", "imitation"))
    sections = {name: dict(values) for name, values in merged.pop("sections", {}).items() if name in used}
    kinds = option_sections()
    for name, value in changes.items():
        if name not in _OWN:
            section = next(one for one in used if one in kinds and name in {field.name for field in fields(kinds[one])})
            sections.setdefault(section, {})[name] = value
    return TrainConfig(**merged, sections=sections)


def teachers_of(network, *configs):
    """Stand-ins for teachers of ``network`` with these configs, which nobody asks."""
    return tuple(SimpleNamespace(config=config, network=network, name="made up") for config in configs)


def distiller(method, network, student, *teachers, **options):
    """The distiller ``method`` for a student of ``network`` and teachers with these configs."""
    found, training_of = find_method(method), find_training(network)
    task = training_of.build_task(find_network(network).build_processor(student), training_of.options())
    return found.build(MethodContext(network, student, teachers_of(network, *teachers), task, found.options(**options),
                                     training_of.method_defaults.get(method, {})))
