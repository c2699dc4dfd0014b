"""Options of networks and methods in commands that measure: nested, as those of ``train``."""

from __future__ import annotations

import argparse
from dataclasses import fields
from typing import Any

from kd_planner_ros.cli.options import add_fields, given, refuse_old_options

INPUT = "input"
"""Metadata of the training options that shape a network's input."""


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the options of every network and every method; old names are refused."""
    from kd_planner_ros.core.renamed import TRAINING
    from kd_planner_ros.distill.recipes import option_sections

    for section, options in option_sections().items():
        add_fields(parser.add_argument_group(f"options of {section}"), options, section=section, given_only=True)
    refuse_old_options(parser, TRAINING)


def training_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of ``add_training_options`` that were given, by dotted names."""
    from kd_planner_ros.distill.recipes import option_sections

    return given(args, **option_sections())


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the options of every network that shape its input; old names are refused."""
    from kd_planner_ros.core.renamed import TRAINING

    sections = _input_sections()
    for section, options in sections.items():
        others = tuple(one.name for one in fields(options) if not one.metadata.get(INPUT))
        add_fields(parser, options, skip=others, section=section, given_only=True)
    refuse_old_options(parser, {old: new for old, new in TRAINING.items() if _is_input(new, sections)})


def input_fields(args: argparse.Namespace, network: str) -> dict[str, Any]:
    """The config fields of ``network`` that the options of ``add_input_options`` stand for; empty where none was given.

    Raises:
        ConfigError: an option of another network.
    """
    from kd_planner_ros.core.errors import ConfigError
    from kd_planner_ros.networks.registry import find_training

    values = given(args, **_input_sections())
    if others := [name for name in values if name.partition(".")[0] != network]:
        raise ConfigError(f"input options of network '{network}'", ", ".join("--" + name.replace("_", "-") for name in others),
                          "leave them out")
    if not values:
        return {}
    training = find_training(network)
    options = training.options(**{name.partition(".")[2]: value for name, value in values.items()})
    return {name: value for name, value in training.config_fields("", options, None, {}).items() if name != "size"}


def _input_sections() -> dict[str, type]:
    from kd_planner_ros.distill.recipes import option_sections

    return {name: kind for name, kind in option_sections().items() if any(one.metadata.get(INPUT) for one in fields(kind))}


def _is_input(name: str, sections: dict[str, type]) -> bool:
    section, _, field = name.partition(".")
    return section in sections and any(one.name == field and one.metadata.get(INPUT) for one in fields(sections[section]))
