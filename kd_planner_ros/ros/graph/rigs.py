"""Which sensors a world mounts for the models of a graph."""

from __future__ import annotations

from dataclasses import replace

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Pose
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, SensorRig
from kd_planner_ros.networks.planner import PERCEIVER
from kd_planner_ros.runtime.facts import ModelFacts, model_facts, resolve_model

PICTURE_CAMERA = CameraSpec("report_front", Pose(x=-1.5, z=2.0), 448, 128, 100.0, period_s=0.2)
"""Mounted where no model has a camera, so that there is something to look at."""


def perceiver_facts(name: str, models_dir: str = "") -> tuple[str, ModelFacts | None]:
    """(perceiver with ``auto`` resolved, its facts) for the perception node; ("", None) where no perceiver is named.

    Raises:
        ConfigError: ``auto`` finds no perceiver.
        PlannerError: nothing of that name, or a planner.
    """
    if not name:
        return "", None
    name, models_dir = resolve_model(name, models_dir, PERCEIVER)
    return name, model_facts(name, models_dir, PERCEIVER)


def rig_to_mount(planner: SensorRig, perceiver: SensorRig | None = None, pictures: bool = True) -> SensorRig:
    """The sensors of both models, each once; ``PICTURE_CAMERA`` where there is no camera and ``pictures`` are wanted.

    Raises:
        ConfigError: both declare a sensor of one id, and differently.
    """
    rig = planner
    if perceiver is not None:
        rig = replace(planner, cameras=_merged(planner.cameras, perceiver.cameras, "camera"),
                      lidars=_merged(planner.lidars, perceiver.lidars, "LiDAR"))
    return rig if rig.cameras or not pictures else replace(rig, cameras=(PICTURE_CAMERA,))


def _merged(ours: tuple, theirs: tuple, kind: str) -> tuple:
    """``ours`` and what ``theirs`` adds; a shared sensor sends as often as the faster of the two asks."""
    found = {spec.id: spec for spec in ours}
    for spec in theirs:
        known = found.get(spec.id, spec)
        if replace(known, period_s=spec.period_s) != spec:
            raise ConfigError(f"one {kind} '{spec.id}' for planner and perceiver", f"{_text(known)} and {_text(spec)}",
                              "choose a perceiver that was made for the planner's sensors, or leave perception out")
        found[spec.id] = replace(spec, period_s=min(known.period_s, spec.period_s)) if kind == "camera" else known
    return tuple(found.values())


def _text(spec: CameraSpec | LidarSpec) -> str:
    if isinstance(spec, CameraSpec):
        return f"{spec.width}x{spec.height}, {spec.fov_deg:g} degrees at ({spec.pose.x:g}, {spec.pose.y:g}, {spec.pose.z:g}) m"
    return f"{spec.channels} channels, {spec.range_m:g} m, at ({spec.pose.x:g}, {spec.pose.y:g}, {spec.pose.z:g}) m"
