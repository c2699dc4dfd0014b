"""AT: the student's attention maps follow the teacher's. Zagoruyko and Komodakis, ICLR 2017."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from kd_planner_ros.distill.maps import FeatureMaps, energy

GAMMA = 1e3


def activation_loss(student: Sequence[FeatureMaps], teacher: Sequence[Tensor], gamma: float = GAMMA) -> Tensor:
    """gamma / 2 times the sum over stages of the mean squared difference of unit-length energies, a scalar.

    Args:
        student: stage maps, shallow to deep. teacher: ``maps.energy`` [B, cells] of the stages of equal size.
    """
    gaps = [(energy(ours) - theirs.detach()).square().mean() for ours, theirs in zip(student, teacher, strict=True)]
    return 0.5 * gamma * sum(gaps[1:], gaps[0])
