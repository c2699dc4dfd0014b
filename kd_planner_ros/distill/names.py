"""Names that a run may use: of its model, and of the networks and methods whose options it reads."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from kd_planner_ros.core.errors import ConfigError, PluginError
from kd_planner_ros.distill.methods.registry import is_builtin
from kd_planner_ros.networks.registry import has_network, is_weightless

RESERVED_NAMES = ("auto", "expert")
"""What ``--planner`` reads as something else than a folder of models, beside the networks without weights."""


def require_name(name: str) -> None:
    """Refuse a name that no folder can have, or by which no command would find the model.

    Raises:
        ConfigError: it says why.
    """
    if not name or Path(name).name != name or name == ".." or not name.isprintable() or name != name.strip():
        raise ConfigError("--name with the name of a folder", repr(name), "give a name without slashes, and without blanks at its ends")
    if name[0] in ".-" or "," in name:
        raise ConfigError("--name that begins with a letter or a digit and has no comma (--teacher separates models by commas)", repr(name),
                          "give another --name")
    if name in RESERVED_NAMES or is_weightless(name):
        raise ConfigError("--name that means nothing else", f"{name!r}, which stands for another planner wherever a model is named",
                          "give another --name")


def require_section(name: str, kind: str, options: Collection[str]) -> None:
    """Refuse a plugin ``name`` whose section of options would be another one's; ``kind`` is network or method, ``options``
    are the trainer's own.

    Raises:
        PluginError: a network is called as a method of this package is, a method as a network, or one of them as an option of the
            trainer.
    """
    other = ""
    if name in options:
        other = f"an option of 'kd-planner train', --{name.replace('_', '-')}"
    elif kind == "network" and is_builtin(name):
        other = "a distillation method"
    elif kind == "method" and not is_builtin(name) and has_network(name):
        other = "a network"
    if other:
        raise PluginError(f"a {kind} with a name of its own", f"'{name}', which is {other} too: their options would be mixed up",
                          "rename its entry point")
