"""A backbone's feature maps for the distillation methods, and which of them are small enough to keep on disk.

A network whose backbone sees one picture gives back ``stage1`` ...; one with several cameras ``left_stage1``,
``front_stage1``, ``right_stage1`` ... (InterFuser; its focus view and LiDAR are not distilled). Everything here takes both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kd_planner_ros.networks.blocks.inputs import DISTILLED_VIEWS
from kd_planner_ros.networks.registry import Network, find_network

FeatureMaps = Tensor | Sequence[Tensor]
"""One map [B, C, h, w], or one for each view."""
_TINY = 1e-12


def stage_of(outputs: Mapping[str, Tensor], number: int) -> FeatureMaps:
    """Stage ``number`` (from 1) of a network's outputs, of one view or of all three.

    Raises:
        KeyError: the network gave no such stage.
    """
    name = f"stage{number}"
    return outputs[name] if name in outputs else tuple(outputs[f"{view}_{name}"] for view in DISTILLED_VIEWS)


def views(stage: FeatureMaps) -> tuple[Tensor, ...]:
    """The maps of a stage, one a view, in float32."""
    maps = (stage,) if isinstance(stage, Tensor) else tuple(stage)
    return tuple(one.float() for one in maps)


def channel_mean(stage: FeatureMaps) -> Tensor:
    """Means over channels, views one after the other, flat: [B, sum of h * w].

    Teacher and student then have equal dimensions whatever their widths. Source: PlanKD, appendix A.4.
    """
    return torch.cat([one.mean(1).flatten(1) for one in views(stage)], 1)


def energy(stage: FeatureMaps) -> Tensor:
    """Attention maps of activation: the sum of squares over channels, each view of unit length, flat: [B, sum of h * w].

    Source: Zagoruyko and Komodakis, ICLR 2017, equation 2 and F_sum^2.
    """
    flat = [one.square().sum(1).flatten(1) for one in views(stage)]
    return torch.cat([one / one.norm(dim=1, keepdim=True).clamp_min(_TINY) for one in flat], 1)


def stage_count(outputs: Mapping[str, Tensor]) -> int:
    """How many stages a network gave back."""
    names = [name.removeprefix("front_") for name in outputs]
    return sum(name.startswith("stage") and name[5:].isdigit() for name in names)


def stage_pairs(student: int, teacher: int) -> tuple[tuple[int, int], ...]:
    """(student's stage, teacher's stage) from shallow to deep, counted from 1, each pair of the same stride.

    The three-stage ResNet-6 ends at stride 32 like the others: 1-1, 2-2, 3-4 with a four-stage teacher.
    """
    if student == teacher:
        return tuple((stage, stage) for stage in range(1, student + 1))
    shared = min(student, teacher)
    return (*((stage, stage) for stage in range(1, shared)), (student, teacher))


Shapes = tuple[tuple[tuple[int, int, int], ...], ...]


def stage_shapes(network: str, config: Any) -> Shapes:
    """(channels, rows, columns) of each view of each stage of ``network`` with ``config``; nothing is computed."""
    found = find_network(network)
    key = (found.build_model, repr(config))  # a config of a card may hold lists, which have no hash
    if key not in _shapes:
        _shapes[key] = _measure(found, config)
    return _shapes[key]


def _measure(network: Network, config: Any) -> Shapes:
    with torch.device("meta"):
        model = network.build_model(config)
    example = {name: tensor.to("meta") for name, tensor in network.example_inputs(config).items()}
    with torch.no_grad():
        outputs = model.eval()(**example, features=True)
    return tuple(tuple((one.shape[1], one.shape[2], one.shape[3]) for one in views(stage_of(outputs, stage)))
                 for stage in range(1, stage_count(outputs) + 1))


_shapes: dict[Any, Shapes] = {}  # a run asks several times for the same two networks, and an answer takes 0.2 s


def stage_widths(network: str, config: Any) -> list[int]:
    """Channels of each stage of ``network`` with ``config``; those of the first view where there are several."""
    return [stage[0][0] for stage in stage_shapes(network, config)]
