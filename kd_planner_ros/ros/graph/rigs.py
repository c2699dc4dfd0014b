"""Which sensors a world mounts for the models of a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from kd_planner_ros.core.ego import Pose
from kd_planner_ros.core.rigs import merge_rigs, names_apart, renamed_rig
from kd_planner_ros.core.sensors import CameraSpec, SensorRig
from kd_planner_ros.networks.planner import PERCEIVER
from kd_planner_ros.runtime.facts import ModelFacts, model_facts, resolve_model

PICTURE_CAMERA = CameraSpec("report_front", Pose(x=-1.5, z=2.0), 448, 128, 100.0, period_s=0.2)
"""Mounted where no model has a camera, so that there is something to look at."""
OWN_PREFIX = "perception_"
"""Before the id of a sensor that a world mounts for the perceiver alone, because a planner has another one of that id."""


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


def perceiver_words(seen: ModelFacts | None, engine: str) -> str:
    """The perceiver in words, for the run folder: model, network and parameters (where it has weights), and the ``engine`` asked for; ""
    without one."""
    if seen is None:
        return ""
    learned = [f"network {seen.card['network']}", f"{seen.card['parameters']:,} parameters".replace(",", " ")] if seen.card else []
    return ", ".join([seen.name, *learned, *([f"engine {engine}"] if engine else [])])


@dataclass(frozen=True)
class Mounted:
    """What a world mounts for the models of a graph, and the sensors of the perceiver that it mounts under names of their own: id in the
    model -> id in ``rig``."""

    rig: SensorRig
    perceiver_names: Mapping[str, str]


def rig_to_mount(planner: SensorRig, perceiver: SensorRig | None = None, pictures: bool = True,
                 fallback: SensorRig | None = None) -> Mounted:
    """What the models ask for together (``merge_rigs``); ``PICTURE_CAMERA`` where there is no camera and ``pictures`` are wanted. A sensor
    of the perceiver that a planner declares differently under the same id is mounted beside that one, as ``perception_ID``.

    Raises:
        ConfigError: two planners declare a sensor of one id, and differently.
    """
    rigs = {"planner": planner, **({} if fallback is None else {"fallback planner": fallback})}
    names: dict[str, str] = {}
    if perceiver is not None:
        names = names_apart(perceiver, OWN_PREFIX, *rigs.values())
        rigs["perceiver"] = renamed_rig(perceiver, names)
    rig = merge_rigs(rigs)
    return Mounted(rig if rig.cameras or not pictures else replace(rig, cameras=(PICTURE_CAMERA,)), names)
