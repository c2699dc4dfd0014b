"""The scores of one plan in one scene: sub-scores, PDMS and EPDMS, with and without the human filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kd_planner_ros.evaluation.pdm.area import areas_of
from kd_planner_ros.evaluation.pdm.collisions import no_fault_collision, time_to_collision
from kd_planner_ros.evaluation.pdm.comfort import comfort, extended_comfort, history_comfort
from kd_planner_ros.evaluation.pdm.motion import Motion
from kd_planner_ros.evaluation.pdm.rules import (
    drivable_area,
    driving_direction,
    ego_progress,
    ego_progress_v1,
    lane_keeping,
    progress_m,
    traffic_lights,
)
from kd_planner_ros.evaluation.pdm.scene import Scene

MULTIPLIERS = ("NC", "DAC", "DDC", "TLC")
WEIGHTS: Mapping[str, float] = {"EP": 5.0, "TTC": 5.0, "LK": 2.0, "HC": 2.0, "EC": 2.0}
"""EPDMS = NC DAC DDC TLC (5 EP + 5 TTC + 2 LK + 2 HC + 2 EC) / 16."""
V1_MULTIPLIERS = ("NC", "DAC")
V1_WEIGHTS: Mapping[str, float] = {"EP_v1": 5.0, "TTC": 5.0, "C": 2.0}
"""PDMS = NC DAC (5 EP + 5 TTC + 2 C) / 12, EP as navsim v1 has it."""


@dataclass(frozen=True)
class Drive:
    """A simulated drive and what of it needs no comparison: the sub-scores by name, all but EP and EP_v1, and the progress in metres."""

    motion: Motion
    scores: Mapping[str, float]
    progress_m: float


def judge(motion: Motion, before: Motion, scene: Scene) -> Drive:
    """The sub-scores of ``motion`` in ``scene``; ``before`` is the drive of the plan made at ``scene.before``."""
    areas = areas_of(motion, scene.street)
    return Drive(motion, {
        "NC": no_fault_collision(motion, scene.others, areas), "DAC": drivable_area(areas), "DDC": driving_direction(motion, areas),
        "TLC": traffic_lights(motion, scene.lights), "TTC": time_to_collision(motion, scene.others, areas),
        "LK": lane_keeping(motion, areas, scene.route), "C": comfort(motion), "HC": history_comfort(motion, scene.history),
        "EC": extended_comfort(motion, before, scene.before_steps)}, progress_m(motion, scene.route))


def compare(own: Drive, driver: Drive) -> dict[str, float]:
    """All sub-scores of ``own`` and its ``PDMS``, ``EPDMS`` and ``EPDMS_unfiltered``; ``driver`` is the recorded driver's drive in the
    same scene: it stands for PDM-Closed's progress and for the human."""
    found, human = with_progress(own, driver), with_progress(driver, driver)
    return {**found, "PDMS": pdms(found), "EPDMS": epdms(filtered(found, human)), "EPDMS_unfiltered": epdms(found)}


def with_progress(own: Drive, driver: Drive) -> dict[str, float]:
    """The sub-scores of ``own`` with ``EP`` and ``EP_v1``."""
    factors = [(product(one.scores, MULTIPLIERS), product(one.scores, V1_MULTIPLIERS)) for one in (own, driver)]
    return {**own.scores, "EP": ego_progress(own.progress_m, factors[0][0], driver.progress_m, factors[1][0]),
            "EP_v1": ego_progress_v1(own.progress_m, factors[0][1], driver.progress_m, factors[1][1])}


def filtered(scores: Mapping[str, float], human: Mapping[str, float]) -> dict[str, float]:
    """``scores`` with 1 wherever the human has 0: who cannot be blamed is not."""
    return {name: 1.0 if human[name] == 0.0 else value for name, value in scores.items()}


def pdms(scores: Mapping[str, float]) -> float:
    """The PDM score of navsim v1 in [0, 1]. A clean scene with EP_v1 = 0.5: (2.5 + 5 + 2) / 12."""
    return product(scores, V1_MULTIPLIERS) * _mean(scores, V1_WEIGHTS)


def epdms(scores: Mapping[str, float]) -> float:
    """The extended PDM score of navsim v2.2 in [0, 1]."""
    return product(scores, MULTIPLIERS) * _mean(scores, WEIGHTS)


def product(scores: Mapping[str, float], names: tuple[str, ...]) -> float:
    """The product of the scores called ``names``."""
    found = 1.0
    for name in names:
        found *= scores[name]
    return found


def _mean(scores: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return sum(weight * scores[name] for name, weight in weights.items()) / sum(weights.values())
