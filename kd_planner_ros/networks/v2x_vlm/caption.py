"""What V2X-VLM says of its front view, beside its plans: the answer to the prompt that stage 0 teaches."""

from __future__ import annotations

import torch
from torch import nn

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.core.records import Frame
from kd_planner_ros.networks.v2x_vlm.processor import V2xVlmProcessor
from kd_planner_ros.networks.v2x_vlm.words import ids_of, text_of

_EXPECTED = "a V2X-VLM that was taught captions"
_REMEDY = "train one with a stage whose losses hold caption, as the network's own stages do, or leave the parameter caption out"


class Captioner:
    """Describes front views in the network's own words, such as ``day car 34 12 walker 56 40``: the light, then kind, column and row in
    per cent of the largest road users."""

    def __init__(self, model: nn.Module, processor: V2xVlmProcessor):
        self._model, self._processor = model.eval(), processor
        self._ask = processor.words_tensor([ids_of("<CAPTION> veh")])

    def caption(self, frame: Frame) -> str:
        """The caption of the front view of ``frame``; it takes one pass through the encoder and up to sixteen steps of the decoder.

        Raises:
            SensorError: as ``V2xVlmProcessor.encode``.
        """
        image = self._processor.encode([frame])["image"]
        with torch.inference_mode():
            seen = self._model.florence.see(image)  # type: ignore[union-attr, operator]
            return text_of(self._model.describe(seen, self._ask)[0].tolist())  # type: ignore[operator]


def build_captioner(model: nn.Module, processor: V2xVlmProcessor, card: ModelCard) -> Captioner:
    """The captioner of ``model``, whose card is ``card``.

    Raises:
        ConfigError: a full size, whose words are Florence-2's, or a model whose last training taught no captions.
    """
    if not processor.config.nano:
        raise ConfigError("a nano size: the full sizes have no words of this package", f"'{card.name}' of size {processor.config.size}",
                          "leave the parameter caption out")
    if not _taught(card):
        raise ConfigError(_EXPECTED, f"'{card.name}', whose training had no such loss", _REMEDY)
    return Captioner(model, processor)


def _taught(card: ModelCard) -> bool:
    """Whether the last training taught captions: a recipe without stages has the network's own, and a stage without losses all of them."""
    recipe = card.training.get("recipe")
    stages = recipe.get("stages") if recipe else []
    return stages is None or any(one.get("losses") is None or one["losses"].get("caption", 0.0) > 0.0 for one in stages)
