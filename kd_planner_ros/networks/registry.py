"""Networks by name: the folders of networks/, and packages of other distributions. The convention is the table.

A learned network's folder has ``config.py`` (``Config``, a frozen dataclass; ``CONFIGURATIONS``; where they differ from the
defaults ``ROLE``, planner or perceiver, ``ENGINES``, the engines that can run it, ``BFLOAT16``, False where that precision
spoils its outputs, ``FIXED_SHAPES``, True where a converted graph is right for the example's shapes alone), ``model.py``
(``build_model(config)``, ``example_inputs(config, batch)``, ``INPUTS``, ``OUTPUTS``) and ``processor.py``
(``build_processor(config)``). A config with a setting that leaves torch as the only engine names that setting in
``torch_only``, empty otherwise. A network that can be trained has ``training.py`` too, a perceiver that can run in parts
``parts.py`` (``build_parts(model, config)``, ``networks/parts.py``). A planner without weights has ``planner.py`` with
``build_planner()``, a perceiver without weights ``perceiver.py`` with ``build_perceiver()``.

Another distribution offers a network by an entry point of the group ``kd_planner_ros.networks`` whose value is a package
with the same files. Nothing is imported before it is asked for.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import kd_planner_ros.networks as networks
from kd_planner_ros.core.errors import CardError, ConfigError, PlannerError, PluginError
from kd_planner_ros.core.fields import unfit_options
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.plugins import NETWORKS, Plugin, plugins
from kd_planner_ros.networks.parts import NetworkPart
from kd_planner_ros.networks.planner import PERCEIVER, PLANNER, ROLES, Model, Processor
from kd_planner_ros.networks.training import WHOLE, LearningTask, NoOptions, OptimiserDefaults, Stage

ENGINES = ("torch", "openvino", "onnxruntime")
"""Engines that a network runs on unless its ``config.py`` names fewer. torch is the reference, so each network runs on it."""
_PARTS = {"config": ("Config", "CONFIGURATIONS"), "model": ("build_model", "example_inputs", "INPUTS", "OUTPUTS"),
          "processor": ("build_processor",)}
TRAINING_PARTS = {"training": ("build_task", "config_fields")}
"""What the files of a network that can be trained must hold; ``networks/training.py`` says what else they may hold."""
_WEIGHTLESS = {PLANNER: "build_planner", PERCEIVER: "build_perceiver"}


@dataclass(frozen=True)
class NetworkConfig:
    """What ``config.py`` of a learned network says; enough to know a model by its card, and free of torch."""

    name: str
    config_class: type
    configurations: tuple
    role: str = PLANNER
    engines: tuple[str, ...] = ENGINES
    bfloat16: bool = True
    fixed_shapes: bool = False

    def config(self, fields: Mapping[str, Any]) -> Any:
        """The config with ``fields``.

        Raises:
            CardError: a field that this code does not know, or a value it refuses.
        """
        known = {field.name for field in dataclasses.fields(self.config_class)}
        if unknown := sorted(set(fields) - known):
            raise CardError(f"config fields of network '{self.name}' ({', '.join(sorted(known))})", ", ".join(unknown),
                            "train again with this version, or install the version that wrote the card")
        try:
            return self.config_class(**fields)
        except (TypeError, ValueError) as error:
            raise CardError(f"a config of network '{self.name}'", str(error), "correct the card's config") from None


@dataclass(frozen=True, kw_only=True)
class Network(NetworkConfig):
    """A learned network's code: everything that its folder offers."""

    build_model: Callable[[Any], Any]
    example_inputs: Callable[..., dict]
    build_processor: Callable[[Any], Processor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    build_parts: Callable[[Any, Any], Sequence[NetworkPart]] | None = None


@dataclass(frozen=True)
class Training:
    """What ``training.py`` of a network that can be trained offers; see ``networks/training.py``."""

    name: str
    build_task: Callable[[Any, Any], LearningTask]
    config_fields: Callable[..., dict[str, Any]]
    options: type = NoOptions
    stages: tuple[Stage, ...] = WHOLE
    optimiser: OptimiserDefaults = OptimiserDefaults()
    backbone: str = ""
    method_defaults: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    holds: Mapping[str, str] = dataclasses.field(default_factory=dict)
    load_backbone: Callable[[Any, Path], None] | None = None
    stages_for: Callable[[Any], tuple[Stage, ...]] | None = None

    def stages_of(self, options: Any) -> tuple[Stage, ...]:
        """The stages of a network with ``options``."""
        return self.stages if self.stages_for is None else self.stages_for(options)


@functools.lru_cache(maxsize=1)
def _builtin() -> dict[str, str]:
    names = (module.name for module in pkgutil.iter_modules(networks.__path__) if module.ispkg)
    packages = {name: f"kd_planner_ros.networks.{name}" for name in sorted(names)}
    return {name: package for name, package in packages.items() if _is_network(package)}


def _exists(package: str, part: str) -> bool:
    return importlib.util.find_spec(f"{package}.{part}") is not None


def _is_network(package: str) -> bool:
    return any(_exists(package, part) for part in ("model", *_WEIGHTLESS))


def folders() -> tuple[str, ...]:
    """Names of all networks, planners and perceivers that can be used, sorted; those of other distributions included. A plugin
    that cannot be used is reported once and left out."""
    found = []
    for name in sorted({*_builtin(), *_plugins()}):
        try:
            package_of(name)
            found.append(name)
        except PluginError as error:
            report(error)
    return tuple(found)


def has_network(name: str) -> bool:
    """Whether a network of this package or of a plugin is called ``name``, usable or not."""
    return name in _builtin() or name in _plugins()


def _plugins() -> dict[str, Plugin]:
    return plugins(NETWORKS, _builtin())


def package_of(name: str) -> str:
    """The Python package that holds network ``name``.

    Raises:
        PlannerError: no network of that name, or (PluginError) its plugin cannot be used.
    """
    plugin = _plugins().get(name)
    if plugin is None and name not in _builtin():
        raise PlannerError(f"a network out of {', '.join(folders())}", repr(name),
                           "correct the name, or install the Python package that brings it")
    if plugin is None:
        return _builtin()[name]
    module = plugin.load()
    if not isinstance(module, ModuleType) or not hasattr(module, "__path__") or not _is_network(module.__name__):
        raise plugin.broken(f"no package with {' or '.join(f'{part}.py' for part in ('model', *ROLES))}")
    return module.__name__


def is_weightless(name: str) -> bool:
    """Whether ``name`` is a planner or a perceiver that needs no weights; False for a name that no network has.

    Raises:
        PluginError: the plugin of that name cannot be used.
    """
    if not has_network(name):
        return False
    package = package_of(name)
    return any(_exists(package, role) for role in ROLES)


def role_of(name: str) -> str:
    """Role of network ``name``: planner or perceiver.

    Raises:
        PlannerError: as ``find_config``.
    """
    package = package_of(name)
    weightless = [role for role in ROLES if _exists(package, role)]
    return weightless[0] if weightless else find_config(name).role


def _part(name: str, package: str, part: str, attributes: tuple[str, ...]) -> ModuleType:
    """Module ``part`` of network ``name``, which holds ``attributes``.

    Raises:
        PlannerError: it is not there, cannot be imported, or lacks one of them.
    """
    place = f"{package.replace('.', '/')}/{part}.py".removeprefix("kd_planner_ros/")
    if not _exists(package, part):
        raise PlannerError(place, "no such file", "add it, as networks/tcp has it")
    try:
        module = importlib.import_module(f"{package}.{part}")
    except Exception as error:
        if package in _builtin().values():
            raise  # a fault of this package or of its installation, which the trace shows
        raise _plugins()[name].broken(error) from error
    for attribute in attributes:
        if not hasattr(module, attribute):
            raise PlannerError(f"'{attribute}' in {place}", "nothing of that name", "add it, as networks/tcp has it")
    return module


def find_config(name: str) -> NetworkConfig:
    """The config side of the learned network ``name``; its model is not imported.

    Raises:
        PlannerError: no such network, a network without weights, or a ``config.py`` that is missing or unfit.
    """
    package = package_of(name)
    if is_weightless(name):
        raise PlannerError(f"a network with weights: {', '.join(one for one in folders() if not is_weightless(one))}",
                           f"'{name}', which has none", "name one of them")
    config = _part(name, package, "config", _PARTS["config"])
    role, engines = getattr(config, "ROLE", PLANNER), tuple(getattr(config, "ENGINES", ENGINES))
    if role not in ROLES:
        raise PlannerError(f"ROLE of network '{name}' out of {', '.join(ROLES)}", repr(role), "correct its config.py")
    if "torch" not in engines or not set(engines) <= set(ENGINES):
        raise PlannerError(f"ENGINES of network '{name}' with torch, out of {', '.join(ENGINES)}", ", ".join(map(str, engines)),
                           "correct its config.py")
    return NetworkConfig(name, config.Config, tuple(config.CONFIGURATIONS), role, engines,
                         bool(getattr(config, "BFLOAT16", True)), bool(getattr(config, "FIXED_SHAPES", False)))


def find_network(name: str) -> Network:
    """The learned network ``name``.

    Raises:
        PlannerError: no such network, or a part that the convention asks for is missing or unfit.
    """
    found, package = find_config(name), package_of(name)
    model, processor = (_part(name, package, part, _PARTS[part]) for part in ("model", "processor"))
    parts = _part(name, package, "parts", ("build_parts",)).build_parts if _exists(package, "parts") else None
    return Network(**{field.name: getattr(found, field.name) for field in dataclasses.fields(found)},
                   build_model=model.build_model, example_inputs=model.example_inputs, build_processor=processor.build_processor,
                   inputs=tuple(model.INPUTS), outputs=tuple(model.OUTPUTS), build_parts=parts)


def find_training(name: str) -> Training:
    """What network ``name`` is trained with.

    Raises:
        PlannerError: no such network, or ``training.py`` lacks something that the trainer asks for.
        ConfigError: the network has no such file, so it cannot be trained.
    """
    package = package_of(name)
    if not can_be_trained(name):
        raise ConfigError("a network that can be trained", f"'{name}' without training.py",
                          "choose another network, or add the file as networks/tcp has it")
    module = _part(name, package, "training", TRAINING_PARTS["training"])
    options = getattr(module, "TrainOptions", NoOptions)
    if why := unfit_options(options):
        raise PlannerError(f"TrainOptions of network '{name}' that keeps the contract", why, "see networks/training.py")
    build_task = functools.partial(_build_task, name, module.build_task)
    return Training(name, build_task, module.config_fields, options, tuple(getattr(module, "STAGES", WHOLE)),
                    getattr(module, "OPTIMISER", OptimiserDefaults()), getattr(module, "BACKBONE", ""),
                    getattr(module, "METHOD_DEFAULTS", {}), getattr(module, "HOLDS", {}), getattr(module, "load_backbone", None),
                    getattr(module, "stages_for", None))


def _build_task(name: str, build: Callable[[Any, Any], Any], processor: Any, options: Any) -> LearningTask:
    """The task that ``build`` of network ``name`` gives.

    Raises:
        PlannerError: it is no LearningTask, or lacks one of its methods.
    """
    try:
        task = build(processor, options)
    except TypeError as error:
        raise PlannerError(f"build_task(processor, options) of network '{name}' to give a LearningTask", str(error),
                           "correct its training.py; networks/training.py has the contract") from error
    if not isinstance(task, LearningTask):
        raise PlannerError(f"build_task of network '{name}' to give a LearningTask", type(task).__name__,
                           "correct its training.py; networks/training.py has the contract")
    return task


def can_be_trained(name: str) -> bool:
    """Whether network ``name`` has a ``training.py``.

    Raises:
        PlannerError: no such network, or its plugin cannot be used.
    """
    return _exists(package_of(name), "training")


def build_weightless(name: str) -> Model:
    """The planner or perceiver ``name``, which needs no weights.

    Raises:
        PlannerError: nothing of that name, or no ``build_planner`` or ``build_perceiver`` in it.
    """
    package = package_of(name)
    part = next((role for role in ROLES if _exists(package, role)), PLANNER)
    return getattr(_part(name, package, part, (_WEIGHTLESS[part],)), _WEIGHTLESS[part])()
