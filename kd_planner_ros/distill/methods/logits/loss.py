"""Distillation on the scores of the next token (You et al., Transportation Research Part C 183, 2026, section 3)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax


def token_divergence(student: Tensor, teacher: Tensor, known: Tensor, temperature: float) -> Tensor:
    """T^2 KL(p_T || p_S) in nats, p = softmax(scores / T), the mean over the ``known`` tokens, a scalar.

    The paper's text says KL(p_S || p_T); its expanded loss and its gradient, T / N (p_S - p_T), are of this direction.

    Args:
        student, teacher: scores [B, N, V]; the teacher gets no gradient.
        known: bool [B, N].
    """
    ours, theirs = (log_softmax(scores[known].float() / temperature, dim=-1) for scores in (student, teacher.detach()))
    return temperature ** 2 * kl_div(ours, theirs, reduction="sum", log_target=True) / known.sum().clamp_min(1)
