"""The paper's stages, and what a step of a stage may leave out."""

from __future__ import annotations

from collections.abc import Mapping

from kd_planner_ros.networks.training import Stage
from kd_planner_ros.networks.unified_encoder.loss import COMPOSED, SEGMENTATION, WEIGHTS
from kd_planner_ros.networks.unified_encoder.match_loss import WEIGHTS as MATCH_WEIGHTS
from kd_planner_ros.networks.unified_encoder.video_loss import COMPLETE, RAMPED, RECORDED, RIGID
from kd_planner_ros.networks.unified_encoder.video_loss import WEIGHTS as VIDEO_WEIGHTS

ALL_WEIGHTS = {**WEIGHTS, **VIDEO_WEIGHTS, **MATCH_WEIGHTS}
_RAMPS = {name: (0.0, 3.0 * VIDEO_WEIGHTS[name]) for name in RAMPED}
"""A ramp reaches the weight in the first third of a stage; ``loss`` stops it there."""


MOTION = ("rotation", "translation", "flow", "flow_moving", "flow_pixels", "motion")
"""Losses of the pose, flow and mask decoders when learning from truth."""


def _stage(name: str, share: float, trained: tuple[str, ...], losses: tuple[str, ...], ramped: tuple[str, ...] = (),
           method: str | None = None) -> Stage:
    weights = {part: ALL_WEIGHTS[part] for part in losses}
    return Stage(name, share, trained, losses=weights, ramps={part: _RAMPS[part] for part in ramped}, method=method)


def paper_stages(first: tuple[str, ...], flow: tuple[str, ...], motion: tuple[str, ...]) -> tuple[Stage, ...]:
    """The paper's four stages and their shares of its steps; the arguments are what the first three train. Each names the losses of both
    ways of learning; a run has those of one. No teacher has a say in the first stage: flow and mask have learnt nothing there."""
    return (
        _stage("depth, pose, segmentation", 0.15, first,
               ("depth", "rotation", "translation", *SEGMENTATION, COMPOSED, "reconstruction", "smooth_disparity"), method="imitation"),
        _stage("flow", 0.10, flow, ("flow", "flow_moving", "flow_pixels", "reconstruction"), ("smooth_flow",)),
        _stage("motion", 0.10, motion, (*MOTION, "reconstruction"), RAMPED),
        Stage("joint", 0.65, rate=0.5, ramps=_RAMPS))


STAGES = paper_stages(("encoder", "depth", "pose", "segmentation", "task"), ("flow",), ("pose", "flow", "motion"))
WARPED_BY = {"recorded motion": RECORDED, STAGES[0].name: RIGID, STAGES[1].name: COMPLETE}
"""By a stage's name; the first one is for recipes. Pictures are warped by the recorded motion there, and the pose is learnt from it: from
random weights a depth is found so that a pose can be learnt from."""
_MODULES = {"segmentation": ("segmentation",), "geometry": ("depth", "ego", "pose", "pair", "flow", "motion"),
            "movers": ("pair", "flow", "motion")}
"""What each of ``model.PARTS`` consists of, in student and teacher."""


def unread_parts(stage: Stage, own: Mapping[str, float]) -> frozenset[str]:
    """Those of ``model.PARTS`` that ``stage`` neither trains nor has a loss for, when it learns from video; none of them where a teacher is
    heard, which may read any output.

    Args:
        own: the task's weights of the losses.
    """
    if stage.method != "imitation":
        return frozenset()
    taught = {name for at in (0.0, 1.0) for name, weight in stage.weights(own, at).items() if weight}
    unread = {"segmentation": not taught & set(SEGMENTATION), "geometry": taught <= set(SEGMENTATION),
              "movers": WARPED_BY.get(stage.name) in (RECORDED, RIGID)}
    return frozenset(part for part, quiet in unread.items() if quiet and not any(stage.covers(name) for name in _MODULES[part]))
