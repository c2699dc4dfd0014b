"""The speed on an arc: the limit, lowered by what stands, moves or shines red on it. Pure functions on ``base_link``.

The rule, each step with the parameters of ``SpeedRule``:

1. No faster than the limit, and than the curve allows at ``lateral_mps2``.
2. An obstacle is what reaches into the swept width of the car on the arc: a pixel of a road user's class more than ``flat_m`` above
   the ground, a pixel that moves, or one between ``low_m`` and ``high_m`` above the ground. A road user that is flat is none: paint
   that was taken for one held the car for ever. The swept width is wider for walkers. The nearest ``pixels`` of them
   must agree, so that a few wrong ones stop nobody.
3. An obstacle's speed away from the car is that of its moving pixels; one that does not move has 0.
4. The car stays so slow that it can stop ``standstill_m`` behind the obstacle if that brakes as hard as the car (Gipps, "A
   behavioural car-following model", 1981): v = -b t + sqrt(b^2 t^2 + u^2 + 2 b gap), with braking b, reaction time t, obstacle's
   speed u.
5. A red light over the arc, or straight ahead of a car whose wheels are turned, is an obstacle ``setback_m`` before the lamp. Lamps
   hang beyond the junction, and nothing says where the stop line is; in the shared recordings the expert waits with the lamp 19
   to 32 m ahead (median 27 m). So a car that comes upon a red light goes on where it cannot stand with the lamp further than
   ``passed_m``, even if it brakes at ``hardest_mps2``: it would stand in the junction. A car that waits for a red light, brakes for
   one, or has not moved yet does not start because its lamp is near: it heeds lamps down to ``inside_m``, where every stop line of the
   recordings lies behind the car.
6. Where depth is unknown ahead, the speed is 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from kd_planner_ros.networks.unified_driver.arc import along_arc


@dataclass(frozen=True)
class SpeedRule:
    """Parameters of the rule; the car's measures are those of CARLA's default car."""

    lateral_mps2: float = 2.5
    braking_mps2: float = 3.0
    reaction_s: float = 0.5
    front_m: float = 2.5
    half_width_m: float = 1.25
    walker_margin_m: float = 0.75
    standstill_m: float = 3.0
    flat_m: float = 0.2
    low_m: float = 0.5
    high_m: float = 2.5
    farthest_m: float = 60.0
    pixels: int = 4
    depth_of_obstacle_m: float = 2.0
    lamp_beside_m: float = 2.5
    setback_m: float = 27.0
    passed_m: float = 21.0
    inside_m: float = 12.0
    hardest_mps2: float = 6.0


@dataclass(frozen=True)
class Scene:
    """What is seen ahead, one row a pixel.

    Attributes:
        points: places [N, 3] in ``base_link``, metres.
        user: bool [N], pixels of a road user's class.
        walker: bool [N], those of a walker.
        forward_mps: velocity away from the car over ground [N] of pixels that move; NaN for pixels that do not.
        red: bool [N], lit red lamps of traffic lights.
        known: share of the pixels below the horizon whose depth is known.
    """

    points: np.ndarray
    user: np.ndarray
    walker: np.ndarray
    forward_mps: np.ndarray
    red: np.ndarray
    known: float = 1.0


@dataclass(frozen=True)
class Speed:
    """The speed, and why: ``reason`` is limit, curve, obstacle, light or blind; ``gap_m`` to what holds the car, infinite for none;
    ``red``: a red light is heeded, be it the reason or not."""

    mps: float
    reason: str
    gap_m: float = math.inf
    red: bool = False


def stopping_speed(gap_m: float, leading_mps: float, rule: SpeedRule = SpeedRule()) -> float:
    """Step 4 of the rule for an obstacle ``gap_m`` ahead; 0 where there is no gap. 12 m, standing: 7.12 m/s."""
    slack = rule.braking_mps2 * rule.reaction_s
    inside = slack ** 2 + max(leading_mps, 0.0) ** 2 + 2.0 * rule.braking_mps2 * gap_m
    return max(0.0, math.sqrt(max(inside, 0.0)) - slack)


def speed(scene: Scene, curvature_per_m: float, limit_mps: float, rule: SpeedRule = SpeedRule(), now_mps: float = 0.0,
          waits: bool = False) -> Speed:
    """The speed on the arc of ``curvature_per_m`` in ``scene``.

    Args:
        now_mps: speed of the car.
        waits: the car waits or brakes for a red light, or has not moved yet.
    """
    if scene.known < 0.5:
        return Speed(0.0, "blind", 0.0)
    found = [Speed(limit_mps, "limit")]
    if curvature_per_m:
        found.append(Speed(math.sqrt(rule.lateral_mps2 / abs(curvature_per_m)), "curve"))
    along, aside = along_arc(scene.points[:, :2], curvature_per_m)
    way = rule.reaction_s * now_mps + now_mps ** 2 / (2.0 * rule.hardest_mps2)
    light = _light(scene, along, aside, rule, rule.inside_m if waits else rule.passed_m + way)
    found += [one for one in (_obstacle(scene, along, aside, rule), light) if one is not None]
    return replace(min(found, key=lambda one: one.mps), red=light is not None)


def _obstacle(scene: Scene, along: np.ndarray, aside: np.ndarray, rule: SpeedRule) -> Speed | None:
    height = scene.points[:, 2]
    solid = (scene.user & (height > rule.flat_m)) | np.isfinite(scene.forward_mps) | ((height > rule.low_m) & (height < rule.high_m))
    width = rule.half_width_m + np.where(scene.walker, rule.walker_margin_m, 0.0)
    inside = solid & (np.abs(aside) <= width) & (along > 0.0) & (along < rule.farthest_m) & (height < rule.high_m)
    if inside.sum() < rule.pixels:
        return None
    nearest = float(np.partition(along[inside], rule.pixels - 1)[rule.pixels - 1])
    its = scene.forward_mps[inside & (along <= nearest + rule.depth_of_obstacle_m)]
    moving = its[np.isfinite(its)]
    leading = float(np.median(moving)) if 2 * len(moving) > len(its) else 0.0
    gap = nearest - rule.front_m - rule.standstill_m
    return Speed(stopping_speed(gap, leading, rule), "obstacle", gap)


def _light(scene: Scene, along: np.ndarray, aside: np.ndarray, rule: SpeedRule, nearest_m: float) -> Speed | None:
    gaps = []
    for way, beside in ((along, aside), (scene.points[:, 0], scene.points[:, 1])):
        ahead = scene.red & (np.abs(beside) <= rule.lamp_beside_m) & (way > nearest_m) & (way < rule.farthest_m)
        gaps += way[ahead].tolist()
    if not gaps:
        return None
    gap = min(gaps) - rule.setback_m - rule.front_m
    return Speed(stopping_speed(gap, 0.0, rule), "light", gap)
