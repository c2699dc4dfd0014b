"""Training recipes: mappings and YAML files turned into a ``TrainConfig``, and recipes of cards and checkpoints made comparable.

A recipe holds the names of ``TrainConfig``'s fields and one section a network or method::

    network: tcp
    size: 7.6m
    method: plankd
    teacher: tcp64_25m8
    tcp: {input_height: 64, input_width: 224}
    plankd: {rank_loss: paper}
    stages: [{name: heads, share: 0.2, trained: [decoder]}, {name: all, share: 0.8}]

``tcp.input_height: 64`` is the same as the section. Dashes may stand for underscores.
"""

from __future__ import annotations

import difflib
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError, KdPlannerError
from kd_planner_ros.core.fields import check_values
from kd_planner_ros.core.foreign import read_yaml
from kd_planner_ros.core.notices import report
from kd_planner_ros.core.renamed import TRAINING, refuse_renamed
from kd_planner_ros.distill.config import OWN_OPTIONS, RESUMABLE, STARTS, TrainConfig
from kd_planner_ros.distill.methods.registry import IMITATION, find_method, method_names
from kd_planner_ros.distill.names import require_section
from kd_planner_ros.networks.registry import can_be_trained, find_training, folders

_OWN = {one.name: one for one in fields(TrainConfig)}
_FLAT = tuple(name for name in _OWN if name != "sections")


def option_sections() -> dict[str, type]:
    """The options of every network that can be trained and of every method that has any, by name."""
    found: dict[str, type] = {}
    for kind, names in (("network", folders()), ("method", method_names())):
        for name in names:
            try:
                require_section(name, kind, OWN_OPTIONS)
                if kind == "method":
                    found[name] = find_method(name).options
                elif can_be_trained(name):
                    found[name] = find_training(name).options
            except KdPlannerError as error:
                report(error)  # a broken plugin is refused where it is asked for
    return {name: kind for name, kind in found.items() if fields(kind)}


def read_recipe(path: Path) -> dict[str, Any]:
    """The recipe in the YAML file ``path``, with dotted names.

    Raises:
        ConfigError: no such file, no YAML, no mapping, or an unknown or old name.
    """
    if not Path(path).is_file():
        raise ConfigError(f"a recipe at {path}", "a folder" if Path(path).is_dir() else "no such file", "check the path")
    data = read_yaml(Path(path))
    if not isinstance(data, dict):
        raise ConfigError(f"names with values in {path}", type(data).__name__, "see docs/guides/train_a_student.md")
    return dotted(data, str(path))


