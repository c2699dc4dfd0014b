"""DETR's post-norm transformer, whose queries carry a position, and its sine encoding of the plane.

Source: Carion et al., "End-to-End Object Detection with Transformers", ECCV 2020, appendix A.3 and A.4.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.blocks.dropout import Dropout


def sine_encoding(rows: int, columns: int, width: int, temperature: float = 10_000.0) -> Tensor:
    """Encoding [rows * columns, width] of a grid, row by row: the first half of the width encodes the row, the second
    the column, sines and cosines interleaved. Positions 1 ... n are normalised to (0, 2 pi]."""
    half = width // 2
    step = temperature ** (2.0 * (torch.arange(half) // 2) / half)
    axes = []
    for count in (rows, columns):
        position = torch.arange(1, count + 1) / (count + 1e-6) * 2.0 * math.pi
        angle = position[:, None] / step
        axes.append(torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], 2).flatten(1))
    down, across = axes
    return torch.cat([down[:, None].expand(-1, columns, -1), across[None].expand(rows, -1, -1)], 2).flatten(0, 1)


class Attention(nn.Module):
    """Multi-head attention with its own weights for queries, keys, values and the output."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.dropout = Dropout(dropout)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[B, Q, width] from queries [B, Q, width] over keys and values [B, K, width]."""
        q, k, v = (self._split(layer(x)) for layer, x in ((self.query, query), (self.key, key), (self.value, value)))
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        return self.out((self.dropout(scores.softmax(-1)) @ v).transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, width: int, hidden: int, dropout: float):
        super().__init__()
        self.inner, self.outer = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] to [..., width]."""
        return self.outer(self.dropout(nn.functional.gelu(self.inner(x))))


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward, each added and then normalised."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """[B, K, width] to [B, K, width]."""
        x = self.norm1(x + self.dropout(self.attention(x, x, x)))
        return self.norm2(x + self.dropout(self.feed_forward(x)))


class DecoderLayer(nn.Module):
    """Self-attention among queries, attention to the memory, feed-forward; each added and then normalised."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float):
        super().__init__()
        self.self_attention = Attention(width, heads, dropout)
        self.cross_attention = Attention(width, heads, dropout)
        self.feed_forward = FeedForward(width, hidden, dropout)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, position: Tensor) -> Tensor:
        """[B, Q, width]; ``position`` [Q, width] is added to queries and keys, never to values."""
        placed = x + position
        x = self.norm1(x + self.dropout(self.self_attention(placed, placed, x)))
        x = self.norm2(x + self.dropout(self.cross_attention(x + position, memory, memory)))
        return self.norm3(x + self.dropout(self.feed_forward(x)))


class Transformer(nn.Module):
    """``layers`` encoder and ``layers`` decoder layers; a norm after the decoder, none after the encoder."""

    def __init__(self, width: int, layers: int, heads: int = 8, hidden: int = 2048, dropout: float = 0.1):
        super().__init__()
        self.encoder = nn.ModuleList(EncoderLayer(width, heads, hidden, dropout) for _ in range(layers))
        self.decoder = nn.ModuleList(DecoderLayer(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, tokens: Tensor, queries: Tensor, position: Tensor) -> Tensor:
        """What the queries found, [B, Q, width].

        Args:
            tokens: [B, K, width], their position already in them.
            queries: [Q, width] learned contents.
            position: [Q, width] of the queries.
        """
        for layer in self.encoder:
            tokens = layer(tokens)
        found = queries.expand(tokens.shape[0], -1, -1)
        for layer in self.decoder:
            found = layer(found, tokens, position)
        return self.norm(found)
