"""One rig for several models: each sensor once, and one wish for the roadside stations that serves them all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.sensors import CameraSpec, LidarSpec, RoadsideWish, SensorRig


def merge_rigs(rigs: Mapping[str, SensorRig]) -> SensorRig:
    """The sensors of all ``rigs``, each once, as often as the fastest model asks, and the union of their wishes for roadside views. What
    concerns no sensor (``history_s``) is the first one's; a route is needed where any of them needs one.

    Args:
        rigs: by the names that errors call the models by, the first one first.

    Raises:
        ConfigError: two of them declare a sensor of one id, and differently.
    """
    (first, merged), *others = rigs.items()
    for name, rig in others:
        names = f"{first} and {name}"
        merged = replace(merged, cameras=_merged(merged.cameras, rig.cameras, "camera", names),
                         lidars=_merged(merged.lidars, rig.lidars, "LiDAR", names), roadside=merge_wishes(merged.roadside, rig.roadside),
                         needs_route=merged.needs_route or rig.needs_route)
    return merged


def names_apart(rig: SensorRig, prefix: str, *others: SensorRig) -> dict[str, str]:
    """Names under which sensors of ``rig`` can be mounted beside those of ``others``: ``prefix`` before the id of each that one of them
    declares differently. A sensor that all declare alike, whatever its rate, is one and keeps its name."""
    known = [one for other in others for one in _sensors(other)]
    return {spec.id: prefix + spec.id for spec in _sensors(rig) if any(one.id == spec.id and not _same(one, spec) for one in known)}


def renamed_rig(rig: SensorRig, names: Mapping[str, str]) -> SensorRig:
    """``rig`` with the sensors of ``names`` under their new names."""
    return replace(rig, cameras=tuple(replace(spec, id=names.get(spec.id, spec.id)) for spec in rig.cameras),
                   lidars=tuple(replace(spec, id=names.get(spec.id, spec.id)) for spec in rig.lidars),
                   optional=tuple(names.get(one, one) for one in rig.optional))


def merge_wishes(*wishes: RoadsideWish | None) -> RoadsideWish | None:
    """The wish that covers every one of ``wishes``: most views, largest range, longest age, object lists and pictures where one wants them;
    None where nobody wants anything. Each model still gets only what it asked for: its own buffer chooses."""
    asked = [wish for wish in wishes if wish is not None]
    if not asked:
        return None
    return RoadsideWish(max(wish.views for wish in asked), max(wish.range_m for wish in asked), max(wish.max_age_s for wish in asked),
                        any(wish.objects for wish in asked), any(wish.pictures for wish in asked))


def _merged(ours: tuple, theirs: tuple, kind: str, names: str) -> tuple:
    """``ours`` and what ``theirs`` adds; a shared sensor sends as often as the faster of the two asks."""
    found = {spec.id: spec for spec in ours}
    for spec in theirs:
        known = found.get(spec.id, spec)
        if not _same(known, spec):
            raise ConfigError(f"one {kind} '{spec.id}' for {names}", f"{_text(known)} and {_text(spec)}",
                              "choose a model that was made for the planner's sensors, or leave it out")
        found[spec.id] = replace(spec, period_s=min(known.period_s, spec.period_s)) if kind == "camera" else known
    return tuple(found.values())


def _sensors(rig: SensorRig) -> tuple[CameraSpec | LidarSpec, ...]:
    return (*rig.cameras, *rig.lidars)


def _same(one: CameraSpec | LidarSpec, other: CameraSpec | LidarSpec) -> bool:
    return replace(one, period_s=other.period_s) == other


def _text(spec: CameraSpec | LidarSpec) -> str:
    if isinstance(spec, CameraSpec):
        return f"{spec.width}x{spec.height}, {spec.fov_deg:g} degrees at ({spec.pose.x:g}, {spec.pose.y:g}, {spec.pose.z:g}) m"
    return f"{spec.channels} channels, {spec.range_m:g} m, at ({spec.pose.x:g}, {spec.pose.y:g}, {spec.pose.z:g}) m"
