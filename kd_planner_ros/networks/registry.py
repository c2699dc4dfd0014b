"""Networks by the name of their folder: the convention is the table.

A learned network's folder has ``config.py`` (``Config``, a frozen dataclass; ``CONFIGURATIONS``), ``model.py``
(``build_model(config)``, ``example_inputs(config, batch)``, ``INPUTS``, ``OUTPUTS``) and ``processor.py``
(``build_processor(config)``). A planner without weights has ``planner.py`` with ``build_planner()``. Nothing is
imported before it is asked for.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import kd_planner_ros.networks as networks
from kd_planner_ros.core.errors import CardError, PlannerError
from kd_planner_ros.networks.planner import Planner, Processor

_PARTS = {"config": ("Config", "CONFIGURATIONS"), "model": ("build_model", "example_inputs", "INPUTS", "OUTPUTS"),
          "processor": ("build_processor",)}


@dataclass(frozen=True)
class Network:
    """A learned network's code: everything that its folder offers."""

    name: str
    config_class: type
    configurations: tuple
    build_model: Callable[[Any], Any]
    example_inputs: Callable[..., dict]
    build_processor: Callable[[Any], Processor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

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


def _has(name: str, part: str) -> bool:
    return importlib.util.find_spec(f"kd_planner_ros.networks.{name}.{part}") is not None


def folders() -> tuple[str, ...]:
    """Names of all folders of networks/ that hold a network or a planner, sorted."""
    names = (module.name for module in pkgutil.iter_modules(networks.__path__) if module.ispkg)
    return tuple(sorted(name for name in names if _has(name, "model") or _has(name, "planner")))


def is_weightless(name: str) -> bool:
    """Whether folder ``name`` holds a planner that needs no weights."""
    return name in folders() and _has(name, "planner")


def _require(name: str) -> None:
    if name not in folders():
        raise PlannerError(f"a network out of {', '.join(folders())}", repr(name), "correct the name")


def find_network(name: str) -> Network:
    """The learned network in folder ``name``.

    Raises:
        PlannerError: no such folder, or a part that the convention asks for is missing.
    """
    _require(name)
    if is_weightless(name):
        raise PlannerError(f"a network with weights: {', '.join(one for one in folders() if not is_weightless(one))}",
                           f"'{name}', which has none", "name one of them")
    found: dict[str, Any] = {}
    for part, attributes in _PARTS.items():
        if not _has(name, part):
            raise PlannerError(f"networks/{name}/{part}.py", "no such file", "add it, as networks/tcp has it")
        module = importlib.import_module(f"kd_planner_ros.networks.{name}.{part}")
        for attribute in attributes:
            if not hasattr(module, attribute):
                raise PlannerError(f"'{attribute}' in networks/{name}/{part}.py", "nothing of that name",
                                   "add it, as networks/tcp has it")
            found[attribute] = getattr(module, attribute)
    return Network(name, found["Config"], tuple(found["CONFIGURATIONS"]), found["build_model"],
                   found["example_inputs"], found["build_processor"], tuple(found["INPUTS"]), tuple(found["OUTPUTS"]))


def build_weightless(name: str) -> Planner:
    """The planner of folder ``name``, which needs no weights.

    Raises:
        PlannerError: no such folder, or no ``build_planner`` in it.
    """
    _require(name)
    module = importlib.import_module(f"kd_planner_ros.networks.{name}.planner")
    if not hasattr(module, "build_planner"):
        raise PlannerError(f"'build_planner' in networks/{name}/planner.py", "nothing of that name", "add it")
    return module.build_planner()
