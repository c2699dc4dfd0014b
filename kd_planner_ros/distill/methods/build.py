"""A distiller by its name, fitted to the shapes of its student and teacher."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.config import METHODS, TrainConfig
from kd_planner_ros.distill.losses.attention import BEV_PIXELS, DETAILS, MEASURED, WaypointAttention
from kd_planner_ros.distill.losses.maps import stage_count, stage_of, views
from kd_planner_ros.distill.methods.base import Distiller
from kd_planner_ros.distill.methods.plankd import DEFAULTS, PLAIN_WEIGHTING, PlanKD, PlanKDSwitches
from kd_planner_ros.distill.methods.rivals import ActivationTransfer, DynamicPriorKD, ReviewKD
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.params import count_macs

_RIVALS = {"at": ActivationTransfer, "reviewkd": ReviewKD, "dpk": DynamicPriorKD}
SCENE_SHARE = 0.22
"""With detail 'auto' the BEV encoder is the finest whose multiply-accumulates are at most this share of the student's."""


def stage_shapes(network: str, config: Any) -> list[list[tuple[int, int, int]]]:
    """(channels, rows, columns) of each view of each stage of ``network`` with ``config``; nothing is computed."""
    found = find_network(network)
    with torch.device("meta"):
        model = found.build_model(config)
    example = {name: tensor.to("meta") for name, tensor in found.example_inputs(config).items()}
    with torch.no_grad():
        outputs = model.eval()(**example, features=True)
    return [[tuple(one.shape[1:]) for one in views(stage_of(outputs, stage))] for stage in range(1, stage_count(outputs) + 1)]


def plankd_switches(network: str, **changes: Any) -> PlanKDSwitches:
    """The switches for ``network``: section 3.4's, with ``changes`` that are not None."""
    return dataclasses.replace(DEFAULTS.get(network, DEFAULTS["tcp"]), **{k: v for k, v in changes.items() if v is not None})


def switches_of(config: TrainConfig, student: Any) -> PlanKDSwitches:
    """The switches that ``config`` asks for, for a student with the network config ``student``."""
    def weight(value: float) -> float | None:
        return None if value < 0.0 else value

    detail = config.bev_detail if config.bev_detail != "auto" else scene_detail(config.network, student)
    switches = plankd_switches(
        config.network, feature=weight(config.feature_weight), ranking=weight(config.ranking_weight),
        entropy=weight(config.entropy_weight), pull=weight(config.attention_pull),
        scale=None if config.waypoint_scale == "auto" else config.waypoint_scale,
        teacher_waypoints=config.teacher_waypoints, rank_loss=config.rank_loss,
        noise=config.latent_noise, freeze_bottleneck=config.freeze_bottleneck, weighting=config.weighting, bev_detail=detail)
    return ablate(switches, config.network, config.use_entropy, config.safe_attention, config.use_bottleneck)


def truth_needed(config: TrainConfig) -> tuple[str, ...]:
    """The ground truth beside the waypoints that a training as ``config`` says reads, as ``Distiller.needs``."""
    if config.method != "plankd":
        return Distiller.needs
    return ablate(plankd_switches(config.network, weighting=config.weighting), config.network, True, config.safe_attention,
                  config.use_bottleneck).needs


def ablate(switches: PlanKDSwitches, network: str, entropy: bool = True, safe_attention: bool = True,
           use_bottleneck: bool = True) -> PlanKDSwitches:
    """``switches`` without the named parts: Table 4's ablations.

    Without safety attention the waypoints are weighted as the network's own loss does it.
    """
    if not entropy:
        switches = dataclasses.replace(switches, entropy=0.0)
    if not safe_attention:
        switches = dataclasses.replace(switches, weighting=PLAIN_WEIGHTING.get(network, "equal"))
    return dataclasses.replace(switches, use_bottleneck=switches.use_bottleneck and use_bottleneck)


def scene_detail(network: str, config: Any) -> str:
    """The finest detail of the BEV encoder that keeps to ``SCENE_SHARE`` of the student's arithmetic, else the coarsest."""
    found = find_network(network)
    with torch.device("meta"):
        student = found.build_model(config)
    limit = SCENE_SHARE * count_macs(student, found.example_inputs(config))
    for detail in DETAILS:
        if _scene_macs(detail) <= limit:
            return detail
    return list(DETAILS)[-1]


def _scene_macs(detail: str) -> int:
    with torch.device("meta"):
        model = WaypointAttention(detail)
    return count_macs(model, {"bev": torch.zeros(1, 3, BEV_PIXELS, BEV_PIXELS), "measured": torch.zeros(1, MEASURED),
                              "waypoints": torch.zeros(1, 4, 2), "mask": torch.ones(1, 4, dtype=torch.bool)})


def build_distiller(method: str, network: str, student: Any, teacher: Any | None, switches: PlanKDSwitches | None = None,
                    average: Callable[[list[nn.Parameter]], None] = lambda _: None) -> Distiller:
    """The distiller ``method`` for a student and a teacher with these configs, its weights from torch's global generator.

    Raises:
        ConfigError: an unknown method, or a method that needs a teacher without one.
    """
    if method not in METHODS:
        raise ConfigError(f"a method out of {', '.join(METHODS)}", repr(method), "correct --method")
    if method == "imitation":
        return Distiller()
    if teacher is None:
        raise ConfigError(f"a teacher for method '{method}'", "none", "give --teacher, or train with --method imitation")
    ours, theirs = stage_shapes(network, student), stage_shapes(network, teacher)
    if method == "plankd":
        cells = sum(rows * columns for _, rows, columns in ours[1])
        return PlanKD(cells, switches or plankd_switches(network), average)
    return _RIVALS[method]([stage[0][0] for stage in ours], [stage[0][0] for stage in theirs])
