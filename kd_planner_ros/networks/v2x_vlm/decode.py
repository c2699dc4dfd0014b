"""Greedy decoding as one graph: a fixed number of steps, each with the keys and values of the steps before it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.v2x_vlm.florence import Florence
from kd_planner_ros.networks.v2x_vlm.words import END, PAD


@dataclass
class _Layer:
    """Keys and values of one decoder layer: those of the encoder's output, and those of the tokens so far, a tensor a step."""

    keys: Tensor
    values: Tensor
    own_keys: list[Tensor] = field(default_factory=list)
    own_values: list[Tensor] = field(default_factory=list)


class Decoder:
    """Steps through an answer to the encoder's output ``read`` [B, S, d] with the mask [B, 1, 1, S].

    Gives what ``Florence.speak`` gives for the last token, at the cost of one token.
    """

    def __init__(self, parts: Florence, read: Tensor, mask: Tensor):
        self._parts, self._mask = parts, mask
        self._decoder = parts.decoder
        self._layers = [_Layer(_heads(layer.encoder_attn, layer.encoder_attn.k_proj(read)),
                               _heads(layer.encoder_attn, layer.encoder_attn.v_proj(read))) for layer in self._decoder.layers]
        self._step = 0

    def step(self, tokens: Tensor) -> Tensor:
        """The hidden state [B, d] after ``tokens`` [B]."""
        place = self._decoder.embed_positions.weight[2 + self._step]
        hidden = self._decoder.layernorm_embedding(self._parts.words(tokens)[:, None] + place)
        for layer, kept in zip(self._decoder.layers, self._layers, strict=True):
            own = layer.self_attn
            kept.own_keys.append(_heads(own, own.k_proj(hidden)))
            kept.own_values.append(_heads(own, own.v_proj(hidden)))
            seen = _attend(own, hidden, torch.cat(kept.own_keys, 2), torch.cat(kept.own_values, 2))
            hidden = layer.self_attn_layer_norm(hidden + seen)
            seen = _attend(layer.encoder_attn, hidden, kept.keys, kept.values, self._mask)
            hidden = layer.encoder_attn_layer_norm(hidden + seen)
            hidden = layer.final_layer_norm(hidden + layer.fc2(layer.activation_fn(layer.fc1(hidden))))
        self._step += 1
        return hidden[:, 0]


def _heads(attention: Any, tokens: Tensor) -> Tensor:
    return tokens.view(tokens.shape[0], -1, attention.num_heads, attention.head_dim).transpose(1, 2)


def _attend(attention: Any, hidden: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    scores = torch.matmul(_heads(attention, attention.q_proj(hidden)), keys.transpose(2, 3)) * attention.scaling
    weights = (scores if mask is None else scores + mask).softmax(-1)
    joined = torch.matmul(weights, values).transpose(1, 2).reshape(hidden.shape[0], 1, -1)
    return attention.out_proj(joined)


def decode_plan(parts: Florence, read: Tensor, mask: Tensor, steps: int, first: int, count: int) -> tuple[Tensor, Tensor]:
    """The likeliest location at each of ``steps`` steps, after the tokens chosen before: bins int [B, steps] and their probabilities
    among all locations [B, steps]. The end follows, whatever the network would say.

    Args:
        first, count: the location tokens.
    """
    decoder = Decoder(parts, read, mask)
    legal = parts.words.weight[first:first + count]
    token = torch.full((read.shape[0],), END, dtype=torch.long, device=read.device)
    bins, chances = [], []
    for _ in range(steps):
        scores = nn.functional.linear(decoder.step(token), legal)
        chosen = scores.argmax(-1)
        bins.append(chosen)
        chances.append(scores.softmax(-1).amax(-1))
        token = chosen + first
    return torch.stack(bins, 1), torch.stack(chances, 1)


def decode_words(parts: Florence, read: Tensor, mask: Tensor, steps: int, last: int) -> Tensor:
    """The likeliest words int [B, steps], ids below ``last``, PAD from the end on."""
    decoder = Decoder(parts, read, mask)
    token = torch.full((read.shape[0],), END, dtype=torch.long, device=read.device)
    ended, words = token < 0, []
    for _ in range(steps):
        chosen = nn.functional.linear(decoder.step(token), parts.words.weight[:last]).argmax(-1)
        ended = ended | (chosen == END)
        words.append(torch.where(ended, PAD, chosen))
        token = chosen
    return torch.stack(words, 1)
