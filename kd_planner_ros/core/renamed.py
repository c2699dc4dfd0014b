"""Options that have another name than they once had: old name -> new name. Each old name is refused in one line."""

from __future__ import annotations

from collections.abc import Iterable

from kd_planner_ros.core.errors import ConfigError

_PLANKD = ("safe_attention", "weighting", "feature_weight", "ranking_weight", "entropy_weight", "attention_pull", "teacher_waypoints",
           "rank_loss", "waypoint_scale", "latent_noise", "freeze_bottleneck", "bev_detail", "bev_px_per_m", "obstacle_mps", "maps_dir")
TRAINING = {
    **{name: f"plankd.{name}" for name in _PLANKD},
    "use_entropy": "plankd.entropy", "entropy": "plankd.entropy", "use_bottleneck": "plankd.bottleneck",
    "bottleneck": "plankd.bottleneck", "head_start": "plankd.pretrain_bottleneck",
    "input_height": "tcp.input_height", "input_width": "tcp.input_width", "front_px": "interfuser.front_px",
    "states_weight": "tcp.states_weight", "semantic_weight": "tcp.semantic_weight",
}
"""Options of 'kd-planner train' and parameters of the trainer node, with underscores."""


def refuse_renamed(names: Iterable[str], table: dict[str, str], where: str) -> None:
    """Refuse the old names of ``table`` in ``names``.

    Raises:
        ConfigError: an old name is given; the new one is named.
    """
    if old := [name for name in names if name in table]:
        raise ConfigError(f"{', '.join(table[name] for name in old)} in {where}", f"the old name{'s' * (len(old) > 1)} {', '.join(old)}",
                          "use the new name")
