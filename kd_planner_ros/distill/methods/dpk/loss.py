"""DPK: the student's features are completed with parts of the teacher's; the share falls as the two agree.

Source: Qiu et al., "Better Teacher Better Student: Dynamic Prior Knowledge for Knowledge Distillation", ICLR 2023, from the
published abstract: there is no official code, so this is an approximation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

WIDTH, HEADS, FEED_FORWARD, BLOCKS = 256, 8, 512, 2
MOST_TOKENS = 1024
"""Maps with more cells are averaged over 2 x 2 cells until they have no more: attention costs the square of it."""
MOMENTUM, FIRST_SHARE = 0.9, 0.5


def limit_cells(feature_map: Tensor) -> Tensor:
    """``feature_map`` [B, C, h, w], averaged down until h * w <= ``MOST_TOKENS``."""
    while feature_map.shape[2] * feature_map.shape[3] > MOST_TOKENS:
        feature_map = functional.avg_pool2d(feature_map, 2, ceil_mode=True)
    return feature_map


def linear_cka(first: Tensor, second: Tensor) -> Tensor:
    """Linear centred kernel alignment of two sets of features [B, D1], [B, D2] in [0, 1], a scalar; 1 for equal ones.

    ||X^T Y||_F^2 / (||X^T X||_F ||Y^T Y||_F) through the B x B Gram matrices. Source: Kornblith et al., ICML 2019.
    """
    grams = []
    for features in (first, second):
        centred = features - features.mean(0, keepdim=True)
        grams.append(centred @ centred.T)
    one, two = grams
    return (one * two).sum() / (one.norm() * two.norm()).clamp_min(1e-12)


def positions(height: int, width: int, device: torch.device) -> Tensor:
    """Two-dimensional sine encoding [1, height * width, WIDTH]."""
    quarter = WIDTH // 4
    rates = torch.exp(-math.log(1e4) * torch.arange(quarter, device=device) / quarter)
    rows = torch.arange(height, device=device)[:, None] * rates
    columns = torch.arange(width, device=device)[:, None] * rates
    row_code = torch.cat([rows.sin(), rows.cos()], 1)[:, None].expand(-1, width, -1)
    column_code = torch.cat([columns.sin(), columns.cos()], 1)[None].expand(height, -1, -1)
    return torch.cat([row_code, column_code], 2).reshape(1, height * width, WIDTH)


def _blocks() -> nn.TransformerEncoder:
    layer = nn.TransformerEncoderLayer(WIDTH, HEADS, FEED_FORWARD, dropout=0.0, activation="gelu", batch_first=True,
                                       norm_first=True)
    return nn.TransformerEncoder(layer, BLOCKS, enable_nested_tensor=False)


class DynamicPrior(nn.Module):
    """One stage of DPK; ``share`` is the chance that a cell is the student's own.

    Args:
        student, teacher: widths of the stage's maps.
    """

    share: Tensor

    def __init__(self, student: int, teacher: int):
        super().__init__()
        self.enter_student, self.enter_teacher = nn.Conv2d(student, WIDTH, 1), nn.Conv2d(teacher, WIDTH, 1)
        self.encode_student, self.encode_teacher, self.decoder = _blocks(), _blocks(), _blocks()
        self.leave = nn.Conv2d(WIDTH, teacher, 1)
        self.register_buffer("share", torch.tensor(FIRST_SHARE))

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """Mean squared error between the completed maps and those of ``teacher``, a [B, C_T, h, w] for each view, summed over the
        views: a scalar. In training mode the share moves on by 0.1 of the features' alignment, its mean over the views."""
        student, teacher = [limit_cells(view) for view in student], [limit_cells(view.detach()) for view in teacher]
        if self.training:
            with torch.no_grad():
                alignment = torch.stack([linear_cka(one.flatten(1), other.flatten(1))
                                         for one, other in zip(student, teacher, strict=True)]).mean()
                self.share.mul_(MOMENTUM).add_((1.0 - MOMENTUM) * alignment.to(self.share.dtype))
        return sum(self._completion(one, other) for one, other in zip(student, teacher, strict=True))

    def _completion(self, student: Tensor, teacher: Tensor) -> Tensor:
        batch, _, height, width = student.shape
        code = positions(height, width, student.device)
        ours = self.encode_student(self.enter_student(student).flatten(2).transpose(1, 2) + code)
        theirs = self.encode_teacher(self.enter_teacher(teacher).flatten(2).transpose(1, 2) + code)
        own = torch.rand(batch, height * width, 1, device=student.device) < self.share
        hybrid = self.decoder(torch.where(own, ours, theirs) + code)
        completed = self.leave(hybrid.transpose(1, 2).reshape(batch, WIDTH, height, width))
        return functional.mse_loss(completed, teacher)
