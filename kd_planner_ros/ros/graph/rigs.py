"""Which sensors a world mounts for the models of a graph."""

from __future__ import annotations

from dataclasses import replace

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.rigs import merge_rigs
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.networks.planner import PERCEIVER
from kd_planner_ros.runtime.facts import ModelFacts, model_facts, resolve_model

PICTURE_CAMERA = CameraSpec("report_front", Pose(x=-1.5, z=2.0), 448, 128, 100.0, period_s=0.2)
"""Mounted where no model has a camera, so that there is something to look at."""


def perceiver_facts(name: str, models_dir: str = "", role: str = PERCEIVER) -> tuple[str, ModelFacts | None]:
    """(model with ``auto`` resolved, its facts) of a node that may be left out: the perception node, or with ``role`` PLANNER the fallback
    planner's; ("", None) where no model is named.

    Raises:
        ConfigError: ``auto`` finds no model of ``role``.
        PlannerError: nothing of that name, or a model of the other role.
    """
    if not name:
        return "", None
    name, models_dir = resolve_model(name, models_dir, role)
    return name, model_facts(name, models_dir, role)


def rig_to_mount(planner: SensorRig, perceiver: SensorRig | None = None, pictures: bool = True,
                 fallback: SensorRig | None = None) -> SensorRig:
    """What the models ask for together (``merge_rigs``); ``PICTURE_CAMERA`` where there is no camera and ``pictures`` are wanted.

    Raises:
        ConfigError: two models declare a sensor of one id, and differently.
    """
    others = {"fallback planner": fallback, "perceiver": perceiver}
    rig = merge_rigs({"planner": planner, **{name: one for name, one in others.items() if one is not None}})
    return rig if rig.cameras or not pictures else replace(rig, cameras=(PICTURE_CAMERA,))
