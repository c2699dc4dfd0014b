"""The Swin encoder (``blocks/swin.py``) and OneFormer's decoders of ``transformers``, taken apart so that other decoders share the encoder.

``transformers`` is imported when a network is built, never before. Weights are drawn at random: nothing is downloaded.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kd_planner_ros.core.errors import ConfigError
from kd_planner_ros.networks.blocks.swin import SwinEncoder, require_packages, swin_config
from kd_planner_ros.networks.unified_encoder.config import Widths
from kd_planner_ros.networks.unified_encoder.deformable import with_own_attention

TASKS = ("semantic", "instance", "panoptic")
_FIRST_WORD = {"semantic": 3, "instance": 4, "panoptic": 5}
_THE_TASK_IS = (1, 2)


def oneformer(widths: Widths) -> tuple[Any, Any]:
    """(``transformers``' OneFormer module, its config for ``widths``).

    Raises:
        ConfigError: transformers is not installed.
    """
    require_packages("unified_encoder", "transformers", "scipy")
    modelling = importlib.import_module("transformers.models.oneformer.modeling_oneformer")
    configs = importlib.import_module("transformers")
    own, backbone = widths.segmentation, swin_config(widths.swin)
    return modelling, configs.OneFormerConfig(
        backbone_config=backbone, num_labels=len(widths.classes), is_training=True, num_queries=own.queries, conv_dim=own.width,
        mask_dim=own.width, hidden_dim=own.width, encoder_layers=own.pixel_layers, encoder_feedforward_dim=own.pixel_ffn,
        decoder_layers=own.layers, num_attention_heads=own.heads, dim_feedforward=own.ffn, query_dec_layers=own.query_layers,
        dropout=own.dropout, train_num_points=own.points, text_encoder_width=own.text_width, text_encoder_num_layers=own.text_layers,
        text_encoder_context_length=own.text_length, task_seq_len=own.task_length, text_encoder_vocab_size=own.vocabulary,
        text_encoder_n_ctx=own.text_contexts)


class Segmentation(nn.Module):
    """OneFormer without its encoder and its text branch."""

    def __init__(self, model: Any):
        super().__init__()
        self.pixels, self.task = with_own_attention(model.pixel_level_module.decoder), model.task_encoder
        self.queries = model.transformer_module

    def forward(self, features: Sequence[Tensor], task: Tensor) -> dict[str, Tensor]:
        """``class_logits`` [B, Q, K + 1] (the last class is none), ``mask_logits`` [B, Q, H / 4, W / 4]; the same of the earlier
        layers as ``earlier_classes`` [L, B, ...] and ``earlier_masks``; ``object_queries`` [B, Q, C].

        Args:
            task: ids of the task's words as numbers, float [B, L] (``task_ids``).
        """
        with _countable(features[0]):
            pixels = self.pixels(list(features))
            found = self.queries(multi_scale_features=pixels.multi_scale_features, mask_features=pixels.mask_features,
                                 task_token=self.task(task))
        earlier = found.auxiliary_predictions
        return {"class_logits": found.prediction_class, "mask_logits": found.prediction_masks,
                "earlier_classes": torch.stack([one["class_queries_logits"] for one in earlier]),
                "earlier_masks": torch.stack([one["masks_queries_logits"] for one in earlier]),
                "object_queries": found.contrastive_logits}


@contextmanager
def _countable(feature: Tensor) -> Iterator[None]:
    """Let OneFormer run on the meta device, where nothing is computed: it reads a number out of a tensor, and asks which rows of the
    attention masks are full."""
    if not feature.is_meta:
        yield
        return
    patch: Any = importlib.import_module("torch.fx.experimental._config").patch

    name = "TRANSFORMERS_DISABLE_TORCH_CHECK"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        with patch(meta_nonzero_assume_all_nonzero=True):
            yield
    finally:
        os.environ.pop(name) if before is None else os.environ.__setitem__(name, before)


def build_segmentation(widths: Widths) -> tuple[SwinEncoder, Segmentation]:
    """The encoder, and the decoders that read its features; their weights are in one place each."""
    modelling, config = oneformer(widths)
    config.is_training = False  # no text branch
    model = modelling.OneFormerModel(config)
    return SwinEncoder(model.pixel_level_module.encoder), Segmentation(model)


def task_ids(task: str, length: int) -> Tensor:
    """Word ids float [length] of "the task is ``task``" in a vocabulary of our own; 0 pads, the last word has the largest id."""
    ids = [*_THE_TASK_IS, _FIRST_WORD[task], _END]
    return torch.tensor([*ids, *[0] * (length - len(ids))], dtype=torch.float32)


_END = 63
"""Id of the end of a text: the text branch reads the feature at the largest id."""
_A_PHOTO_WITH_A = (6, 7)
_CLASS = 10
"""Id of the first class."""


def text_ids(classes: Sequence[int], task: str, prompts: int, length: int) -> Tensor:
    """Word ids long [prompts, length]: "a photo with a CLASS" for each of ``classes``, and "a TASK photo" in the other places.

    Raises:
        ConfigError: more classes than ids below the end's.
    """
    if any(_CLASS + one >= _END for one in classes):
        raise ConfigError(f"at most {_END - _CLASS} classes", str(max(classes) + 1), "give fewer classes")
    rows = [[*_A_PHOTO_WITH_A, _CLASS + one, _END] for one in sorted(classes)[:prompts]]
    rows += [[_A_PHOTO_WITH_A[0], _FIRST_WORD[task], _END]] * (prompts - len(rows))
    return torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])


class TextBranch(nn.Module):
    """OneFormer's text mapper and the temperature of the contrast between object queries and texts. It is not shipped.

    Args:
        things: which classes are road users [classes]: the texts of the task ``instance`` name no others.
    """

    def __init__(self, widths: Widths, things: Sequence[bool]):
        super().__init__()
        self._things = tuple(things)
        modelling, config = oneformer(widths)
        self.text = modelling.OneFormerModel(config).text_mapper  # the whole model draws the first weights
        self.scale = nn.Parameter(torch.tensor(1.0 / 0.07).log())
        self.prompts = widths.segmentation.queries - widths.segmentation.text_contexts
        self.length = widths.segmentation.text_length

    def forward(self, object_queries: Tensor, classes: Sequence[Sequence[int]], tasks: Sequence[str]) -> Tensor:
        """The symmetric contrastive loss of ``object_queries`` [B, Q, C] with texts on the ``classes`` and ``tasks`` of the samples.
        It is 0 for one sample."""
        named = [[kind for kind in one if task != "instance" or self._things[kind]] for one, task in zip(classes, tasks, strict=True)]
        ids = torch.stack([text_ids(one, task, self.prompts, self.length) for one, task in zip(named, tasks, strict=True)])
        texts = self.text(ids.to(object_queries.device))
        seen, told = (nn.functional.normalize(one.float().flatten(1), dim=-1) for one in (object_queries, texts))
        logits = seen @ told.T * self.scale.exp().clamp(max=100.0)
        same = torch.arange(len(logits), device=logits.device)
        return (nn.functional.cross_entropy(logits, same) + nn.functional.cross_entropy(logits.T, same)) / 2.0


def chosen(outputs: Mapping[str, Tensor], which: Tensor) -> dict[str, Tensor]:
    """The outputs of the segmentation of the samples ``which``, bool [B]."""
    found = {name: outputs[name][which] for name in ("class_logits", "mask_logits")}
    return found | {name: outputs[name][:, which] for name in ("earlier_classes", "earlier_masks")}


def matching_loss(widths: Widths) -> Any:
    """``transformers``' set criterion with the weights 2, 5, 5 in its matching; it has no parameters."""
    modelling, _ = oneformer(widths)
    points = widths.segmentation.points
    return modelling.OneFormerLoss(
        num_classes=len(widths.classes), matcher=modelling.OneFormerHungarianMatcher(2.0, 5.0, 5.0, points), weight_dict={}, eos_coef=0.1,
        num_points=points, oversample_ratio=3.0, importance_sample_ratio=0.75)


def segmentation_losses(criterion: Any, outputs: Mapping[str, Tensor], masks: list[Tensor], classes: list[Tensor]) -> dict[str, Tensor]:
    """``class``, ``mask`` and ``dice``, each summed over the last layer and the earlier ones.

    Args:
        masks: float [n, H, W] for each sample.
        classes: long [n] for each sample.
    """
    earlier = [{"class_queries_logits": one.float(), "masks_queries_logits": other.float()}
               for one, other in zip(outputs["earlier_classes"], outputs["earlier_masks"], strict=True)]
    found = criterion(outputs["mask_logits"].float(), outputs["class_logits"].float(), None, masks, classes, None, earlier, False)
    kinds = {"class": "loss_cross_entropy", "mask": "loss_mask", "dice": "loss_dice"}
    return {name: torch.stack([value.reshape(()) for key, value in found.items() if key.startswith(kind)]).sum()
            for name, kind in kinds.items()}
