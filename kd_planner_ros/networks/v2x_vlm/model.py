"""The network: a picture of one or two views and a prompt to waypoints. One call encodes and decodes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from kd_planner_ros.networks.v2x_vlm.config import CAPTION_WORDS, WAYPOINTS, V2xVlmConfig
from kd_planner_ros.networks.v2x_vlm.decode import decode_plan, decode_words
from kd_planner_ros.networks.v2x_vlm.florence import BLOCKED, Florence, blocked
from kd_planner_ros.networks.v2x_vlm.users import FEATURES, THERE, UserTokens
from kd_planner_ros.networks.v2x_vlm.words import END, FIRST_LOCATION, FLORENCE_LOCATION, PAD, START, word_id

INPUTS = ("image", "words", "answer", "users")
OUTPUTS = ("points", "chance")
STEP_M = 1.0
"""The displacement head's output 1 in metres. A larger unit makes one step of the optimiser move the last waypoint by metres."""


class V2xVlm(nn.Module):
    """Florence-2 with a plan at its end.

    Attributes:
        free_running: whether a call with a whole answer also decodes a plan of its own, in evaluation mode: what a validation
            compares. A teacher need not. Such a call reads the network's own caption, as at run time, where the config wants one.
    """

    def __init__(self, config: V2xVlmConfig):
        super().__init__()
        widths = config.widths
        self.florence = Florence(config)
        self.users = UserTokens(widths.text.width) if config.users else None
        self.steps = nn.Linear(widths.text.width, 2) if config.head == "displacement" else None
        self.location, self.bins = (FIRST_LOCATION if config.nano else FLORENCE_LOCATION), widths.bins
        self.first_m, self.bin_m = (widths.ahead_m, widths.left_m), widths.bin_m
        self.caption, self.free_running, self.views = config.caption, True, config.views

    def forward(self, image: Tensor, words: Tensor, answer: Tensor, users: Tensor | None = None,
                features: bool = False) -> dict[str, Tensor]:
        """The plan; with a whole ``answer`` also what the network says after each of its tokens.

        Args:
            image: [B, 3, H, W] as ``V2xVlmProcessor.picture`` gives it: the front view, and the station's to its right where the config
                says so.
            words: the prompt's ids [B, L], padded.
            answer: ids [B, N] of the answer so far, END first, padded. N = 1: decode.
            users: features [B, M, F] of road users (``users.user_features``), for a network that reads them as tokens.

        Returns:
            ``points`` [B, 9, 2] metres, ``base_link``, 0.5 s apart, and ``chance`` [B, 9], the probability of the chosen tokens (1
            where there are none); not in training mode. With N > 1 ``logits`` [B, N, V], ``known`` bool [B, N], where the answer has
            a token, ``seen`` [B, d], the mean of the picture's tokens, and for the displacement head ``drawn`` [B, 9, 2], the
            waypoints. With ``features`` also ``stage1`` to ``stage4``, the front view's part of the vision encoder's maps.
        """
        maps = self.florence.maps(image)
        seen = self.florence.tokens(maps[-1])
        alone = answer.shape[1] == 1 or (self.free_running and not self.training)
        if alone and self.caption:
            words = self._described(seen, words)
        read, mask = self.read(seen, words, users)
        if answer.shape[1] == 1:
            return self.plan(read, mask)
        found = self.plan(read, mask) if alone else {}
        hidden = self.florence.speak(answer, read, mask)
        if self.steps is not None:
            found["drawn"] = self._drawn(hidden[:, :WAYPOINTS])
        if features:
            found |= {f"stage{number}": one[..., :one.shape[-1] // self.views] for number, one in enumerate(maps, 1)}
        return {**found, "logits": self.florence.logits(hidden), "known": answer != PAD, "seen": seen[:, 1:].mean(1)}

    def read(self, seen: Tensor, words: Tensor, users: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(the encoder's output, its mask) for the picture's tokens, the prompt, and features [B, M, F] of road users."""
        mask, tokens = blocked(words, seen.shape[1]), [seen, self.florence.words(words)]
        if self.users is not None and users is not None:
            mask = torch.cat([mask, (BLOCKED * (1.0 - users[..., THERE]))[:, None, None]], dim=-1)
            tokens.append(self.users(users))
        return self.florence.read(torch.cat(tokens, dim=1), mask), mask

    def plan(self, read: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """``points`` and ``chance``."""
        if self.steps is not None:
            start = torch.full((read.shape[0], WAYPOINTS), END, dtype=torch.long, device=read.device)
            points = self._drawn(self.florence.speak(start, read, mask))
            return {"points": points, "chance": torch.ones_like(points[..., 0])}
        bins, chances = decode_plan(self.florence, read, mask, 2 * WAYPOINTS, self.location, self.bins)
        first = torch.tensor(self.first_m, dtype=read.dtype, device=read.device)
        points = (bins.view(-1, WAYPOINTS, 2).to(read.dtype) + 0.5) * self.bin_m + first
        return {"points": points, "chance": chances.view(-1, WAYPOINTS, 2).prod(-1)}

    def describe(self, seen: Tensor, prompt: Tensor) -> Tensor:
        """The caption [B, 16] that the network gives to ``prompt`` [B, L] on the picture's tokens; PAD from its end on."""
        read, mask = self.read(seen, prompt)
        return decode_words(self.florence, read, mask, CAPTION_WORDS, FIRST_LOCATION)

    def told(self, captions: Tensor) -> Tensor:
        """The mean [B, d] of the encoder's output for captions [B, L] alone."""
        mask = blocked(captions)
        read = self.florence.read(self.florence.words(captions), mask)
        share = (captions != PAD).to(read.dtype)
        return (read * share[..., None]).sum(1) / share.sum(1, keepdim=True).clamp_min(1.0)

    def _drawn(self, hidden: Tensor) -> Tensor:
        assert self.steps is not None
        return STEP_M * self.steps(hidden).cumsum(1)

    def _described(self, seen: Tensor, words: Tensor) -> Tensor:
        """``words`` with the network's own caption in the first places, which the processor leaves free."""
        task, view = word_id("<CAPTION>"), word_id("veh")
        ask = torch.cat([torch.full_like(words[:, :1], task), torch.full_like(words[:, :1], view), torch.full_like(words[:, 2:], PAD)], 1)
        return torch.cat([words[:, :2], self.describe(seen, ask), words[:, 2 + CAPTION_WORDS:]], dim=1)


def build_model(config: V2xVlmConfig) -> V2xVlm:
    """The network with random weights.

    Raises:
        ConfigError: transformers is not installed.
    """
    return V2xVlm(config)


def example_inputs(config: V2xVlmConfig, batch: int = 1) -> dict[str, Tensor]:
    """An empty picture and a prompt of one token; the answer is to be decoded."""
    words = torch.full((batch, config.prompt), PAD)
    words[:, 0] = START
    return {"image": torch.zeros(batch, 3, 32 * config.grid[0], 32 * config.grid[1]), "words": words,
            "answer": torch.full((batch, 1), END), "users": torch.zeros(batch, config.users, FEATURES)}
