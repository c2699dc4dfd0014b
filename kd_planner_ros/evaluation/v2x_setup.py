"""The radio that a closed-loop evaluation asks for."""

from __future__ import annotations

from dataclasses import fields

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.road import RoadMap
from kd_planner_ros.evaluation.drives import ON, ClosedLoopConfig
from kd_planner_ros.v2x.channel_settings import V2X, ChannelSettings


def radio_settings(config: ClosedLoopConfig, seed: int) -> ChannelSettings:
    """The channel of the drive with ``seed``."""
    names = {one.name for one in fields(ChannelSettings)}
    given = {one.name.removeprefix(V2X): getattr(config, one.name) for one in fields(config) if one.name.startswith(V2X)}
    return ChannelSettings(seed=seed, **{name: value for name, value in given.items() if name in names})


def require_radio(config: ClosedLoopConfig, road: RoadMap) -> None:
    """Refuse radio settings that nothing would follow.

    Raises:
        ConfigError: settings of the radio without ``--v2x on``, ``--v2x on`` for the expert, or on a map without stations.
    """
    if config.v2x != ON:
        changed = [one.name for one in fields(config) if one.name.startswith(V2X) and getattr(config, one.name) != one.default]
        if changed:
            option = ("--no-" if getattr(config, changed[0]) is False else "--") + changed[0].replace("_", "-")
            raise ConfigError(f"--v2x on beside {option}", f"--v2x {config.v2x}", f"add --v2x on, or leave {option} out")
        return
    if config.planner == "expert":
        raise ConfigError("a planner with --v2x on", "expert, which sees the truth", "choose a model, or leave --v2x out")
    if not road.stations:
        raise ConfigError("a map with roadside stations for --v2x on", f"{config.map} without any",
                          "choose another map, or give --stations")
