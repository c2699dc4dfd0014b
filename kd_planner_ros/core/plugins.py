"""Extensions from other Python packages, found through entry points: networks, distillation methods, benchmarks.

An installed distribution names its extensions in its metadata, for example in ``pyproject.toml``::

    [project.entry-points."kd_planner_ros.networks"]
    tiny = "stranger.networks.tiny"

Nothing is imported before it is asked for. A plugin that cannot be used never stops the others: whoever lists the names of a
group leaves it out and reports it (``core/notices.py``, once on stderr), and its error is raised where it is asked for by name.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Collection
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from kd_planner_ros.core.errors import PluginError

NETWORKS, METHODS, BENCHMARKS = "kd_planner_ros.networks", "kd_planner_ros.methods", "kd_planner_ros.benchmarks"
"""Groups of entry points. The value of a network or a method is a package module, as the folders of this package are."""
OWN = "kd_planner_ros"
"""Distribution that offers the built-in extensions."""


@dataclass(frozen=True)
class Plugin:
    """One name of a group. ``target`` is ``package.module`` or ``package.module:object``; ``conflict`` says which distributions
    offer the same name, and is empty where only one does."""

    name: str
    group: str
    target: str
    distribution: str
    conflict: str = ""
    _entry: EntryPoint | None = field(default=None, repr=False, compare=False)

    def load(self) -> Any:
        """The module or object that the entry point names.

        Raises:
            PluginError: two distributions offer the name, or importing the target fails; the sentence names the distribution.
        """
        if self.conflict or self._entry is None:
            raise PluginError(f"one distribution that offers '{self.name}' in {self.group}", self.conflict,
                              "uninstall one of them, or rename its entry point")
        try:
            return self._entry.load()
        except Exception as error:  # whatever a plugin does while it is imported, it must not take the rest with it
            raise self.broken(error) from error

    def broken(self, cause: Exception | str) -> PluginError:
        """The error that says that this plugin cannot be used, because of ``cause``."""
        why = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
        return PluginError(f"plugin '{self.name}' of {self.group} from distribution '{self.distribution}' ({self.target}) "
                           "to keep the contract", " ".join(why.split()), f"correct or uninstall {self.distribution}")


def plugins(group: str, builtin: Collection[str] = ()) -> dict[str, Plugin]:
    """The plugins of ``group`` by name. A name that two distributions offer, or that ``builtin`` holds, keeps its place with a
    ``conflict``, and its ``load`` raises."""
    offers: dict[str, list[EntryPoint]] = {}
    for entry in _entry_points(group, tuple(sys.path)):
        offers.setdefault(entry.name, []).append(entry)
    found = {}
    for name, entries in sorted(offers.items()):
        owners = sorted({_distribution(entry) for entry in entries} | ({OWN} if name in builtin else set()))
        clash = len(entries) > 1 or name in builtin
        conflict = f"the name from {' and '.join(owners)}" if clash else ""
        found[name] = Plugin(name, group, entries[0].value, owners[0], conflict, entries[0])
    return found


@functools.lru_cache(maxsize=32)
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points of ``group`` on the module search path ``path``: reading all metadata takes tens of milliseconds."""
    return tuple(entry_points(group=group))


def _distribution(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else entry.value.split(".")[0]
