"""The student's stages and the weights of perception's losses."""

from __future__ import annotations

from dataclasses import replace

from kd_planner_ros.networks.distilldrive.config import DistillDriveConfig
from kd_planner_ros.networks.distilldrive.dense import WEIGHTS as DENSE
from kd_planner_ros.networks.distilldrive.frozen_perception import FROZEN
from kd_planner_ros.networks.distilldrive.heat import WEIGHTS as HEAT
from kd_planner_ros.networks.distilldrive.lights import WEIGHT as LIGHT
from kd_planner_ros.networks.distilldrive.options import TrainOptions
from kd_planner_ros.networks.training import Stage

PERCEPTION = {"agent_score": 2.0, "agent_box": 0.25, "line_score": 1.0, "line_place": 10.0, **HEAT, **DENSE}
RAMPS = {"latent": (0.0, 5.0), "reinforcement": (0.0, 10.0)}
"""The latent variable's divergence counts whole after a fifth of the stage, the reinforcement term after a tenth."""
STAGES = (Stage("perception", 0.5, (*FROZEN, "task"), losses=PERCEPTION, method="imitation"),
          Stage("lights", 0.1, ("front", "task"), losses=LIGHT, method="imitation", shuffled=True),
          Stage("planning", 0.4, rate=0.5, ramps=RAMPS))
BLIND = (replace(STAGES[0], share=0.6), STAGES[2])
"""Those of a network without ``signals``, which has no token of the front view."""


def taught_by(config: DistillDriveConfig) -> dict[str, tuple[str, ...]]:
    """Modules of perception by prefix with the losses that alone teach them. Proposals pass no gradient on, so the map that they come
    from learns from its own losses alone."""
    heat = {"agents.kind.proposals.heat": tuple(HEAT)} if config.proposals else {}
    return {"agents": ("agent_score", "agent_box"), "lines": ("line_score", "line_place"), **heat}


def stages_for(options: TrainOptions) -> tuple[Stage, ...]:
    """The stages of a student with ``options``."""
    return STAGES if options.signals else BLIND
