"""PlanKD's options turned into settled weights and choices for one network."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.distill.methods.plankd import bottleneck, safety
from kd_planner_ros.distill.methods.plankd.attention import BEV_PIXELS, MEASURED, WaypointAttention
from kd_planner_ros.distill.methods.plankd.config import DETAILS, Config
from kd_planner_ros.networks.registry import find_network
from kd_planner_ros.runtime.params import count_macs

SCENE_SHARE = 0.22
"""With detail 'auto' the BEV encoder is the finest whose multiply-accumulates are at most this share of the student's."""
_WEIGHTS = {"feature_weight": "feature", "ranking_weight": "ranking", "entropy_weight": "entropy", "attention_pull": "pull"}


@dataclass(frozen=True)
class PlanKDSwitches:
    """Weights and choices, all settled. Defaults are TCP's.

    feature, ranking, entropy: alpha_z, alpha_r, alpha_e of equation 9. waypoints: weight of the attention-weighted term,
    as the network's own loss has it. teacher_waypoints: weight of the same term against the teacher's waypoints; the
    paper puts the expert's in their place (A.5), so 0. pull: share of the waypoint term's gradient that reaches the
    attention. The term is smallest when the attention looks at the waypoint that is easiest, the nearest one. The
    repository's InterFuser weights it 0.2 / 10 against 0.1 of the ranking, which is harmless; TCP's plain sum would be
    fifty times that and drown the ranking, so TCP's pull is 0.02: the repository's balance.
    """

    feature: float = 0.5
    ranking: float = 0.1
    entropy: float = 0.05
    waypoints: float = 1.0
    teacher_waypoints: float = 0.0
    scale: str = "sum"
    pull: float = 0.02
    beta: float = bottleneck.BETA
    bottleneck_lr: float = 1e-4
    noise: str = "shared"
    freeze_bottleneck: bool = True
    use_bottleneck: bool = True
    weighting: str = "attention"
    sigma_m: float = safety.SIGMA_M
    rank_loss: str = "margin"
    bev_detail: str = "full"

    def __post_init__(self):
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} out of {', '.join(known)}", repr(getattr(self, name)), f"correct '{name}'")

    @property
    def needs(self) -> tuple[str, ...]:
        """The ground truth that PlanKD reads with these choices, names out of states, obstacles, bev and measured."""
        return (*(("states",) if self.use_bottleneck else ()),
                *(("obstacles", "bev", "measured") if self.weighting == "attention" else ()))


def _choices(name: str) -> tuple[str, ...]:
    return Config.__dataclass_fields__[name].metadata["choices"]


CHOICES = {"scale": ("sum", "mean"), "noise": _choices("latent_noise"), "weighting": _choices("weighting"),
           "rank_loss": _choices("rank_loss"), "bev_detail": tuple(DETAILS)}


def switches_of(options: Config, network: str, student: Any, defaults: Mapping[str, Any] = {}, waypoints: float = 1.0) -> PlanKDSwitches:
    """The switches for a student of ``network`` with the config ``student``.

    Args:
        defaults: what the network prefers where an option is negative or ``auto`` (``METHOD_DEFAULTS`` of its training.py).
        waypoints: weight of the waypoints in the network's own loss.
    """
    settled = {switch: getattr(options, name) if getattr(options, name) >= 0.0 else defaults.get(name)
               for name, switch in _WEIGHTS.items()}
    settled["scale"] = options.waypoint_scale if options.waypoint_scale != "auto" else defaults.get("waypoint_scale")
    switches = PlanKDSwitches(
        waypoints=waypoints, teacher_waypoints=options.teacher_waypoints, rank_loss=options.rank_loss, noise=options.latent_noise,
        freeze_bottleneck=options.freeze_bottleneck, weighting=options.weighting,
        bev_detail=options.bev_detail if options.bev_detail != "auto" else scene_detail(network, student),
        **{switch: value for switch, value in settled.items() if value is not None})
    return _ablate(switches, options, defaults)


def truth_needed(options: Config, defaults: Mapping[str, Any] = {}) -> tuple[str, ...]:
    """The ground truth beside the targets that a training with ``options`` reads, as ``PlanKDSwitches.needs``."""
    return _ablate(PlanKDSwitches(weighting=options.weighting), options, defaults).needs


def _ablate(switches: PlanKDSwitches, options: Config, defaults: Mapping[str, Any]) -> PlanKDSwitches:
    """``switches`` without the parts that ``options`` switches off: Table 4's ablations. Without safety attention the waypoints
    are weighted as the network's own loss does it."""
    if not options.entropy:
        switches = dataclasses.replace(switches, entropy=0.0)
    if not options.safe_attention:
        switches = dataclasses.replace(switches, weighting=defaults.get("plain_weighting", "equal"))
    return dataclasses.replace(switches, use_bottleneck=options.bottleneck)


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
