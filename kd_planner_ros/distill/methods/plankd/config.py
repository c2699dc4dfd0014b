"""PlanKD's options. Help texts say what a negative number or ``auto`` stands for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_planner_ros.core.errors import ConfigError

DETAILS = {"full": (1, 1), "half": (1, 2), "quarter": (2, 2), "sixth": (3, 2), "eighth": (4, 2)}
"""Detail of the BEV encoder, finest first: by how much the picture is averaged down before it, and the stride of its
max-pooling. full is the repository's; the others have the same weights and maps of half its side and less: 1.32, 0.43, 0.11,
0.05 and 0.03 G multiply-accumulates."""


def _field(default: Any, text: str, **metadata: Any) -> Any:
    return field(default=default, metadata={"help": text, **metadata})


@dataclass(frozen=True)
class Config:
    """Weights and choices of PlanKD."""

    entropy: bool = _field(True, "the entropy loss on the waypoint attention")
    safe_attention: bool = _field(True, "weight waypoints by the safety-aware attention; otherwise as in the network's own loss")
    bottleneck: bool = _field(True, "compare features behind the information bottleneck; otherwise whole feature maps")
    weighting: str = _field("attention", "weights of the waypoints; decay and equal do not depend on the scene",
                            choices=("attention", "decay", "equal"))
    feature_weight: float = _field(-1.0, "alpha_z; negative: the paper's for the network (TCP 0.5, InterFuser 0.1)")
    ranking_weight: float = _field(-1.0, "alpha_r; negative: the paper's (0.1)")
    entropy_weight: float = _field(-1.0, "alpha_e; negative: the paper's (TCP 0.05, InterFuser 0.005)")
    attention_pull: float = _field(-1.0, "share of the waypoint loss's gradient that reaches the attention; 1: as in the repository; "
                                   "negative: the balance between this loss and the ranking is kept (TCP 0.02, InterFuser 1)")
    teacher_waypoints: float = _field(0.0, "weight of a second waypoint loss against the teacher's waypoints (L_w of equation 9, which "
                                      "the paper leaves out)", low=0.0)
    rank_loss: str = _field("margin", "margin: as in the repository (margin 0.1, mean over pairs); paper: equation 7",
                            choices=("margin", "paper"))
    waypoint_scale: str = _field("auto", "the weighted waypoint loss is a sum, or the mean over waypoints as in the repository; "
                                 "auto: sum for TCP, mean for InterFuser", choices=("auto", "sum", "mean"))
    latent_noise: str = _field("shared", "noise of the teacher's and the student's latent; independent: as in the repository; none: "
                               "compare the means", choices=("shared", "independent", "none"))
    freeze_bottleneck: bool = _field(True, "the feature loss trains the student alone; without it the bottleneck's encoder too, as in "
                                     "the repository")
    bev_detail: str = _field("auto", "detail of the bird's-eye encoder: full is the repository's, half takes a third of its time, eighth a "
                             "fortieth; auto: the finest that costs at most 22 %% of the student", choices=("auto", *DETAILS))
    bev_px_per_m: float = _field(5.0, "pixels a metre of the bird's-eye scene; the repository's 4 do not fit its coordinates",
                                 low=1.0, high=20.0)
    obstacle_mps: float = _field(0.0, "road users slower than this are no obstacles of the safety kernel; the paper's obstacles are "
                                 "the moving ones (0.1)", low=0.0, high=50.0)
    pretrain_bottleneck: int = _field(0, "steps that train the bottleneck on the teacher alone before the student's first step, for "
                                      "runs too short to train both together", low=0)
    maps_dir: Path | None = _field(None, "folder of road networks, for recordings that give only the name of their map", site=True)

    def __post_init__(self) -> None:
        if self.pretrain_bottleneck and not self.bottleneck:
            raise ConfigError("--plankd.pretrain-bottleneck with the bottleneck", "--plankd.no-bottleneck",
                              "leave --plankd.pretrain-bottleneck out: nothing else learns without the student")
