"""Distillation methods by name: the folders of methods/, and packages of other distributions. The convention is the table.

A method's folder has ``config.py`` with ``Config``, a frozen dataclass of its options (each with a default and a ``help`` text;
``site`` in the metadata marks a place on this machine, which shapes no weights), and ``method.py`` with
``build(context: MethodContext) -> Distiller``. Optional:

* ``accepts(student, teachers) -> str`` in ``config.py``: "" if the method works for a student of network ``student`` with
  teachers of these networks, else what it expects. Default: one teacher of the student's own network.
* ``SHARED_INPUTS = False`` in ``config.py``: each teacher reads inputs of its own; a teacher of the student's network may
  then have another input.
* ``require_recording(recording, options, network)`` in ``method.py``: refuse early a recording that lacks the method's truth.

Another distribution offers a method by an entry point of the group ``kd_planner_ros.methods`` whose value is a package with
the same files.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import kd_planner_ros.distill.methods as methods
from kd_planner_ros.core.errors import ConfigError, PluginError
from kd_planner_ros.core.fields import unfit_options
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.plugins import METHODS, Plugin, plugins

if TYPE_CHECKING:
    from kd_planner_ros.distill.methods.base import Distiller, MethodContext

IMITATION = "imitation"


@dataclasses.dataclass(frozen=True)
class Method:
    """A method's code. Its ``method.py`` is imported when it is built."""

    name: str
    package: str
    options: type
    accepts: Callable[[str, Sequence[str]], str]
    shared_inputs: bool

    def build(self, context: MethodContext) -> Distiller:
        """The distiller for ``context``, its weights from torch's global generator."""
        return self._code().build(context)

    def require_recording(self, recording: Any, options: Any, network: str) -> None:
        """Refuse a recording that lacks the method's truth.

        Raises:
            BagError, MapError: it does.
        """
        if hasattr(self._code(), "require_recording"):
            self._code().require_recording(recording, options, network)

    def _code(self) -> ModuleType:
        return _import(self.name, f"{self.package}.method", "build")


def method_names() -> tuple[str, ...]:
    """Names of all methods, imitation first, the others sorted. A plugin that cannot be used is reported once and left out."""
    found = []
    for name in sorted({*_builtin(), *_plugins()}):
        try:
            find_method(name)
            found.append(name)
        except PluginError as error:
            report(error)
    return tuple(sorted(found, key=lambda name: name != IMITATION))


def find_method(name: str) -> Method:
    """The method ``name``.

    Raises:
        ConfigError: no such method.
        PluginError: its plugin cannot be used.
    """
    plugin = _plugins().get(name)
    if plugin is None and name not in _builtin():
        raise ConfigError(f"a method out of {', '.join(method_names())}", repr(name), "correct --method")
    package = plugin.load().__name__ if plugin is not None else f"{methods.__name__}.{name}"
    config = _import(name, f"{package}.config", "Config")
    if why := unfit_options(config.Config):
        raise _broken(name, why)
    return Method(name, package, config.Config, getattr(config, "accepts", one_of_its_network), getattr(config, "SHARED_INPUTS", True))


def one_of_its_network(student: str, teachers: Sequence[str]) -> str:
    """What a method expects that takes one teacher of the student's own network, as ``accepts`` says it."""
    return "" if list(teachers) == [student] else f"one teacher of the student's own network '{student}'"


def _builtin() -> tuple[str, ...]:
    return tuple(module.name for module in pkgutil.iter_modules(methods.__path__) if module.ispkg)


def is_builtin(name: str) -> bool:
    """Whether ``name`` is a method of this package."""
    return name in _builtin()


def _plugins() -> dict[str, Plugin]:
    return plugins(METHODS, _builtin())


def _import(name: str, module: str, attribute: str) -> ModuleType:
    try:
        found = importlib.import_module(module)
    except Exception as error:
        if name in _builtin() and name not in _plugins():
            raise
        raise _broken(name, error) from error
    if not hasattr(found, attribute):
        raise _broken(name, f"no '{attribute}' in {module}")
    return found


def _broken(name: str, cause: Exception | str) -> Exception:
    plugin = _plugins().get(name)
    if plugin is not None:
        return plugin.broken(cause)
    return ConfigError(f"method '{name}' to keep the contract", str(cause), "correct the method")
