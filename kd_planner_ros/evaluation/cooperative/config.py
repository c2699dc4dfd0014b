"""The settings of a comparison of cooperative plans with recordings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.bags.source import CAMERA_HELP, ROLE_HELP
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.fields import check_fields

BESIDE: Mapping[str, Mapping[str, Any]] = {"blank": {"blank": True}, "without": {"loss": 1.0}}
"""Conditions that may be measured beside those of a config, by what they change in it."""


def _field(default: Any, text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class CooperativeConfig:
    """What to compare, and what happens to the roadside data before the planner gets it."""

    bag: Path = field(metadata={"help": "a rosbag2 folder, or a folder of them"})
    planner: str = _field("constant_velocity", "a folder of models/, a path to one, or constant_velocity")
    device: str = _field("cpu", "where the network runs: cpu, cuda, cuda:1 ...")
    engine: str = _field("auto", "inference engine", choices=("auto", "torch", "openvino", "onnxruntime"))
    role_name: str | None = _field(None, ROLE_HELP)
    camera: tuple[str, ...] = _field((), CAMERA_HELP, metavar="NAME=RECORDED")
    scale: float = _field(1.0, "the station's picture is sent at this share of its width and height", above=0.0, high=1.0)
    noise: float = _field(0.0, "standard deviation of normal noise on the station's picture, of 255, clipped", low=0.0)
    text: float = _field(0.0, "share of the prompt's words that are replaced by random ones", low=0.0, high=1.0)
    blank: bool = _field(False, "both pictures are blanked: the pattern of a missing view where the planner has one, else plain grey")
    loss: float = _field(0.0, "share of plans whose roadside data are lost", low=0.0, high=1.0)
    beside: tuple[str, ...] = _field((), "further conditions that are measured beside: blank (both pictures), without (roadside data)")
    hidden: bool = _field(False, "give the figures also over the plans at which the roadside alone knew of somebody in the way; the "
                          "recordings need instance labels")
    period_s: float = _field(0.5, "time between two plans, seconds", low=0.0)
    seed: int = _field(0, "seed of noise, words and losses", low=0)

    def __post_init__(self) -> None:
        check_fields(self)
        if unknown := [one for one in self.beside if one not in BESIDE]:
            raise ConfigError(f"beside: conditions out of {', '.join(BESIDE)}", repr(unknown[0]), "correct 'beside'")
