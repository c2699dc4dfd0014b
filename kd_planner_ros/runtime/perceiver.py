"""A learned network as a Perceiver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.core.outputs import DenseOutput, Perception
from kd_planner_ros.core.records import Frame
from kd_planner_ros.imaging.exposure import require_light
from kd_planner_ros.imaging.road_masks import MASKS, road_masks, sky_mask
from kd_planner_ros.networks.parts import WHOLE, Part
from kd_planner_ros.networks.planner import Perceiver, Processor
from kd_planner_ros.runtime.engines import Engine
from kd_planner_ros.runtime.network_model import NetworkModel


class NetworkPerceiver(NetworkModel[Perception], Perceiver):
    """A perceiver whose network runs on one engine, or each of its parts on its own."""

    def __init__(self, name: str, config: Any, processor: Processor[Perception], engine: Engine, card: ModelCard,
                 parts: Sequence[Part] = WHOLE):
        super().__init__(name, config, processor, engine, card)
        self.parts, self.made_of, self.cut_by = tuple(parts), processor.made_of, processor.cut_by

    def perceive(self, frame: Frame) -> Perception:
        """What is seen in ``frame``, with the time from its pixels to its outputs in ``inference_ms`` and of each step in ``spent_ms``.

        Raises:
            SensorError: a declared sensor is missing from the frame, has the wrong size, or gives a black picture.
        """
        for name, picture in frame.images.items():
            require_light(picture, name)
        found, spent_ms = self.run(frame, self.due)
        return replace(found, outputs=_without_sky(_with_masks(found.outputs)), inference_ms=sum(spent_ms.values()), spent_ms=spent_ms)


def _with_masks(outputs: Mapping[str, DenseOutput]) -> Mapping[str, DenseOutput]:
    """``outputs`` with the masks that the labels of its classes tell, where the network gives none of that name itself."""
    for output in outputs.values():
        if output.kind == "classes" and not set(MASKS) <= set(outputs):
            outputs = {**outputs, **{name: mask for name, mask in road_masks(output).items() if name not in outputs}}
    return outputs


def _without_sky(outputs: Mapping[str, DenseOutput]) -> Mapping[str, DenseOutput]:
    """``outputs`` without depth where the classes of the same size say sky: it has none, and networks learn some far wall for it."""
    masks = [mask for one in outputs.values() if one.kind == "classes" and (mask := sky_mask(one)) is not None]
    if len(masks) != 1:
        return outputs
    return {name: _masked(one, masks[0]) if one.kind == "depth" and one.array.shape == masks[0].shape else one
            for name, one in outputs.items()}


def _masked(depth: DenseOutput, sky: np.ndarray) -> DenseOutput:
    return replace(depth, array=np.where(sky, np.float32(np.nan), depth.array), raw=depth.array if depth.raw is None else depth.raw)
