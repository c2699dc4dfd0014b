"""The strength of augmentation at a step, and target points moved outwards. ``imaging/photometric.py`` changes the pictures."""

from __future__ import annotations

import numpy as np

from kd_planner_ros.imaging.photometric import augment

__all__ = ["augment", "chance", "stretch_targets"]

START_CHANCE = 0.05
RAMP_STEPS = 20_000
"""TCP's ramp is 200,000 steps of 32 samples, made for 60 epochs of a much larger set; ours reaches its end ten times
sooner. Deviation from Wu et al., NeurIPS 2022."""
NEAR_TARGET_M = 8.0
FAR_TARGET_M = 30.0


def chance(samples_read: int, ramp_steps: int = RAMP_STEPS) -> float:
    """Probability of each operation after ``samples_read`` samples: min(0.05 + samples / 32 / ramp, 1)."""
    return min(START_CHANCE + samples_read / 32.0 / ramp_steps, 1.0)


def stretch_targets(targets: np.ndarray, share: float, rng: np.random.Generator) -> None:
    """Move ``share`` of the near ``targets`` [B, 2] (metres, ``base_link``) outwards in place, to 8 ... 30 m.

    Where a car waits at a stop line the next target point is the junction's, hardly farther than the 4 m at which the route
    planner drops it; seldom is it so near otherwise. A student that has seen little learns to read 'near' as 'red', and
    stands on when the light is green.
    """
    length = np.linalg.norm(targets, axis=1)
    chosen = (rng.random(len(targets)) < share) & (length > 0.1) & (length < NEAR_TARGET_M)
    wanted = rng.uniform(NEAR_TARGET_M, FAR_TARGET_M, len(targets))
    targets[chosen] *= (wanted / np.maximum(length, 0.1))[chosen, None]
