"""Deformable attention of the pixel decoder in an order that engines run well.

``transformers`` joins what was sampled at a query's points point by point: engines copy four numbers at a time, which takes a third of
the pixel decoder's time. Here the queries are the last axis. The weights and, but for the order of a sum, the values are the same.

Source: Zhu et al., "Deformable DETR", ICLR 2021, equation 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import grid_sample


class DeformableAttention(nn.Module):
    """Each query reads a few points of every level, at places and with weights that it says itself.

    Args:
        of: ``transformers``' module, whose layers this one takes over under their names.
    """

    def __init__(self, of: Any):
        super().__init__()
        self.heads, self.levels, self.points = of.n_heads, of.n_levels, of.n_points
        self.sampling_offsets, self.attention_weights = of.sampling_offsets, of.attention_weights
        self.value_proj, self.output_proj = of.value_proj, of.output_proj

    def forward(self, hidden_states: Tensor, position_embeddings: Tensor, encoder_hidden_states: Tensor, reference_points: Tensor,
                spatial_shapes: Tensor, spatial_shapes_list: Sequence[tuple[int, int]], **_: Any) -> tuple[Tensor, Tensor]:
        """(What the queries read [B, N, C], their weights [B heads, 1, levels points, N]). Pictures have no padding, so no mask is read.

        Args:
            hidden_states: queries [B, N, C].
            position_embeddings: added to them, [B, N, C].
            encoder_hidden_states: values of all levels in a row [B, K, C].
            reference_points: where each query lies in each level [B, N, levels, 2] (x, y) in [0, 1].
            spatial_shapes: rows and columns of the levels [levels, 2].
            spatial_shapes_list: the same as numbers.
        """
        queries = hidden_states + position_embeddings
        batch, count, width = queries.shape
        split = batch, count, self.heads
        offsets = self.sampling_offsets(queries).view(*split, self.levels, self.points, 2).permute(0, 2, 3, 4, 1, 5)
        sizes = spatial_shapes.flip(1)[None, None, :, None, None]
        places = reference_points.transpose(1, 2)[:, None, :, None] + offsets / sizes  # [B, heads, levels, points, N, 2]
        grids = (2.0 * places - 1.0).flatten(0, 1)
        values = self.value_proj(encoder_hidden_states).split([rows * columns for rows, columns in spatial_shapes_list], 1)
        read = [grid_sample(value.transpose(1, 2).reshape(batch * self.heads, width // self.heads, rows, columns), grids[:, level],
                            mode="bilinear", padding_mode="zeros", align_corners=False)
                for level, (value, (rows, columns)) in enumerate(zip(values, spatial_shapes_list, strict=True))]
        weights = self.attention_weights(queries).view(*split, -1).softmax(-1).permute(0, 2, 3, 1).flatten(0, 1)[:, None]
        found = (torch.cat(read, 2) * weights).sum(2).view(batch, width, count)
        return self.output_proj(found.transpose(1, 2)), weights


def with_own_attention(pixels: Any) -> Any:
    """The pixel decoder ``pixels`` of ``transformers`` with this attention in every layer."""
    for layer in pixels.encoder.layers:
        layer.self_attn = DeformableAttention(layer.self_attn)
    return pixels
