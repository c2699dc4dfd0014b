"""The student's next tokens follow those of a frozen teacher that was trained on the same answers before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from kd_planner_ros.core.card import ModelCard
from kd_planner_ros.core.errors import CardError
from kd_planner_ros.distill.methods.base import Answers, Distiller, MethodContext, Outputs, Truth
from kd_planner_ros.distill.methods.logits.config import Config
from kd_planner_ros.distill.methods.logits.loss import token_divergence

SCORES = "logits"
OWN_ERROR, PLAIN_ERROR = "l2_m", "constant_velocity_m"
"""Figures of a validation: of the network's own plans, and of constant velocity, on the same samples."""


class TokenScores(Distiller):
    """The teacher answers in every step: it is asked what the student is asked, which a draw decides."""

    name = "logits"
    teacher_fields = (SCORES,)
    keeps_answers = False

    def __init__(self, options: Config):
        super().__init__()
        self._options = options

    def losses(self, student: Outputs, teachers: Sequence[Answers], truth: Truth, epoch: float) -> dict[str, Tensor]:
        """``logits``, over the tokens of the answers."""
        scores = teachers[0][SCORES]
        assert isinstance(scores, Tensor)
        divergence = token_divergence(student[SCORES], scores, student["known"], self._options.temperature)
        return {"logits": self._options.weight * divergence}

    def switches(self) -> dict[str, Any]:
        """Weight and temperature."""
        return {"weight": self._options.weight, "temperature": self._options.temperature}


def build(context: MethodContext) -> TokenScores:
    """The method for student and teacher.

    Raises:
        CardError: the teacher's card does not say that it has learnt to plan, or its plans are no tokens.
    """
    (teacher,) = context.teachers
    if getattr(teacher.config, "head", "tokens") != "tokens":
        raise CardError("a teacher whose plans are tokens (head tokens)", f"'{teacher.name}' with head {teacher.config.head}",
                        "train teacher and student with --v2x_vlm.head tokens, or choose method imitation")
    if not context.options.weak_teacher:
        require_taught(teacher.card)
    if hasattr(teacher.model, "free_running"):
        setattr(teacher.model, "free_running", False)  # noqa: B010 - torch's modules type their attributes as tensors
    return TokenScores(context.options)


def require_taught(card: ModelCard) -> None:
    """Refuse a teacher whose own plans are no better than constant velocity on the recordings held out of its training.

    Raises:
        CardError: they are not, or the card does not say it.
    """
    scores = card.scores.get("validation", {})
    own, plain = (scores.get(name) for name in (OWN_ERROR, PLAIN_ERROR))
    if own is None or plain is None or not own < plain:
        got = "no validation on its card" if own is None or plain is None else f"{own:.2f} m, constant velocity {plain:.2f} m"
        raise CardError(f"a teacher that plans better than constant velocity, as its card says, not '{card.name}'", got,
                        "train the teacher longer, with recordings held out; or give --logits.weak-teacher")