def dotted(values: Mapping[str, Any], where: str = "the recipe") -> dict[str, Any]:
    """``values`` with sections written as dotted names, dashes as underscores, every name checked.

    Raises:
        ConfigError: an old name (the new one is named) or an unknown one (the nearest is named).
    """
    sections, flat = option_sections(), {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name in sections and isinstance(value, Mapping):
            flat |= {f"{name}.{str(inner).replace('-', '_')}": one for inner, one in value.items()}
        elif name == "sections" and isinstance(value, Mapping):
            flat |= dotted(value, where)
        elif name in sections:
            raise ConfigError(f"names with values in section '{name}' of {where}", repr(value), f"write '{name}: {{option: value}}'")
        else:
            flat[name] = value
    refuse_renamed(flat, TRAINING, where)
    known = [*_FLAT, *(f"{section}.{one.name}" for section, kind in sections.items() for one in fields(kind))]
    if unknown := sorted(set(flat) - set(known)):
        near = [difflib.get_close_matches(name, known, 1, 0.5) for name in unknown]
        raise ConfigError(f"names of training options in {where}", ", ".join(unknown), "correct the name" + "".join(
            f"; the nearest to '{name}' is '{found[0]}'" for name, found in zip(unknown, near, strict=True) if found))
    return flat


def train_config(values: Mapping[str, Any], recipe: Mapping[str, Any] | None = None, where: str = "the recipe",
                 **fixed: Any) -> TrainConfig:
    """The TrainConfig of ``values`` over those of ``recipe`` (both flat, dotted or nested); ``fixed`` are fields of TrainConfig that
    win over both.

    A start (``STARTS``) of ``values`` replaces any of ``recipe``. Sections of ``recipe`` that belong to another network or method
    than the run's are reported on stderr and left out.

    Raises:
        ConfigError: an unknown or old name, or a value that the settings refuse.
    """
    base, given = dotted(recipe or {}, where), dotted(values, where)
    if given.keys() & set(STARTS):  # another start than the recipe's
        base = {name: value for name, value in base.items() if name not in STARTS}
    merged = base | given
    own = {name: _typed(TrainConfig, name, value) for name, value in merged.items() if name in _OWN} | fixed
    used = {own.get("network", _OWN["network"].default), own.get("method", IMITATION),
            *(str(one.get("method")) for one in own.get("stages", ()) if isinstance(one, Mapping))}
    kinds, sections, left = option_sections(), {}, []
    check_values(TrainConfig, {name: own[name] for name in base.keys() & own.keys() - given.keys() - fixed.keys()}, where)
    for name, value in merged.items():
        section, dot, inner = name.partition(".")
        if not dot:
            continue
        if section in used or name in given:
            sections.setdefault(section, {})[inner] = typed = _typed(kinds[section], inner, value)
            if name not in given:
                check_values(kinds[section], {inner: typed}, where, section)
        else:
            left.append(name)
    if left:
        print(f"{where}: {', '.join(left)} left out: they belong to another network or method", file=sys.stderr)
    return TrainConfig(**{"bags": (), **own}, sections=sections)


def _typed(kind: type, name: str, value: Any) -> Any:
    """``value`` as field ``name`` of ``kind`` wants it: YAML reads 1e-4 as text, 3 as a whole number and a path as text."""
    hint = typing.get_type_hints(kind)[name]
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        if value is None or str(value) in ("", "."):  # "" of the command line is the path "."
            return None
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if name == "bags":
        return tuple(Path(one) for one in _listed(name, [value] if isinstance(value, (str, Path)) else value, (str, Path)))
    if name == "teacher" and isinstance(value, (list, tuple)):
        return ",".join(map(str, value))
    if name in ("stages", "start_without"):
        return _listed(name, value, Mapping if name == "stages" else str)
    if hint in (str, Path) and not isinstance(value, (str, Path)):
        raise ConfigError(f"a {'text' if hint is str else 'path'} under '{name}'", repr(value), f"correct '{name}'")
    if hint is Path:
        return Path(value)
    if hint is float and (isinstance(value, str) or type(value) is int):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _listed(name: str, value: Any, kind: Any) -> tuple[Any, ...]:
    """The entries of the list ``value``; None is an empty one.

    Raises:
        ConfigError: it is no list, or an entry is of another kind.
    """
    if value is not None and not (isinstance(value, (list, tuple)) and all(isinstance(one, kind) for one in value)):
        kinds = {"bags": "paths", "stages": "mappings", "start_without": "names of modules"}
        raise ConfigError(f"a list of {kinds[name]} under '{name}'", repr(value), f"correct '{name}'")
    return tuple(value or ())


# --- comparing -----------------------------------------------------------------------------------------------------------

def complete(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """``recipe`` of a card or a checkpoint, of this version or an older one, with dotted names and every default filled in: two
    recipes that mean the same are equal."""
    flat: dict[str, Any] = {}
    for name, value in recipe.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            flat[TRAINING.get(name, name)] = value
    network, method = flat.get("network", _OWN["network"].default), flat.get("method", IMITATION)
    stages = [one.get("method") for one in flat.get("stages", ())]
    used = {network, method, *(name for name in stages if name)}
    filled = {name: one.default for name, one in _OWN.items() if name not in (*RESUMABLE, "name", "sections", "stages")}
    if used <= {network, IMITATION}:
        filled = {name: value for name, value in filled.items() if name not in ("method", "teacher", "teacher_cache")}
    for section, kind in option_sections().items():
        if section in used:
            filled |= {f"{section}.{one.name}": one.default for one in fields(kind) if not one.metadata.get("site")}
    sections = set(option_sections())
    kept = {name: value for name, value in flat.items() if "." not in name or name.partition(".")[0] in used
            or name.partition(".")[0] not in sections}
    return {name: value for name, value in (filled | kept).items() if value is not MISSING}


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names in which two recipes differ, sorted; each of this version or an older one."""
    first, second = complete(one), complete(other)
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))
